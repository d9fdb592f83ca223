use std::task::Poll;

use tepui_containers::Cgroups;

use super::*;
use crate::{ContainerLogger, Isolation};

fn containers(root: &std::path::Path) -> Containers {
    let cgroups = Cgroups::none("not here".to_owned());
    Containers::new(
        Launcher::new(root.join("shim"), cgroups, 0).unwrap(),
        Sandboxes::new(root.join("spare"), 0).unwrap(),
        root.join("run"),
        Arc::default(),
        Equipment {
            logger: ContainerLogger::default(),
            images: Err("none".to_owned()),
            isolation: Isolation::default(),
            engine: None,
            networks: Err("none".to_owned()),
            volume_gids: None,
            network_metrics: false,
        },
    )
}

#[test]
fn limits_are_written_on_a_thread_that_may_wait() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    let root = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let containers = containers(root.path());
        // The only such thread is busy.
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || gone.recv());
        let mut updated = containers.update("c".to_owned(), Amounts::default());
        let waits = std::future::poll_fn(|cx| Poll::Ready(updated.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        drop(go);
        let _ = busy.await.unwrap();
        assert_eq!(updated.await, Ok(()));
    });
}

#[tokio::test]
async fn a_container_that_cannot_be_destroyed_is_counted_and_told() {
    let root = tempfile::tempdir().unwrap();
    let containers = containers(root.path());
    let dir = root.path().join("run/c");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("record"), "of another world\n").unwrap();
    let told = containers.destroy("c".to_owned()).await.unwrap_err();
    assert!(told.contains("of another world"), "{told}");
    let errors = &containers.0.errors;
    assert_eq!(errors.destroy.load(Ordering::Relaxed), 1);
    // One of which nothing is known is gone already.
    assert_eq!(containers.destroy("unknown".to_owned()).await, Ok(()));
    assert_eq!(errors.destroy.load(Ordering::Relaxed), 1);
}
