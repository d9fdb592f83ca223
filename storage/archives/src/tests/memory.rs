use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

/// The records behind the table, which tell of so many entries: those of 64 bits, what leads to them, and the short one.
fn long_end(at: u64, entries: u64, bytes: u64) -> Vec<u8> {
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44_u64.to_le_bytes());
    end.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [entries, entries, bytes, 0] {
        end.extend(number.to_le_bytes());
    }
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend(at.to_le_bytes());
    end.extend([1, 0, 0, 0]);
    end.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    end
}

#[test]
fn a_zip_that_lies_about_its_table_takes_no_memory() {
    let good = zip_of(&[("a", 0o644, b"one")]);
    let at = good.windows(4).rposition(|it| it == b"PK\x05\x06").unwrap();
    // The short record, in both of its numbers.
    let mut many = good.clone();
    many[at + 8..at + 12].copy_from_slice(&[200, 0, 200, 0]);
    let (_outside, _, done) = unpacked(&many, "x.zip");
    assert!(matches!(done, Err(ArchiveError::Entries(100))), "{done:?}");
    let mut big = good.clone();
    big[at + 12..at + 16].copy_from_slice(&(32_u32 << 20).to_le_bytes());
    let (_outside, _, done) = unpacked(&big, "x.zip");
    assert!(
        done.is_ok(),
        "longer than all before it, it counts for nothing"
    );
    let big = [vec![0; 33 << 20], big].concat();
    let (_outside, _, done) = unpacked(&big, "x.zip");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("its table has 33554432 bytes"), "{error}");
    // The long one: memory for 2^40 entries would be taken at once.
    for (entries, bytes, expected) in [
        (1 << 40, u64::MAX, "more than 100 entries"),
        (1, 1 << 50, "its table has 1125899906842624 bytes"),
    ] {
        let archive = [&good[..at], &long_end(at as u64, entries, bytes)].concat();
        let (_outside, _, done) = unpacked(&archive, "x.zip");
        let error = done.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Not where it is said to be, it is not searched for.
    let archive = [&good[..at], &long_end(3, 1 << 40, u64::MAX)].concat();
    let (_outside, _, done) = unpacked(&archive, "x.zip");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("EOCD64"), "{error}");
    // Bytes before an archive do no harm, nor a comment behind it.
    let mut noted = [b"#!/bin/sh", &good[..]].concat();
    let last = noted.len() - 2;
    noted[last] = 4;
    noted.extend(b"note");
    let (_outside, sandbox, done) = unpacked(&noted, "x.zip");
    done.unwrap();
    assert_eq!(fs::read_to_string(sandbox.join("a")).unwrap(), "one");
}

/// One whose numbers do not fit into 16 bits.
#[test]
fn a_long_zip_is_read() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..70_000 {
        let options = SimpleFileOptions::default();
        writer.add_directory(format!("{at}/.."), options).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let (_outside, sandbox, done) = unpacked(&bytes, "x.zip");
    assert!(matches!(done, Err(ArchiveError::Entries(100))));
    // It is the first entry that is refused and not the table.
    let enough = Bounds {
        entries: 70_000,
        ..SMALL
    };
    let error = taken(&bytes, "x.zip", &sandbox, enough).unwrap_err();
    assert!(matches!(error, ArchiveError::Entry { .. }), "{error}");
}

#[test]
fn a_decoder_takes_no_more_memory_than_is_sensible() {
    // A header of xz that asks for a dictionary of 4 GiB.
    let options = {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = 512 << 20;
        options
    };
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(&tar_of(&[file("a", b"one")])).unwrap();
    let (_outside, _, done) = unpacked(&writer.finish().unwrap(), "a.tar.xz");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
    // A frame of zstd with a window of 2 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 1, 0, 0];
    let (_outside, _, done) = unpacked(&frame, "a.tar.zst");
    assert!(done.is_err());
    // The longest that is taken, and the next one.
    for (exponent, is_taken) in [(17, true), (18, false)] {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3, 1, 0, 0];
        let (_outside, _, done) = unpacked(&frame, "a.tar.zst");
        let said = done.err().map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(!said.contains("window_size is too big"), is_taken, "{said}");
    }
}
