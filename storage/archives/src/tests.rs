use std::{
    fs::{self, OpenOptions},
    io::{Cursor, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;
use zips::zip_of;

mod memory;
mod zips;

const SMALL: Bounds = Bounds {
    entries: 100,
    bytes: 1 << 20,
    free_bytes: 0,
    free_inodes: 0,
};

fn taken(bytes: &[u8], name: &str, into: &Path, bounds: Bounds) -> Result<(), ArchiveError> {
    let archive = tempfile::tempfile().unwrap();
    (&archive).write_all(bytes).unwrap();
    io::Seek::rewind(&mut (&archive)).unwrap();
    let directory = File::open(into).unwrap();
    unpack(
        Kind::of(name).unwrap(),
        archive,
        name,
        &directory,
        bounds,
        &|| true,
    )
}

/// Unpacked into a directory of its own, which is beneath another one.
fn unpacked(bytes: &[u8], name: &str) -> (TempDir, PathBuf, Result<(), ArchiveError>) {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = outside.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let done = taken(bytes, name, &sandbox, SMALL);
    (outside, sandbox, done)
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_000_000);
    header.set_size(size as u64);
    header
}

/// A header with whatever name, which the builder would not take.
fn raw(mut header: Header, name: &[u8], to: &[u8], data: &[u8]) -> Vec<u8> {
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name);
    old.linkname[..to.len()].copy_from_slice(to);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    let header = header(EntryType::Regular, 0o644, data.len());
    raw(header, name.as_bytes(), b"", data)
}

fn link(kind: EntryType, name: &str, to: &str) -> Vec<u8> {
    raw(header(kind, 0o777, 0), name.as_bytes(), to.as_bytes(), b"")
}

fn tar_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend([0; 1024]);
    bytes
}

fn xz(plain: &[u8]) -> Vec<u8> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn gz(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn bz2(plain: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

fn zst(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn every_kind_is_unpacked_whatever_its_name_says_of_its_compression() {
    let plain = tar_of(&[
        raw(header(EntryType::Directory, 0o555, 0), b"sub/", b"", b""),
        file("sub/a", b"one"),
        raw(header(EntryType::Regular, 0o4755, 3), b"./run", b"", b"two"),
        link(EntryType::Symlink, "way", "sub"),
        file("way/b", b"three"),
        link(EntryType::Link, "second", "sub/a"),
        file("/absolute", b"four"),
    ]);
    let forms = [
        ("x.tar", plain.clone()),
        ("x.tar.gz", gz(&plain)),
        ("x.tgz", gz(&plain)),
        ("x.tar.bz2", bz2(&plain)),
        ("x.tbz2", bz2(&plain)),
        ("x.tar.xz", xz(&plain)),
        ("x.txz", xz(&plain)),
        ("x.tar.zst", zst(&plain)),
        ("x.tzst", zst(&plain)),
        ("x.tar.gz", plain.clone()),
        ("x.tar", zst(&plain)),
    ];
    for (name, bytes) in forms {
        let (_outside, sandbox, done) = unpacked(&bytes, name);
        done.unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = |name: &str| fs::read_to_string(sandbox.join(name)).unwrap();
        assert_eq!(text("sub/a"), "one", "{name}");
        assert_eq!(text("sub/b"), "three", "{name}");
        assert_eq!(text("absolute"), "four", "{name}");
        assert_eq!(text("second"), "one", "{name}");
        let run = fs::metadata(sandbox.join("run")).unwrap();
        assert_eq!((run.mode() & 0o7777, run.mtime()), (0o755, 1_000_000));
        let sub = fs::metadata(sandbox.join("sub")).unwrap();
        assert_eq!(sub.mode() & 0o7777, 0o755, "it can be written to");
    }
}

#[test]
fn members_follow_each_other_and_what_is_no_member_is_overlooked() {
    let mut twice = gz(b"one ");
    twice.extend(gz(b"two"));
    twice.extend(b"\0\0 rest");
    let (_outside, sandbox, done) = unpacked(&twice, "words.gz");
    done.unwrap();
    assert_eq!(
        fs::read_to_string(sandbox.join("words")).unwrap(),
        "one two"
    );

    let plain = tar_of(&[file("a", b"one")]);
    let mut frames = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let mut first = zst(&plain[..600]);
    first.append(&mut frames);
    first.extend(zst(&plain[600..]));
    first.append(&mut vec![0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
    let (_outside, sandbox, done) = unpacked(&first, "a.tar.zst");
    done.unwrap();
    assert_eq!(fs::read_to_string(sandbox.join("a")).unwrap(), "one");
}

#[test]
fn nothing_leaves_the_directory() {
    let device = {
        let mut header = header(EntryType::Char, 0o666, 0);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        raw(header, b"null", b"", b"")
    };
    let hostile = [
        vec![file("../out", b"x")],
        vec![file("sub/../../out", b"x")],
        vec![link(EntryType::Symlink, "way", ".."), file("way/out", b"x")],
        vec![link(EntryType::Symlink, "way", "/"), file("way/out", b"x")],
        vec![
            link(EntryType::Symlink, "a", ".."),
            link(EntryType::Symlink, "b", "a/.."),
            file("b/out", b"x"),
        ],
        vec![
            link(EntryType::Symlink, "way", "/proc/self/cwd"),
            file("way/out", b"x"),
        ],
        vec![link(EntryType::Link, "out", "../secret")],
        vec![
            link(EntryType::Symlink, "way", ".."),
            link(EntryType::Link, "out", "way/secret"),
        ],
        vec![device],
        vec![link(EntryType::Fifo, "pipe", "")],
        vec![raw(header(EntryType::Symlink, 0o777, 0), b"to", b"", b"")],
    ];
    for (number, entries) in hostile.iter().enumerate() {
        let outside = tempfile::tempdir().unwrap();
        let sandbox = outside.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let done = taken(&tar_of(entries), "x.tar", &sandbox, SMALL);
        assert!(done.is_err(), "{number}");
        let names = fs::read_dir(outside.path()).unwrap().count();
        assert_eq!(names, 2, "{number}");
        assert_eq!(
            fs::metadata(outside.path().join("secret")).unwrap().nlink(),
            1
        );
    }
}

#[test]
fn a_link_that_was_there_is_replaced_and_not_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = outside.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, sandbox.join("a")).unwrap();
    fs::hard_link(&victim, sandbox.join("b")).unwrap();
    let plain = tar_of(&[
        file("a", b"one"),
        file("b", b"two"),
        file("b", b"three"),
        link(EntryType::Link, "b", "b"),
    ]);
    taken(&plain, "x.tar", &sandbox, SMALL).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read_to_string(sandbox.join("b")).unwrap(), "three");
    fs::create_dir(sandbox.join("c")).unwrap();
    let error = taken(&tar_of(&[file("c", b"")]), "x.tar", &sandbox, SMALL).unwrap_err();
    let expected = "the archive's entry 'c' has the name of a directory that is there";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn bombs_end_at_their_bounds() {
    let many: Vec<_> = (0..101).map(|at| file(&at.to_string(), b"")).collect();
    let (_outside, _, done) = unpacked(&tar_of(&many), "x.tar");
    assert!(matches!(done, Err(ArchiveError::Entries(100))));

    let zeros = vec![0; 2 << 20];
    let (_outside, sandbox, done) = unpacked(&gz(&zeros), "zeros.gz");
    assert!(matches!(done, Err(ArchiveError::Bytes(_))));
    assert!(fs::metadata(sandbox.join("zeros")).unwrap().len() <= (1 << 20) + 1);
    let big = tar_of(&[file("big", &zeros)]);
    for bytes in [xz(&big), bz2(&big), zst(&big)] {
        let (_outside, _, done) = unpacked(&bytes, "x.tar");
        assert!(matches!(done, Err(ArchiveError::Bytes(_))));
    }
    // After the end there may be as much as before.
    let mut long = tar_of(&[file("a", b"one")]);
    long.extend(&zeros);
    let (_outside, _, done) = unpacked(&gz(&long), "x.tar");
    assert!(matches!(done, Err(ArchiveError::Bytes(_))));

    // A name as long as memory.
    let length = 8 << 20;
    let name = raw(
        header(EntryType::GNULongName, 0o644, length),
        b"././@LongLink",
        b"",
        &vec![b'n'; length],
    );
    let (_outside, _, done) = unpacked(&tar_of(&[name, file("a", b"")]), "x.tar");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("its headers are too long"), "{error}");

    // Directories that no entry names.
    let deep: Vec<_> = (0..3)
        .map(|at| file(&format!("{at}/{}f", "d/".repeat(40)), b""))
        .collect();
    let (_outside, _, done) = unpacked(&tar_of(&deep), "x.tar");
    assert!(matches!(done, Err(ArchiveError::Entries(100))), "{done:?}");

    let crowded = Bounds {
        free_inodes: u64::MAX,
        ..SMALL
    };
    let directory = tempfile::tempdir().unwrap();
    let plain = tar_of(&[file("a", b"one")]);
    let inodes = rustix::fs::statvfs(directory.path()).unwrap().f_files;
    let done = taken(&plain, "x.tar", directory.path(), crowded);
    assert!(inodes == 0 || matches!(done, Err(ArchiveError::Crowded { .. })));

    let full = Bounds {
        free_bytes: u64::MAX,
        ..SMALL
    };
    let directory = tempfile::tempdir().unwrap();
    let plain = tar_of(&[file("a", b"one")]);
    let error = taken(&plain, "x.tar", directory.path(), full).unwrap_err();
    assert!(matches!(error, ArchiveError::Full { .. }));
}

#[test]
fn what_is_called_off_ends_at_the_next_entry_or_piece_of_a_file() {
    let many = tar_of(&[file("a", b"one"), file("b", b"two"), file("c", b"three")]);
    let big = tar_of(&[file("a", &vec![7; 1 << 20])]);
    for (bytes, looks) in [(many, 4_u32), (big, 5)] {
        let archive = tempfile::tempfile().unwrap();
        (&archive).write_all(&bytes).unwrap();
        io::Seek::rewind(&mut (&archive)).unwrap();
        let sandbox = tempfile::tempdir().unwrap();
        let directory = File::open(sandbox.path()).unwrap();
        let left = std::cell::Cell::new(looks);
        let is_wanted = || left.replace(left.get().saturating_sub(1)) > 0;
        let bounds = Bounds::default();
        let done = unpack(Kind::Tar, archive, "x.tar", &directory, bounds, &is_wanted);
        assert!(matches!(done, Err(ArchiveError::CalledOff)), "{done:?}");
        assert!(!sandbox.path().join("c").exists());
        let first = fs::metadata(sandbox.path().join("a")).unwrap();
        assert!(first.len() < 1 << 20);
    }
}

#[test]
fn a_damaged_archive_is_an_error() {
    let plain = tar_of(&[file("a", &[b'x'; 4000])]);
    for (name, bytes) in [
        ("gz", gz(&plain)),
        ("bz2", bz2(&plain)),
        ("xz", xz(&plain)),
        ("zst", zst(&plain)),
    ] {
        let (_outside, _, done) = unpacked(&bytes[..bytes.len() - 9], "x.tar");
        assert!(done.is_err(), "{name}: cut off");
    }
    let mut flipped = gz(&plain);
    let at = flipped.len() - 7;
    flipped[at] ^= 1;
    let (_outside, _, done) = unpacked(&flipped, "x.tar");
    assert!(done.is_err(), "its sum is wrong");
    let (_outside, _, done) = unpacked(b"no archive", "x.tar");
    assert!(done.is_err());
    let (_outside, _, done) = unpacked(b"no archive", "x.gz");
    assert!(done.is_err());
    let (_outside, _, done) = unpacked(b"no archive", "x.zip");
    assert!(done.is_err());
    let (_outside, _, done) = unpacked(b"", "x.zip");
    assert!(done.is_err());
}

#[test]
fn what_a_name_says() {
    for name in ["a.tar", "a.tgz", "a.tar.bz2", "a.txz", "a.tar.zst", ".tar"] {
        assert_eq!(Kind::of(name), Some(Kind::Tar), "{name}");
    }
    assert_eq!(Kind::of("a.zip"), Some(Kind::Zip));
    assert_eq!(Kind::of("a.gz"), Some(Kind::Gzip));
    for name in [".gz", "a", "a.xz", "a.zst", "a.zip.txt", "a.TAR"] {
        assert_eq!(Kind::of(name), None, "{name}");
    }
}

#[test]
fn a_builder_of_others_is_understood() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("{}/{}", "directory".repeat(12), "name".repeat(30));
    let mut header = header(EntryType::Regular, 0o640, 3);
    builder
        .append_data(&mut header, &long, &b"one"[..])
        .unwrap();
    let (_outside, sandbox, done) = unpacked(&builder.into_inner().unwrap(), "x.tar");
    done.unwrap();
    assert_eq!(fs::read_to_string(sandbox.join(long)).unwrap(), "one");

    let mut builder = Builder::new(Vec::new());
    let deep = format!("{}x", "d/".repeat(128));
    builder
        .append_data(&mut header, &deep, &b"one"[..])
        .unwrap();
    let (_outside, _, done) = unpacked(&builder.into_inner().unwrap(), "x.tar");
    let error = done.unwrap_err().to_string();
    assert!(
        error.ends_with("has a name that no file can have"),
        "{error}"
    );
}

proptest! {
    /// Whatever bytes: no panic, nothing outside, bounded.
    #[test]
    fn no_bytes_do_harm(
        name in prop::sample::select(vec!["x.tar", "x.zip", "x.gz"]),
        magic in prop::sample::select(vec![
            &b""[..], &[0x1f, 0x8b, 8, 0], b"BZh9", &[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4], &[0x28, 0xb5, 0x2f, 0xfd], b"PK\x03\x04",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let bytes = [magic, &noise[..]].concat();
        let (outside, _, _) = unpacked(&bytes, name);
        prop_assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    /// A good archive with some bytes changed.
    #[test]
    fn damage_does_no_harm(
        form in 0_usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let plain = tar_of(&[
            file("sub/a", b"one"),
            link(EntryType::Symlink, "way", "sub"),
            file("way/b", b"two"),
        ]);
        let (name, mut bytes) = match form {
            0 => ("x.tar", plain),
            1 => ("x.tar", gz(&plain)),
            2 => ("x.tar", bz2(&plain)),
            3 => ("x.tar", xz(&plain)),
            4 => ("x.tar", zst(&plain)),
            _ => ("x.zip", zip_of(&[("a", 0o644, b"one"), ("way->", 0o777, b"..")])),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (outside, _, _) = unpacked(&bytes, name);
        prop_assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

#[test]
fn the_file_is_read_from_where_it_stands_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.tar");
    fs::write(&path, tar_of(&[file("a", b"one")])).unwrap();
    let archive = OpenOptions::new().read(true).open(&path).unwrap();
    let into = tempfile::tempdir().unwrap();
    let opened = File::open(into.path()).unwrap();
    unpack(
        Kind::Tar,
        archive,
        "x.tar",
        &opened,
        Bounds::default(),
        &|| true,
    )
    .unwrap();
    assert_eq!(fs::read_to_string(into.path().join("a")).unwrap(), "one");
}
