use std::os::unix::fs::MetadataExt;

use tepui_messages::containers::ImageCommand;
use tokio::net::TcpListener;

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

/// A registry that hangs up after a moment, and how often it did.
async fn broken_registry() -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(connection);
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn who_waits_for_a_fetch_that_fails_does_not_try_it_again() {
    let all = tempfile::tempdir().unwrap();
    let (registry, asked) = broken_registry().await;
    let settings = ImageSettings {
        registry: format!("http://{registry}"),
        logins: None,
        gc: None,
        store_dir: None,
        backend: Some(Backend::Copy),
        ignore_runtime: false,
        sandbox_directory: "/sandbox".into(),
    };
    let provisioner = open(&settings, all.path(), all.path().join("run")).unwrap();
    let reference: Reference = "box".parse().unwrap();
    provisioner.image(&reference, true).await.unwrap_err();
    let once = std::mem::take(&mut *asked.lock().unwrap());
    let waiting = (0..5).map(|_| provisioner.image(&reference, true));
    let waited = futures_util::future::join_all(waiting).await;
    let errors: BTreeSet<String> = waited.into_iter().map(|it| it.unwrap_err()).collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), once);
    // Who comes later tries again.
    provisioner.image(&reference, true).await.unwrap_err();
    assert_eq!(*asked.lock().unwrap(), once);
}
