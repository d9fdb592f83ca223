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
