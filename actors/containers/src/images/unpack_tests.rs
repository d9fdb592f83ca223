use super::*;
use crate::images::taking::Waiting;
use rustix::fs::CWD;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use tempfile::TempDir;

/// A layer being written.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Raw names: the writer's own checks are not what is tested.
    fn add(mut self, kind: EntryType, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        header.set_uid(own.0.as_raw().into());
        header.set_gid(own.1.as_raw().into());
        header.set_mtime(1_000_000);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).expect("written");
        self
    }

    fn file(self, path: &str, text: &str) -> Self {
        self.add(EntryType::Regular, path, "", text.as_bytes())
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.add(EntryType::Symlink, path, to, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("finished")
    }
}

/// A directory beside one that is none of the layer's.
struct Place {
    all: TempDir,
    waiting: Waiting,
}

impl Place {
    fn new() -> Self {
        let all = TempDir::new().expect("a directory");
        for name in ["root", "host"] {
            std::fs::create_dir(all.path().join(name)).expect("made");
        }
        std::fs::write(all.path().join("host/secret"), "kept").expect("written");
        Self {
            all,
            waiting: Waiting::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.all.path().join("root").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    fn take(&self, layer: Layer, bounds: Bounds) -> Result<(), UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, self.all.path().join("root"), flags, Mode::empty());
        let mut taking = Taking::new(bounds, &self.waiting);
        let layer = layer.bytes();
        let layer = taking.watch(layer.as_slice(), taking.archive_bytes());
        let unpacked = unpack(layer, &root.expect("open"), &mut taking);
        let host = std::fs::read_dir(self.all.path().join("host")).expect("there");
        assert_eq!(host.count(), 1, "nothing is added outside");
        let secret = std::fs::read_to_string(self.all.path().join("host/secret"));
        assert_eq!(secret.expect("there"), "kept");
        let outside = std::fs::read_dir(self.all.path()).expect("there");
        assert_eq!(outside.count(), 2, "nothing is added beside");
        unpacked
    }

    fn refused(&self, layer: Layer) -> String {
        let refused = self.take(layer, Bounds::default());
        refused.expect_err("it is refused").to_string()
    }
}

#[test]
fn files_directories_links_and_modes() {
    let place = Place::new();
    let layer = Layer::new()
        .add(EntryType::Directory, "./", "", b"")
        .add(EntryType::Directory, "etc/", "", b"")
        .file("etc/name", "box\n")
        .file("deep/down/file", "x")
        .symlink("etc/also", "/etc/name")
        .add(EntryType::Link, "etc/second", "etc/name", b"")
        .add(EntryType::Directory, "deep/", "", b"");
    place.take(layer, Bounds::default()).expect("it is taken");
    assert_eq!(place.read("etc/name"), "box\n");
    assert_eq!(place.read("deep/down/file"), "x");
    let link = std::fs::read_link(place.path("etc/also")).expect("a link");
    assert_eq!(link, Path::new("/etc/name"));
    let (one, two) = (place.path("etc/name"), place.path("etc/second"));
    let inode = |path: &Path| std::fs::metadata(path).expect("there").ino();
    assert_eq!(inode(&one), inode(&two));
    let file = std::fs::metadata(&one).expect("there");
    assert_eq!((file.mode() & 0o7777, file.mtime()), (0o644, 1_000_000));
}

#[test]
fn a_path_out_of_the_image_is_refused() {
    for path in ["../host/new", "a/../../host/new", "..", "./../x"] {
        let text = Place::new().refused(Layer::new().file(path, "x"));
        assert!(text.contains("leads out"), "{path}: {text}");
    }
    let place = Place::new();
    let text = place.refused(Layer::new().add(EntryType::Link, "in", "../host/secret", b""));
    assert!(text.contains("leads out"), "{text}");
}

#[test]
fn absolute_paths_and_links_stay_in_the_image() {
    let place = Place::new();
    let outside = place.all.path().join("host");
    let outside = outside.to_str().expect("text");
    let inner = outside.trim_start_matches('/').to_owned();
    let layer = Layer::new()
        .symlink("out", outside)
        .add(EntryType::Directory, &format!("{inner}/"), "", b"")
        .file("out/new", "inside")
        .file("/absolute", "inside too");
    place.take(layer, Bounds::default()).expect("it is taken");
    assert_eq!(place.read(&format!("{inner}/new")), "inside");
    assert_eq!(place.read("absolute"), "inside too");
}

#[test]
fn chains_of_links_end_in_the_image() {
    let place = Place::new();
    let layer = Layer::new()
        .symlink("a", "..")
        .symlink("b", "a/../..")
        .file("b/landed", "x");
    place.take(layer, Bounds::default()).expect("it is taken");
    assert_eq!(place.read("landed"), "x");
    let text = Place::new().refused(Layer::new().symlink("l", "l").file("l/x", "x"));
    assert!(text.contains("cannot be made"), "{text}");
    let text = Place::new().refused(
        Layer::new()
            .symlink("proc", "/proc/self")
            .file("proc/x", "x"),
    );
    assert!(text.contains("cannot be made"), "{text}");
}

/// As Docker, and never through what is there.
#[test]
fn what_comes_again_takes_the_place_of_what_was_there() {
    let place = Place::new();
    let secret = place.all.path().join("host/secret");
    let secret = secret.to_str().expect("text");
    let host = place.all.path().join("host");
    let layer = Layer::new()
        .file("a", "1")
        .add(EntryType::Link, "second", "a", b"")
        .file("./a", "2")
        .file("/a", "3")
        .symlink("link", secret)
        .file("link", "a file")
        .symlink("dir", host.to_str().expect("text"))
        .add(EntryType::Directory, "dir/", "", b"")
        .file("dir/kept", "x")
        .add(EntryType::Directory, "dir/", "", b"")
        .file("was/deep/file", "x")
        .symlink("was", "dir")
        .file("now", "a file")
        .add(EntryType::Directory, "now/", "", b"")
        .add(EntryType::Fifo, "link", "", b"");
    place.take(layer, Bounds::default()).expect("it is taken");
    assert_eq!(
        (place.read("a"), place.read("second")),
        ("3".into(), "1".into())
    );
    let kind = |name: &str| {
        std::fs::symlink_metadata(place.path(name))
            .expect(name)
            .file_type()
    };
    assert!(kind("link").is_fifo() && kind("dir").is_dir() && kind("now").is_dir());
    assert!(kind("was").is_symlink() && place.path("dir/kept").is_file());
    let itself = Layer::new()
        .file("a", "1")
        .add(EntryType::Link, "a", "a", b"");
    let text = Place::new().refused(itself);
    assert!(text.contains("cannot be made"), "{text}");
}

#[test]
fn devices_are_left_out_or_refused() {
    let place = Place::new();
    let layer = Layer::new()
        .add(EntryType::Char, "dev/null", "", b"")
        .file("dev/file", "x");
    place.take(layer, Bounds::default()).expect("it is taken");
    assert!(!place.path("dev/null").exists());
    for kind in [EntryType::Char, EntryType::Block] {
        let text = Place::new().refused(Layer::new().add(kind, "sda", "", b""));
        assert!(text.contains("is a device"), "{text}");
    }
}

#[test]
fn entries_and_bytes_are_bounded() {
    let few = Bounds {
        entries: 2,
        bytes: 10,
        free_bytes: 0,
    };
    let place = Place::new();
    let three = Layer::new().file("a", "").file("b", "").file("c", "");
    assert!(matches!(
        place.take(three, few),
        Err(UnpackError::Entries(2))
    ));
    let place = Place::new();
    let eleven = Layer::new().file("a", "12345").file("b", "123456");
    assert!(matches!(
        place.take(eleven, few),
        Err(UnpackError::Bytes(10))
    ));
    assert!(!place.path("c").exists());
}

#[test]
fn a_name_longer_than_memory_is_refused() {
    let long = vec![b'a'; 5 << 20];
    let layer = Layer::new()
        .add(EntryType::GNULongName, "././@LongLink", "", &long)
        .file("a", "x");
    let text = Place::new().refused(layer);
    assert!(text.contains("too long"), "{text}");
}

impl Layer {
    /// An empty file of a name that is too long for a header.
    fn long(self, path: &str) -> Self {
        self.add(EntryType::GNULongName, "././@LongLink", "", path.as_bytes())
            .file("short", "")
    }
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let name = "n".repeat(255);
    Place::new()
        .take(Layer::new().long(&name), Bounds::default())
        .expect("the longest");
    let path = vec!["n".repeat(200); 21].join("/");
    for name in [format!("{name}n"), format!(".wh.{name}"), path] {
        let text = Place::new().refused(Layer::new().long(&name));
        assert!(text.contains("no file can have"), "{text}");
    }
}

#[test]
fn what_a_layer_removes_is_bounded() {
    let above = vec!["n".repeat(200); 19].join("/");
    let mut layer = Layer::new();
    for number in 0..=MAX_REMOVED_BYTES / above.len() {
        layer = layer.long(&format!("{above}/.wh.{number}"));
    }
    let text = Place::new().refused(layer);
    assert!(text.contains("removes more"), "{text}");
}

#[test]
fn a_layer_that_breaks_off_is_refused() {
    let mut bytes = Layer::new().file("a", "12345").bytes();
    bytes.truncate(600);
    let place = Place::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, place.path(""), flags, Mode::empty()).expect("open");
    bytes.truncate(515);
    assert!(unpack(bytes.as_slice(), &root, &mut Taking::forever()).is_err());
}

/// Overlayfs' form of removals needs root.
#[test]
fn removals_become_those_of_overlayfs() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let layer = Layer::new()
        .file("etc/.wh.gone", "")
        .file("etc/.wh.kept", "")
        .file("etc/kept", "mine")
        .file("fresh/.wh..wh..opq", "")
        .file("fresh/new", "x")
        .file(".wh.whole", "")
        .file("whole/new", "x");
    place.take(layer, Bounds::default()).expect("it is taken");
    let gone = std::fs::symlink_metadata(place.path("etc/gone")).expect("a mark");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(place.read("etc/kept"), "mine");
    for name in ["fresh", "whole"] {
        let mut value = [0; 8];
        let found = rustix::fs::getxattr(place.path(name), OPAQUE_ATTRIBUTE, &mut value);
        assert_eq!(&value[..found.expect("it is set")], b"y", "{name}");
    }
    let text = Place::new().refused(Layer::new().file("etc/.wh...", ""));
    assert!(text.contains("removes nothing"), "{text}");
}

/// A little file of gzip can be followed by zeros without end.
#[test]
fn what_follows_the_end_of_a_layer_is_bounded() {
    let few = Bounds {
        entries: 9,
        bytes: 1 << 20,
        free_bytes: 0,
    };
    let root = TempDir::new().expect("a directory");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root.path(), flags, Mode::empty()).expect("open");
    let waiting = Waiting::default();
    for (zeros, is_taken) in [(1 << 19, true), (2 << 20, false)] {
        let mut taking = Taking::new(few, &waiting);
        let layer = Layer::new().bytes();
        let layer = layer.as_slice().chain(io::repeat(0).take(zeros));
        let unpacked = unpack(layer, &root, &mut taking);
        assert_eq!(unpacked.is_ok(), is_taken, "{zeros}: {unpacked:?}");
    }
    let mut taking = Taking::new(few, &waiting);
    let endless = taking.watch(io::repeat(0), taking.archive_bytes());
    unpack(endless, &root, &mut taking).expect_err("without end");
}

#[test]
fn a_disk_is_not_filled() {
    let all = Bounds {
        free_bytes: u64::MAX,
        ..Bounds::default()
    };
    let place = Place::new();
    let error = place
        .take(Layer::new().file("a", "x"), all)
        .expect_err("no room");
    assert!(error.to_string().contains("must stay so"), "{error}");
    assert!(!place.path("a").exists());
}
