use std::os::unix::fs::MetadataExt;

use tepui_messages::containers::ImageCommand;

use super::*;

/// Variables may be secrets: nobody else reads them.
#[test]
fn how_a_container_begins_is_for_its_agent_alone() {
    let all = tempfile::tempdir().unwrap();
    let (runtime, work) = (all.path().join("run/c1"), all.path().join("work"));
    std::fs::create_dir(&work).unwrap();
    let secret = ("TOKEN".to_owned(), "s3cret".to_owned());
    let order = LaunchOrder {
        env: vec![secret.clone()],
        user: Some("1000:1000".to_owned()),
        image: Some(ImageOrder {
            name: "box".to_owned(),
            cached: true,
            command: ImageCommand::default(),
            user: ImageUser::Task,
            sandbox: "/sandbox".into(),
        }),
        root: Some(RootDirectory {
            dir: work.clone(),
            overlay: None,
        }),
        working_dir: Some("/srv".into()),
        ..LaunchOrder::default()
    };
    for _ in 0..2 {
        assert!(root(&order, &runtime).unwrap().is_some());
    }
    assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(
        (mode(&runtime), mode(&runtime.join(BEGINNING))),
        (0o700, 0o600)
    );
    let kept = read_beginning(&runtime).unwrap();
    assert_eq!((kept.env, kept.user), (vec![secret], order.user));
    assert_eq!(kept.sandbox, Path::new("/sandbox"));
    assert_eq!(kept.working_dir, order.working_dir);
}
