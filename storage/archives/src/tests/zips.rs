//! Zip archives.

use std::io::Cursor;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;

pub(super) type Entry<'a> = (&'a str, u32, &'a [u8]);

pub(super) fn zip_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, data) in entries {
        let options = SimpleFileOptions::default()
            .unix_permissions(*mode)
            .compression_method(CompressionMethod::Deflated);
        if let Some(name) = name.strip_suffix("->") {
            let to = std::str::from_utf8(data).unwrap();
            writer.add_symlink(name, to, options).unwrap();
        } else if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(data).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_zip_is_unpacked_with_its_modes_and_stays_inside_too() {
    let good = zip_of(&[
        ("sub/", 0o755, b""),
        ("sub/run", 0o755, b"echo"),
        ("way->", 0o777, b"sub"),
        ("way/b", 0o600, b"two"),
    ]);
    let (_outside, sandbox, done) = unpacked(&good, "x.zip");
    done.unwrap();
    let run = fs::metadata(sandbox.join("sub/run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(sandbox.join("sub/b")).unwrap(), "two");

    let zeros = vec![0; 2 << 20];
    let hostile: [&[Entry<'_>]; 4] = [
        &[("../out", 0o644, b"x")],
        &[("way->", 0o777, b".."), ("way/out", 0o644, b"x")],
        &[("a/../../out", 0o644, b"x")],
        &[("big", 0o644, &zeros)],
    ];
    for entries in hostile {
        let (outside, _, done) = unpacked(&zip_of(entries), "x.zip");
        assert!(done.is_err(), "{}", entries[0].0);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

/// Of Mesos' tests (`fetcher_tests.cpp`): stored, with a wrong sum, and with one name twice.
#[test]
fn zips_that_mesos_unpacks_or_refuses() {
    let stored = |name: &str, data: &[u8]| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name, options).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let hello = stored("hello", b"hello world\n");
    let (_outside, sandbox, done) = unpacked(&hello, "x.zip");
    done.unwrap();
    let read = |sandbox: &Path, name: &str| fs::read_to_string(sandbox.join(name)).unwrap();
    assert_eq!(read(&sandbox, "hello"), "hello world\n");

    let mut wrong = hello;
    let at = wrong.windows(5).position(|it| it == b"world").unwrap();
    wrong[at] = b'W';
    let (_outside, _, done) = unpacked(&wrong, "x.zip");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("hecksum"), "{error}");

    // Two entries of one name: "B" becomes "A" in both tables.
    let mut twice = zip_of(&[("Aname", 0o644, b"1"), ("Bname", 0o644, b"2")]);
    while let Some(at) = twice.windows(5).position(|it| it == b"Bname") {
        twice[at] = b'A';
    }
    let (_outside, sandbox, done) = unpacked(&twice, "x.zip");
    done.unwrap();
    assert_eq!(read(&sandbox, "Aname"), "2");
}
