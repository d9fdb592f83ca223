use super::*;
use crate::images::testing::{digest, layer, save};
use crate::images::unpack::Bounds;
use tempfile::TempDir;

fn opened(all: &TempDir) -> Store {
    Store::open(all.path().join("store"), Bounds::default()).expect("opened")
}

#[test]
fn an_image_is_taken_with_its_layers_and_its_settings() {
    let all = TempDir::new().expect("a directory");
    let layers = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let path = all.path().join("box:1.tar");
    save(&path, "box:1", &layers);
    let store = opened(&all);
    let reference: Reference = "box:1".parse().expect("a name");
    let taken = take(&path, &reference, &store, &mut Taking::forever()).expect("taken");
    let digests: Vec<String> = layers.iter().map(|it| digest(it).to_string()).collect();
    assert_eq!(taken.layers, digests);
    assert_eq!(
        (taken.run.cmd.as_slice(), taken.run.env.as_slice()),
        (&["run".to_owned()][..], &["A=1".to_owned()][..])
    );
    assert_eq!(store.image(&reference, &mut Taking::forever()), Some(taken));
}

/// Mesos' `ProvisionerDockerLocalStoreTest.MissingLayer`: a layer that is gone is brought again.
#[test]
fn an_image_with_a_missing_layer_is_taken_again() {
    let all = TempDir::new().expect("a directory");
    let layers = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let path = all.path().join("box:1.tar");
    save(&path, "box:1", &layers);
    let store = opened(&all);
    let reference: Reference = "box:1".parse().expect("a name");
    take(&path, &reference, &store, &mut Taking::forever()).expect("taken");
    let gone = store.layer(&digest(&layers[1])).expect("there");
    std::fs::remove_dir_all(&gone).expect("removed");
    assert_eq!(store.image(&reference, &mut Taking::forever()), None);
    take(&path, &reference, &store, &mut Taking::forever()).expect("taken");
    assert!(store.image(&reference, &mut Taking::forever()).is_some() && gone.join("b").is_file());
}

#[test]
fn what_is_no_such_archive_is_refused() {
    let all = TempDir::new().expect("a directory");
    let store = opened(&all);
    let reference: Reference = "box:1".parse().expect("a name");
    let path = all.path().join("odd.tar");
    std::fs::write(&path, "no archive at all").expect("written");
    assert!(take(&path, &reference, &store, &mut Taking::forever()).is_err());
    std::fs::write(&path, layer(&[("other", "x")])).expect("written");
    assert!(
        matches!(take(&path, &reference, &store, &mut Taking::forever()), Err(ImageError::NoMember { member, .. }) if member == MANIFEST)
    );
    let manifest = r#"[{"Config":"../../etc/passwd","RepoTags":["box:1"],"Layers":["a"]}]"#;
    std::fs::write(&path, layer(&[("manifest.json", manifest)])).expect("written");
    assert!(matches!(
        take(&path, &reference, &store, &mut Taking::forever()),
        Err(ImageError::NoMember { .. })
    ));
}

#[test]
fn names_stay_in_the_archive() {
    assert_eq!(plain_name("", b"./a/../b"), Some("b".to_owned()));
    assert_eq!(
        plain_name("x/y", b"../z/layer.tar"),
        Some("x/z/layer.tar".to_owned())
    );
    for name in [&b"../a"[..], b"/a", b"a/../..", b"", b"."] {
        assert_eq!(plain_name("", name), None);
    }
}

/// As Mesos looks for it.
#[test]
fn an_image_named_without_a_tag_may_be_an_archive_without_one() {
    let all = TempDir::new().expect("a directory");
    save(
        &all.path().join("box.tar"),
        "box:latest",
        &[layer(&[("a", "1")])],
    );
    let store = opened(&all);
    let taken = |name: &str| {
        let reference: Reference = name.parse().expect("a name");
        crate::images::folder::take(all.path(), &reference, &store, &mut Taking::forever())
    };
    assert_eq!(taken("box").expect("taken").layers.len(), 1);
    taken("box:latest").expect_err("another name");
}
