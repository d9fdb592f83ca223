use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

/// Mode, owner and group of everything below a directory, itself included, by its path from there.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, u32, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let about = std::fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let name = path.strip_prefix(root).unwrap().to_owned();
        found.insert(name, (about.mode(), about.uid(), about.gid()));
    }
    found
}

fn nobody() -> Option<Credentials> {
    rustix::process::geteuid().is_root().then(|| Credentials {
        uid: 65534,
        gid: 65534,
        groups: vec![],
    })
}

/// A stock with `count` in it.
fn stocked(work: &Path, count: usize) -> Sandboxes {
    let sandboxes = Sandboxes::new(work.join("spare"), count).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        sandboxes.warm_up();
        while std::fs::read_dir(work.join("spare")).unwrap().count() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    // Its blocking task has ended with the runtime.
    drop(runtime);
    sandboxes
}

#[test]
fn one_made_ahead_is_as_one_made_at_once() {
    for owner in [None, nobody()] {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = stocked(dir.path(), 1);
        let path = |executor: &str| dir.path().join(executor).join("runs/c-1");
        sandboxes
            .prepare(&path("f1/executors/e1"), owner.as_ref())
            .unwrap();
        prepare_sandbox(&path("f2/executors/e1"), owner.as_ref()).unwrap();

        let mut ahead = tree(&dir.path().join("f1"));
        for name in OUTPUTS {
            let output = ahead.remove(&PathBuf::from("executors/e1/runs/c-1").join(name));
            let (mode, uid, _) = output.expect("an output made ahead");
            assert_eq!(mode & 0o7777, 0o644);
            let agent = rustix::process::geteuid().as_raw();
            assert_eq!(uid, owner.as_ref().map_or(agent, |owner| owner.uid));
        }
        assert_eq!(ahead, tree(&dir.path().join("f2")));
        assert_eq!(
            tree(&dir.path().join("spare")).len(),
            1,
            "it was moved, not copied"
        );
    }
}

#[test]
fn an_executor_that_has_run_before_keeps_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let sandboxes = stocked(dir.path(), 2);
    let runs = dir.path().join("executors/e1/runs");
    sandboxes.prepare(&runs.join("c-1"), None).unwrap();
    std::fs::write(runs.join("c-1/stdout"), "said").unwrap();
    sandboxes.prepare(&runs.join("c-2"), None).unwrap();
    sandboxes.prepare(&runs.join("c-3"), None).unwrap();

    assert_eq!(
        std::fs::read_to_string(runs.join("c-1/stdout")).unwrap(),
        "said"
    );
    let names: Vec<_> = tree(&runs)
        .into_keys()
        .filter(|name| name.components().count() == 1)
        .collect();
    assert_eq!(names, ["c-1", "c-2", "c-3"].map(PathBuf::from));
    assert_eq!(
        tree(&dir.path().join("spare")).len(),
        1,
        "none is left behind"
    );
}

#[test]
fn other_layouts_and_an_empty_stock_are_served_too() {
    let dir = tempfile::tempdir().unwrap();
    let sandboxes = Sandboxes::new(dir.path().join("spare"), 0).unwrap();
    sandboxes
        .prepare(&dir.path().join("a/runs/c-1"), None)
        .unwrap();
    let sandboxes = stocked(dir.path(), 1);
    sandboxes.prepare(&dir.path().join("plain"), None).unwrap();
    assert!(dir.path().join("a/runs/c-1").is_dir() && dir.path().join("plain").is_dir());
}

#[test]
fn what_an_agent_before_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(stocked(dir.path(), 3));
    Sandboxes::new(dir.path().join("spare"), 3).unwrap();
    assert_eq!(tree(&dir.path().join("spare")).len(), 1);
}
