use std::os::unix::fs::MetadataExt;

use tepui_containers::volume_gids::GidRange;

use super::*;

fn user(uid: u32) -> Credentials {
    Credentials {
        uid,
        gid: uid,
        groups: Vec::new(),
    }
}

#[tokio::test]
async fn a_volume_that_users_share_is_given_to_none_of_them() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let [shared, own] = ["shared", "own"].map(|name| root.path().join(name));
    for volume in [&shared, &own] {
        std::fs::create_dir(volume).unwrap();
    }
    let range = GidRange::new([(10_000, 10_009)]).unwrap();
    let gids = VolumeGids::open(range, root.path().join("gids"), "boot".to_owned()).unwrap();
    gids.admit(&user(7), &shared).unwrap();
    let volumes = vec![shared.clone(), own.clone()];
    let given = give(volumes, Some(user(8)), Some(Arc::new(gids)));
    assert_eq!(given.await, Ok(()));
    let of = |volume: &Path| {
        let found = std::fs::metadata(volume).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!((of(&shared), of(&own)), ((0, 10_000), (8, 8)));
}
