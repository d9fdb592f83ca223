use super::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use std::fs;
use tempfile::TempDir;

fn layer(all: &TempDir, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let layer = all.path().join("layers").join(name);
    fs::create_dir_all(&layer).expect("made");
    for (path, text) in files {
        let path = layer.join(path);
        fs::create_dir_all(path.parent().expect("not the root")).expect("made");
        fs::write(path, text).expect("written");
    }
    layer
}

fn roots(all: &TempDir, backend: Backend) -> Roots {
    Roots::open(all.path().join("roots"), backend).expect("opened")
}

fn in_use(roots: &Roots) -> BTreeSet<String> {
    roots.layers_in_use().expect("they are known")
}

#[test]
fn the_machine_decides_what_is_best() {
    let known = "nodev\tsysfs\n\text4\nnodev\toverlay\n";
    assert_eq!(Backend::best(known, 0xef53), Backend::Overlay);
    assert_eq!(Backend::best("nodev\tsysfs\n", 0xef53), Backend::Copy);
    assert_eq!(
        Backend::best(known, 0x794c_7630),
        Backend::Copy,
        "on an overlay"
    );
    assert_eq!(Backend::best(known, 0x9123_683e), Backend::Copy, "on btrfs");
}

#[test]
fn an_overlay_names_its_layers_from_the_top() {
    let all = TempDir::new().expect("a directory");
    let layers = [layer(&all, "below", &[]), layer(&all, "above", &[])];
    let roots = roots(&all, Backend::Overlay);
    let made = roots.make("c1", &layers).expect("made");
    assert_eq!(
        made.overlay.as_deref(),
        Some("lowerdir=l/0:l/1,upperdir=u,workdir=w")
    );
    let read = |name: &str| fs::read_link(made.dir.join(name)).expect("a link");
    assert_eq!(
        [read("l/0"), read("l/1")],
        [layers[1].clone(), layers[0].clone()]
    );
    let used: Vec<String> = in_use(&roots).into_iter().collect();
    assert_eq!(used, ["above", "below"]);
    assert_eq!(roots.containers().expect("read"), ["c1"]);
    roots.remove("c1").expect("removed");
    assert!(roots.containers().expect("read").is_empty());
    assert!(layers[0].is_dir() && in_use(&roots).is_empty());
    roots.remove("c1").expect("nothing is no error");
}

#[test]
fn what_volumes_show_is_in_use_too_and_goes_with_the_container() {
    let all = TempDir::new().expect("a directory");
    let (root, volume) = (layer(&all, "root", &[]), layer(&all, "volume", &[]));
    let roots = roots(&all, Backend::Overlay);
    roots.make("c1", &[root]).expect("made");
    roots
        .make_volume("c1", 0, std::slice::from_ref(&volume))
        .expect("made");
    roots.make_volume("c2", 3, &[volume]).expect("made");
    let used: Vec<String> = in_use(&roots).into_iter().collect();
    assert_eq!(used, ["root", "volume"]);
    roots.remove("c1").expect("removed");
    let used: Vec<String> = in_use(&roots).into_iter().collect();
    assert_eq!(used, ["volume"]);
}

/// Who takes "not known" for "none" removes layers beneath containers that run.
#[test]
fn what_cannot_be_read_is_not_taken_for_unused() {
    let all = TempDir::new().expect("a directory");
    let roots = roots(&all, Backend::Overlay);
    let made = roots.make("c1", &[layer(&all, "one", &[])]).expect("made");
    let unknown = |why: &str| {
        let error = roots.layers_in_use().expect_err(why).to_string();
        assert!(error.contains("c1"), "{error}");
    };
    fs::write(made.dir.join("l/1"), "").expect("written");
    unknown("a link that cannot be read");
    fs::remove_dir_all(made.dir.join("l")).expect("removed");
    assert!(in_use(&roots).is_empty(), "one that is being removed");
    fs::write(made.dir.join("l"), "").expect("written");
    unknown("a directory that cannot be read");
    fs::remove_dir_all(all.path().join("roots")).expect("removed");
    fs::write(all.path().join("roots"), "").expect("written");
    roots.containers().expect_err("no directory");
}

/// An agent starts with what was put aside before it and not removed.
#[test]
fn what_is_put_aside_is_no_containers_any_more() {
    let all = TempDir::new().expect("a directory");
    let one = layer(&all, "one", &[]);
    for containers in [["c1", "c2"], ["c1", "c3"]] {
        let roots = roots(&all, Backend::Overlay);
        for container in containers {
            let made = roots.make(container, std::slice::from_ref(&one));
            made.expect("made");
        }
        let containers = containers.map(str::to_owned).into_iter();
        roots.put_aside(containers).expect("put aside");
        assert!(roots.containers().expect("read").is_empty());
        assert!(in_use(&roots).is_empty());
    }
    let aside = || fs::read_dir(all.path().join("roots.removed")).expect("there");
    assert_eq!(aside().count(), 4);
    roots(&all, Backend::Overlay)
        .clear_aside()
        .expect("removed");
    assert_eq!(aside().count(), 0);
    assert!(one.is_dir());
}

/// The kernel takes a page of options: names are short for the most layers that an image may have.
#[test]
fn the_most_layers_fit_the_options_of_a_mount() {
    let all = TempDir::new().expect("a directory");
    let one = layer(&all, "one", &[]);
    let layers = vec![one; crate::images::manifest::MAX_LAYERS];
    let made = roots(&all, Backend::Overlay)
        .make("c1", &layers)
        .expect("made");
    assert!(made.overlay.expect("options").len() < 4096);
}

#[test]
fn a_copy_has_what_all_layers_show() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let all = TempDir::new().expect("a directory");
    let below = layer(
        &all,
        "below",
        &[
            ("kept", "1"),
            ("gone", "1"),
            ("whole/gone", "1"),
            ("hidden/old", "1"),
            ("both/old", "1"),
            ("was/dir", "1"),
            ("file", "1"),
        ],
    );
    let above = layer(
        &all,
        "above",
        &[
            ("kept", "2"),
            ("hidden/new", "2"),
            ("both/new", "2"),
            ("was-not", "2"),
            ("file/dir", "2"),
        ],
    );
    for removed in ["gone", "whole"] {
        let mode = Mode::empty();
        let mark =
            rustix::fs::mknodat(CWD, above.join(removed), FileType::CharacterDevice, mode, 0);
        mark.expect("made");
    }
    let flags = XattrFlags::empty();
    let hides = rustix::fs::setxattr(above.join("hidden"), "trusted.overlay.opaque", b"y", flags);
    hides.expect("set");
    fs::write(above.join("was"), "a file now").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", above.join("link")).expect("linked");
    fs::hard_link(above.join("kept"), above.join("both/second")).expect("linked");
    let roots = roots(&all, Backend::Copy);
    let made = roots.make("c1", &[below, above]).expect("made");
    assert_eq!(made.overlay, None);
    let root = made.dir.join("root");
    let read = |name: &str| fs::read_to_string(root.join(name)).ok();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        (read("kept"), read("was"), read("file/dir")),
        (text("2"), text("a file now"), text("2"))
    );
    assert_eq!((read("hidden/old"), read("hidden/new")), (None, text("2")));
    assert_eq!((read("both/old"), read("both/new")), (text("1"), text("2")));
    assert!(!root.join("gone").exists() && !root.join("whole").exists());
    assert_eq!(
        fs::read_link(root.join("link")).expect("a link"),
        Path::new("/etc/passwd")
    );
    use std::os::unix::fs::MetadataExt;
    let inode = |name: &str| fs::metadata(root.join(name)).expect("there").ino();
    assert_eq!(inode("kept"), inode("both/second"));
    assert!(in_use(&roots).is_empty(), "a copy needs its layers no more");
}

/// As deep as links in a layer can make it: more than there are descriptors.
#[test]
fn a_deep_layer_is_copied() {
    let all = TempDir::new().expect("a directory");
    let deep = layer(&all, "deep", &[]);
    let path: PathBuf = std::iter::repeat_n("d", 1500).collect();
    fs::create_dir_all(deep.join(&path)).expect("made");
    fs::write(deep.join(&path).join("file"), "x").expect("written");
    let made = roots(&all, Backend::Copy).make("c1", &[deep]);
    let root = made.expect("made").dir.join("root");
    let text = fs::read_to_string(root.join(path).join("file"));
    assert_eq!(text.expect("there"), "x");
}
