//! Owns what the end of a zip archive tells of its table, before anybody takes memory for it (APPNOTE.TXT 4.3.14 to 4.3.16).

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: u64 = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const LONG_END: &[u8] = b"PK\x06\x06";
const LONG_END_BYTES: usize = 56;
/// Behind the end there may be a comment, and readers allow for some more.
const TAIL_BYTES: u64 = END_BYTES + (1 << 16) + 64;

/// The most that any of the records tells which a reader may take for the end: which one it takes is its own affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) entries: u64,
    pub(crate) table_bytes: u64,
    /// There is a record with numbers of 64 bits, or what leads to one.
    pub(crate) is_long: bool,
}

/// Reads no more than the tail of the file, and a record for each locator in it.
pub(crate) fn told(from: &mut (impl Read + Seek)) -> io::Result<Told> {
    let length = from.seek(SeekFrom::End(0))?;
    from.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    from.by_ref().take(TAIL_BYTES).read_to_end(&mut tail)?;
    let mut told = Told::default();
    for at in 0..tail.len() {
        let rest = &tail[at..];
        if rest.starts_with(END) {
            // All ones stand for what the record of 64 bits tells.
            let short = |at, count| {
                Some(number(rest, at, count)).filter(|it| *it != u64::MAX >> (64 - 8 * count))
            };
            // By chance these letters stand in a file; then nothing before them is so long.
            let before = length.saturating_sub(tail.len() as u64) + at as u64;
            let is_table = |bytes: &u64| bytes + number(rest, 16, 4) <= before;
            told.add(short(8, 2), short(12, 4).filter(is_table));
            told.add(short(10, 2), None);
        } else if rest.starts_with(LOCATOR)
            && rest
                .get(LOCATOR_BYTES..)
                .is_some_and(|it| it.starts_with(END))
        {
            told.is_long = true;
            let record = record(from, number(rest, 8, 8))?;
            told.add(Some(number(&record, 24, 8)), Some(number(&record, 40, 8)));
            told.add(Some(number(&record, 32, 8)), None);
        }
    }
    Ok(told)
}

impl Told {
    fn add(&mut self, entries: Option<u64>, table_bytes: Option<u64>) {
        self.entries = self.entries.max(entries.unwrap_or_default());
        self.table_bytes = self.table_bytes.max(table_bytes.unwrap_or_default());
    }
}

/// Empty: there is none.
fn record(from: &mut (impl Read + Seek), at: u64) -> io::Result<Vec<u8>> {
    let mut record = vec![0; LONG_END_BYTES];
    let found = from
        .seek(SeekFrom::Start(at))
        .and_then(|_| from.read_exact(&mut record));
    match found {
        Ok(()) if record.starts_with(LONG_END) => Ok(record),
        Ok(()) => Ok(Vec::new()),
        // Beyond the end, or where no file reaches.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidInput
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Of so many bytes, the lowest first; 0 where they are not all there.
fn number(bytes: &[u8], at: usize, count: usize) -> u64 {
    let found = bytes.get(at..at + count).unwrap_or_default();
    found
        .iter()
        .rev()
        .fold(0, |all, it| all << 8 | u64::from(*it))
}
