use super::*;

fn bytes(write: impl Fn(&mut BytesMut)) -> BytesMut {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    bytes
}

#[test]
fn what_was_put_is_read() {
    let texts = ["/mesos".to_owned(), String::new(), "é".to_owned()];
    let record = bytes(|to| {
        put_strings(to, &texts);
        put_string(to, "last");
        put_buffer(to, &[1, 2]);
    });
    let mut reader = Reader::new(&record);
    assert_eq!(reader.strings(3), Ok(texts.to_vec()));
    assert_eq!(reader.string(), Ok("last"));
    assert_eq!(reader.buffer(), Ok(Some(&[1, 2][..])));
    assert!(reader.is_at_end());
}

#[test]
fn what_is_not_whole_is_refused() {
    let read = |bytes: &[u8]| Reader::new(bytes).string().map(str::to_owned);
    let short = |expected, found| Err(JuteError::Short { expected, found });
    assert_eq!(read(&[0, 0]), short(4, 2));
    assert_eq!(read(&[0, 0, 0, 9, b'a']), short(9, 1));
    assert_eq!(read(&[0x7f, 0xff, 0xff, 0xff]), short(0x7fff_ffff, 0));
    assert_eq!(read(&(-1_i32).to_be_bytes()), Err(JuteError::NoString));
    assert_eq!(read(&(-5_i32).to_be_bytes()), Err(JuteError::Length(-5)));
    assert_eq!(read(&[0, 0, 0, 1, 0xff]), Err(JuteError::NotUtf8));
}

#[test]
fn a_count_is_checked_before_anything_is_taken_for_it() {
    let count = |count: i32, room: usize, limit| {
        let mut record = count.to_be_bytes().to_vec();
        record.resize(4 + room, 0);
        Reader::new(&record)
            .strings(limit)
            .map(|strings| strings.len())
    };
    assert_eq!(
        count(i32::MAX, 0, usize::MAX),
        Err(JuteError::Short {
            expected: 0x7fff_ffff * 4,
            found: 0
        })
    );
    assert_eq!(
        count(5, 400, 4),
        Err(JuteError::TooMany { found: 5, limit: 4 })
    );
    assert_eq!(count(-2, 400, 4), Err(JuteError::Length(-2)));
    assert_eq!((count(-1, 0, 4), count(4, 16, 4)), (Ok(0), Ok(4)));
}
