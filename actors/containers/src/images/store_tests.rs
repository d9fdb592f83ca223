use super::*;
use crate::images::testing::{digest, layer};
use std::io::Write;
use tempfile::TempDir;

struct Fixture {
    all: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            all: TempDir::new().expect("a directory"),
        }
    }

    fn store(&self) -> Store {
        let store = Store::open(self.all.path().join("store"), Bounds::default());
        store.expect("opened")
    }

    fn left(&self) -> usize {
        let tmp = std::fs::read_dir(self.all.path().join("store/tmp"));
        tmp.expect("there").count()
    }
}

fn image(name: &str, layers: &[&Digest]) -> StoredImage {
    StoredImage {
        name: name.to_owned(),
        layers: layers.iter().map(ToString::to_string).collect(),
        run: RunConfig::default(),
    }
}

fn nothing() -> Result<BTreeSet<String>, ImageError> {
    Ok(BTreeSet::new())
}

#[test]
fn a_layer_is_unpacked_once_and_found_again() {
    let fixture = Fixture::new();
    let data = layer(&[("etc/name", "box")]);
    let digest = digest(&data);
    let store = fixture.store();
    store
        .add_layer(&digest, data.as_slice(), None, &mut Taking::forever())
        .expect("added");
    let path = fixture.store().layer(&digest).expect("it is there");
    let name = std::fs::read_to_string(path.join("etc/name"));
    assert_eq!(name.expect("there"), "box");
    // What is there is not read again.
    store
        .add_layer(&digest, &b"anything"[..], None, &mut Taking::forever())
        .expect("it is there");
    assert_eq!(fixture.left(), 0);
}

#[test]
fn a_layer_of_another_digest_is_not_kept() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let data = layer(&[("a", "b")]);
    let other = digest(b"other");
    let refused = store.add_layer(&other, data.as_slice(), None, &mut Taking::forever());
    assert!(matches!(
        refused,
        Err(ImageError::Digest { what: "layer", .. })
    ));
    let refused = store.add_layer(
        &digest(&data),
        data.as_slice(),
        Some(&other),
        &mut Taking::forever(),
    );
    assert!(matches!(
        refused,
        Err(ImageError::Digest {
            what: "packed layer",
            ..
        })
    ));
    assert_eq!(
        (store.layer(&other), store.layer(&digest(&data))),
        (None, None)
    );
    assert_eq!(fixture.left(), 0);
}

#[test]
fn a_packed_layer_has_two_digests_however_it_is_packed() {
    let data = layer(&[("a", "b")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&data).expect("packed");
    let fastest = ruzstd::encoding::CompressionLevel::Fastest;
    for packed in [
        gzip.finish().expect("packed"),
        ruzstd::encoding::compress_to_vec(data.as_slice(), fastest),
    ] {
        let fixture = Fixture::new();
        let store = fixture.store();
        let added = store.add_layer(
            &digest(&data),
            packed.as_slice(),
            Some(&digest(&packed)),
            &mut Taking::forever(),
        );
        added.expect("added");
        assert!(store.layer(&digest(&data)).is_some());
    }
}

#[test]
fn an_image_is_there_while_all_its_layers_are() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let data = layer(&[("a", "b")]);
    let (there, missing) = (digest(&data), digest(b"missing"));
    store
        .add_layer(&there, data.as_slice(), None, &mut Taking::forever())
        .expect("added");
    let whole = image("box:1", &[&there]);
    store.keep(&whole).expect("kept");
    store
        .keep(&image("part:1", &[&there, &missing]))
        .expect("kept");
    let named = |name: &str| {
        fixture
            .store()
            .image(&name.parse().expect("a name"), &mut Taking::forever())
    };
    assert_eq!(named("box:1"), Some(whole));
    assert_eq!(named("part:1"), None);
    assert_eq!(named("other:1"), None);
}

/// Mesos' `MetadataManagerRecoveryWithEmptyImagesFile`.
#[test]
fn a_layer_that_an_image_has_several_times_counts_once() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let [first, second] = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let mut taking = Taking::forever();
    for data in [&first, &second] {
        let added = store.add_layer(&digest(data), data.as_slice(), None, &mut taking);
        added.expect("added");
    }
    let [first, second] = [digest(&first), digest(&second)];
    let of = |digests: &[&Digest]| store.layers_of(&image("i", digests)).expect("there");
    let expected = [&second, &first].map(|it| store.layer(it).expect("there"));
    assert_eq!(of(&[&first, &second, &first]), expected);
    assert_eq!(of(&[&first, &second, &second, &first, &first]), expected);
}

#[test]
fn an_empty_record_is_no_image() {
    let fixture = Fixture::new();
    let store = fixture.store();
    std::fs::write(store.image_file("box:1"), "").expect("written");
    assert_eq!(
        store.image(&"box:1".parse().expect("a name"), &mut Taking::forever()),
        None
    );
    store.prune(&BTreeSet::new(), nothing).expect("pruned");
    assert!(!store.image_file("box:1").exists());
}

#[test]
fn a_record_that_cannot_be_read_is_not_pruned() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let file = store.image_file("box:1");
    // A link to itself: the kernel does not open it.
    std::os::unix::fs::symlink(&file, &file).expect("linked");
    let failed = store.prune(&BTreeSet::new(), nothing);
    failed.expect_err("it may name layers");
    assert!(file.is_symlink());
}

#[test]
fn what_is_kept_or_in_use_is_not_pruned() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let mut digests = Vec::new();
    for text in ["shared", "kept", "used", "lost"] {
        let data = layer(&[("file", text)]);
        digests.push(digest(&data));
        store
            .add_layer(
                &digests[digests.len() - 1],
                data.as_slice(),
                None,
                &mut Taking::forever(),
            )
            .expect("added");
    }
    let [shared, kept, used, lost] = digests.as_slice() else {
        panic!("four layers");
    };
    for (name, own) in [("kept:1", kept), ("used:1", used), ("lost:1", lost)] {
        store.keep(&image(name, &[shared, own])).expect("kept");
    }
    let in_use = [shared, used].map(|digest| digest.hex().to_owned()).into();
    let pruned = store.prune(&BTreeSet::from(["kept:1".to_owned()]), || Ok(in_use));
    assert_eq!(
        pruned.expect("pruned"),
        Pruned {
            images: 1,
            layers: 1
        }
    );
    let there: Vec<bool> = digests.iter().map(|it| store.layer(it).is_some()).collect();
    assert_eq!(there, [true, true, true, false]);
    let pruned = store.prune(&BTreeSet::new(), nothing);
    assert_eq!(
        pruned.expect("pruned"),
        Pruned {
            images: 2,
            layers: 3
        }
    );
    assert_eq!(fixture.left(), 0);
}

#[test]
fn what_was_half_done_is_removed_at_the_next_start() {
    let fixture = Fixture::new();
    let scratch = fixture.store().scratch().expect("made");
    std::fs::write(scratch.join("half"), "x").expect("written");
    assert_eq!(fixture.left(), 1);
    fixture.store();
    assert_eq!(fixture.left(), 0);
}

#[test]
fn others_cannot_reach_programs_of_images() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new();
    fixture.store();
    let found = std::fs::metadata(fixture.all.path().join("store/layers"));
    assert_eq!(found.expect("there").mode() & 0o077, 0);
}

/// Between the look for a layer and the root that names it lie minutes of fetching others.
#[test]
fn what_is_about_to_be_used_is_not_pruned() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let data = layer(&[("a", "b")]);
    let digest = digest(&data);
    let mut first = Taking::forever();
    let added = store.add_layer(&digest, data.as_slice(), None, &mut first);
    added.expect("added");
    store.keep(&image("box:1", &[&digest])).expect("kept");
    let name = "box:1".parse().expect("a name");
    let prune = || store.prune(&BTreeSet::new(), nothing).expect("pruned");
    assert_eq!(prune(), Pruned::default());
    let mut second = Taking::forever();
    assert!(store.image(&name, &mut second).is_some());
    drop(first);
    assert_eq!(prune(), Pruned::default(), "another has found it");
    drop(second);
    let (images, layers) = (1, 1);
    assert_eq!(prune(), Pruned { images, layers });
}

#[test]
fn nothing_is_pruned_where_it_is_not_known_what_is_in_use() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let data = layer(&[("a", "b")]);
    let digest = digest(&data);
    let added = store.add_layer(&digest, data.as_slice(), None, &mut Taking::forever());
    added.expect("added");
    let unknown = || {
        Err(ImageError::file("look into", "roots")(io::Error::other(
            "x",
        )))
    };
    store.prune(&BTreeSet::new(), unknown).expect_err("unknown");
    assert!(store.layer(&digest).is_some());
}

/// An image has up to 127 layers: each within the bounds may be too much together.
#[test]
fn the_layers_of_an_image_are_bounded_together() {
    let fixture = Fixture::new();
    let bounds = Bounds {
        bytes: 3 << 10,
        ..Bounds::default()
    };
    let store = Store::open(fixture.all.path().join("store"), bounds).expect("opened");
    let waiting = Waiting::default();
    let text = "x".repeat(2 << 10);
    let layers = [layer(&[("a", &text)]), layer(&[("b", &text)])];
    let add = |data: &Vec<u8>, taking: &mut Taking| {
        store.add_layer(&digest(data), data.as_slice(), None, taking)
    };
    let mut taking = store.taking(&waiting);
    add(&layers[0], &mut taking).expect("added");
    let refused = add(&layers[1], &mut taking).expect_err("too much");
    assert!(refused.to_string().contains("more than 3072"), "{refused}");
    add(&layers[1], &mut store.taking(&waiting)).expect("of another image");
}

#[test]
fn nothing_is_unpacked_that_nobody_waits_for() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let waiting = Waiting::default();
    let mut taking = store.taking(&waiting);
    drop(waiting);
    let data = layer(&[("a", "b")]);
    let added = store.add_layer(&digest(&data), data.as_slice(), None, &mut taking);
    let error = added.expect_err("called off").to_string();
    assert!(error.contains("nobody waits"), "{error}");
    assert_eq!((store.layer(&digest(&data)), fixture.left()), (None, 0));
}
