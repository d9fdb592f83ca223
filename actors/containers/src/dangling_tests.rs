use super::*;
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use std::fs;

#[test]
fn what_was_mounted_in_a_sandbox_goes_and_what_it_shows_stays() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path().canonicalize().expect("real");
    let (volume, sandbox) = (home.join("volume"), home.join("sand box"));
    fs::create_dir_all(volume.join("deep")).expect("made");
    fs::write(volume.join("foo.txt"), "kept").expect("written");
    fs::create_dir_all(sandbox.join("dangling")).expect("made");
    let detached = std::thread::scope(|scope| {
        let in_own_namespace = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("a namespace of its own");
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).expect("private");
            let dangling = sandbox.join("dangling");
            mount_bind(&volume, &dangling).expect("mounted");
            mount_bind(&volume, dangling.join("deep")).expect("mounted within");
            // Of another sandbox whose name only begins so.
            let other = home.join("sand box of another");
            fs::create_dir(&other).expect("made");
            mount_bind(&volume, &other).expect("mounted");
            let detached = detach(&sandbox).expect("detached");
            assert!(other.join("foo.txt").exists());
            crate::removal::remove(&sandbox).expect("removed");
            detached
        });
        in_own_namespace.join().expect("done")
    });
    assert_eq!(detached, 2);
    assert!(!sandbox.exists());
    assert_eq!(
        fs::read_to_string(volume.join("foo.txt")).expect("kept"),
        "kept"
    );
    assert_eq!(detach(&home).expect("nothing there"), 0);
}
