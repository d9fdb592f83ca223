use super::*;

#[tokio::test]
async fn a_volume_that_cannot_be_removed_does_not_stop_the_agent() {
    let root = tempfile::tempdir().unwrap();
    let volume = |id: &str| VolumeDirectory {
        path: root.path().join("volumes/roles/r").join(id),
        is_mount: false,
    };
    let clearing = || Arc::new(Clearing::default());
    let all = vec![volume("a"), volume("b")];
    change_volumes(None, clearing(), all.clone(), Vec::new())
        .await
        .unwrap();
    std::fs::write(root.path().join("volumes/removed"), "in the way").unwrap();
    let changed = change_volumes(None, clearing(), vec![volume("c")], all).await;
    assert_eq!(changed, Ok(()));
    assert!(volume("a").path.exists() && volume("c").path.exists());
    std::fs::remove_file(root.path().join("volumes/removed")).unwrap();
    let changed =
        change_volumes(None, clearing(), Vec::new(), vec![volume("a"), volume("b")]).await;
    assert_eq!(changed, Ok(()));
    assert!(!volume("a").path.exists() && !volume("b").path.exists());
}

#[tokio::test]
async fn a_volume_that_cannot_be_shown_hinders_no_other_and_each_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (sandbox, volume) = (root.path().join("sandbox"), root.path().join("v"));
    for directory in [&sandbox, &volume] {
        std::fs::create_dir(directory).unwrap();
    }
    let link = |source: &str, container_path: &str| VolumeLink {
        source: root.path().join(source),
        container_path: container_path.to_owned(),
        read_only: false,
    };
    let links = vec![link("gone", "a"), link("lost", "b"), link("v", "c")];
    let linked = link_volumes(Arc::default(), None, sandbox.clone(), None, links).await;
    let told = linked.unwrap_err();
    assert!(told.contains("gone") && told.contains("lost"), "{told}");
    assert_eq!(std::fs::read_link(sandbox.join("c")).unwrap(), volume);
}
