use super::{GidRange, VolumeGids};
use crate::error::Error;
use crate::spec::Credentials;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FIRST: u32 = 10_000;
const BOOT: &str = "this boot";

struct Place(TempDir);

impl Place {
    /// Groups are given away by root alone.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("needs root");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn made(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.path(name)).unwrap();
        self.path(name)
    }

    fn open(&self, count: u32) -> VolumeGids {
        self.open_after(count, BOOT)
    }

    fn open_after(&self, count: u32, boot_id: &str) -> VolumeGids {
        let range = GidRange::new([(FIRST.into(), (FIRST + count - 1).into())]).unwrap();
        VolumeGids::open(range, self.path("volume-gids"), boot_id.to_owned()).unwrap()
    }
}

fn user(uid: u32) -> Credentials {
    Credentials {
        uid,
        gid: uid,
        groups: vec![uid],
    }
}

/// Group and mode.
fn of(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.gid(), found.permissions().mode() & 0o7777)
}

fn known(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn ranges_have_no_group_of_roots_and_none_that_is_no_number() {
    let range = GidRange::new([(30, 40), (10, 20), (15, 25), (26, 26)]).unwrap();
    assert_eq!(
        (range.len(), range.to_string()),
        (28, "[10-26,30-40]".into())
    );
    assert!(range.contains(26) && !range.contains(27));
    let most = u64::from(u32::MAX);
    for wrong in [
        vec![],
        vec![(0, 5)],
        vec![(20, 10)],
        vec![(10, most)],
        vec![(10_000, 1_099_511_627_776)],
    ] {
        assert_eq!(GidRange::new(wrong.clone()), None, "{wrong:?}");
    }
}

#[test]
fn a_volume_has_one_group_for_all_who_use_it() {
    let Some(place) = Place::new() else { return };
    let (one, two) = (place.made("one"), place.made("two"));
    fs::create_dir(one.join("in")).unwrap();
    fs::write(one.join("in/file"), "x").unwrap();
    let gids = place.open(2);
    assert_eq!(gids.admit(&user(0), &one).unwrap(), None);
    assert_eq!((gids.total(), gids.free()), (2, 2));
    assert_eq!(gids.admit(&user(7), &one).unwrap(), Some(FIRST));
    assert_eq!(gids.admit(&user(8), &one).unwrap(), Some(FIRST));
    assert_eq!((gids.total(), gids.free()), (2, 1));
    assert_eq!(of(&one), (FIRST, 0o2775));
    assert_eq!(of(&one.join("in")), (FIRST, 0o2775));
    assert_eq!(of(&one.join("in/file")), (FIRST, 0o644));
    assert_eq!(gids.admit(&user(7), &two).unwrap(), Some(FIRST + 1));
    let third = place.made("third");
    let refused = gids.admit(&user(7), &third).unwrap_err();
    assert!(matches!(&refused, Error::NoGid(path) if *path == third));
    assert!(refused.to_string().contains("free gid range is exhausted"));
    assert_eq!(of(&third).0, 0);
    // One that was removed has none, and the next has its.
    fs::remove_dir_all(&one).unwrap();
    gids.destroyed(&one).unwrap();
    assert_eq!((gids.holds(&one), gids.free()), (false, 1));
    assert_eq!(gids.admit(&user(7), &third).unwrap(), Some(FIRST));
    // A disk that was emptied is nobody's.
    gids.destroyed(&third).unwrap();
    assert_eq!(of(&third), (0, 0o755));
}

#[test]
fn a_directory_of_another_sandbox_is_its_owners_until_another_user_comes_and_after_the_container() {
    let Some(place) = Place::new() else { return };
    let sandbox = place.made("sandbox");
    chown(&sandbox, Some(7), Some(7)).unwrap();
    let gids = place.open(9);
    let admit = |user, path: &str| gids.admit_within(&user, &sandbox, Path::new(path), "outer");
    assert_eq!(admit(user(7), "own").unwrap(), None);
    assert_eq!(fs::metadata(sandbox.join("own")).unwrap().uid(), 7);
    assert_eq!(admit(user(8), "shared/./deep").unwrap(), Some(FIRST));
    let shared = sandbox.join("shared/deep");
    assert_eq!(of(&shared), (FIRST, 0o2775));
    assert_eq!(fs::metadata(&shared).unwrap().uid(), 7);
    // What lies in it has its group.
    assert_eq!(admit(user(9), "shared/deep/er").unwrap(), Some(FIRST));
    assert_eq!(gids.free(), 8);
    assert!(admit(user(8), "../out").is_err() && !place.path("out").exists());
    symlink(place.made("elsewhere"), sandbox.join("way")).unwrap();
    assert!(admit(user(8), "way").is_err());
    assert!(gids.is_shared("outer") && !gids.is_shared("other"));
    assert!(gids.ended("other").is_empty());
    assert_eq!(gids.free(), 8);
    assert!(gids.ended("outer").is_empty());
    assert_eq!(gids.free(), 9);
    // The user 7 may have no name here: then nobody's group but root's.
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(7)).unwrap();
    let primary = name.map_or(0, |user| user.gid.as_raw());
    assert_eq!(of(&shared), (primary, 0o755));
    assert_eq!(of(&shared.join("er")), (primary, 0o755));
}

#[test]
fn what_is_not_the_volumes_alone_stays_as_it_is() {
    let Some(place) = Place::new() else { return };
    let (volume, outside) = (place.made("volume"), place.made("outside"));
    fs::write(outside.join("secret"), "x").unwrap();
    fs::hard_link(outside.join("secret"), volume.join("secret")).unwrap();
    symlink(&outside, volume.join("way")).unwrap();
    let gids = place.open(1);
    gids.admit(&user(7), &volume).unwrap();
    assert_eq!(of(&outside.join("secret")).0, 0);
    assert_eq!(of(&outside), (0, 0o755));
    assert_eq!(of(&volume.join("way")).0, FIRST);
}

#[test]
fn groups_outlive_the_agent_and_not_what_had_them() {
    let Some(place) = Place::new() else { return };
    let (stays, goes, sandbox) = (place.made("stays"), place.made("goes"), place.made("box"));
    let within = Path::new("shared");
    let gids = place.open(9);
    gids.admit(&user(7), &goes).unwrap();
    gids.admit(&user(7), &stays).unwrap();
    gids.admit_within(&user(7), &sandbox, within, "outer")
        .unwrap();
    gids.admit_within(&user(7), &sandbox, Path::new("old"), "ended")
        .unwrap();
    drop(gids);
    fs::remove_dir(&goes).unwrap();
    let gids = place.open(9);
    assert_eq!((gids.total(), gids.free()), (9, 5));
    assert!(gids.recover(&known(&["outer"])).is_empty());
    assert_eq!(gids.free(), 7);
    assert!(gids.holds(&stays) && !gids.holds(&goes));
    assert_eq!(of(&sandbox.join("shared")), (FIRST + 2, 0o2775));
    assert_eq!(of(&sandbox.join("old")), (0, 0o755));
    let again = gids.admit_within(&user(7), &sandbox, within, "outer");
    assert_eq!(again.unwrap(), Some(FIRST + 2));
    // After a reboot no container is left, whatever the agent remembers.
    drop(gids);
    let gids = place.open_after(9, "next boot");
    assert!(gids.recover(&known(&["outer"])).is_empty());
    assert_eq!((gids.holds(&stays), gids.free()), (true, 8));
    assert_eq!(of(&sandbox.join("shared")), (0, 0o755));
    // Of another range it has what it had, and gives it to nobody else.
    drop(gids);
    let range = GidRange::new([(500, 501)]).unwrap();
    let gids = VolumeGids::open(range, place.path("volume-gids"), BOOT.into()).unwrap();
    assert_eq!((gids.total(), gids.free()), (2, 2));
    assert_eq!(gids.admit(&user(9), &stays).unwrap(), Some(FIRST + 1));
    assert_eq!(gids.admit(&user(9), &sandbox).unwrap(), Some(500));
}

#[test]
fn a_volume_that_cannot_be_changed_keeps_its_group_and_hinders_no_other() {
    let Some(place) = Place::new() else { return };
    let gids = place.open(9);
    let sandbox = place.made("box");
    for path in ["a", "b", "c"] {
        let admitted = gids.admit_within(&user(7), &sandbox, Path::new(path), "outer");
        admitted.unwrap();
    }
    let file = fs::File::create(sandbox.join("b/file")).unwrap();
    let flags = rustix::fs::IFlags::IMMUTABLE;
    if rustix::fs::ioctl_setflags(&file, flags).is_err() {
        eprintln!("needs a file system with files that never change");
        return;
    }
    let ended = gids.ended("outer").len();
    drop(gids);
    let gids = place.open(9);
    let recovered = gids.recover(&known(&[])).len();
    let free = gids.free();
    rustix::fs::ioctl_setflags(&file, rustix::fs::IFlags::empty()).unwrap();
    assert_eq!((ended, recovered, free), (1, 1, 8));
    assert_eq!(of(&sandbox.join("c")).0, 0);
    assert!(gids.recover(&known(&[])).is_empty() && gids.free() == 9);
}

#[test]
fn what_was_begun_before_the_agent_ended_is_done_when_somebody_comes_again() {
    let Some(place) = Place::new() else { return };
    let volume = place.made("volume");
    place.open(3).admit(&user(7), &volume).unwrap();
    chown(&volume, Some(0), Some(0)).unwrap();
    fs::create_dir(volume.join("late")).unwrap();
    chown(volume.join("late"), Some(0), Some(0)).unwrap();
    assert_eq!(place.open(3).admit(&user(7), &volume).unwrap(), Some(FIRST));
    assert_eq!(of(&volume).0, FIRST);
    assert_eq!(of(&volume.join("late")), (FIRST, 0o2775));
}

/// The file takes no more than a pipe holds, as a disk that hangs.
#[test]
fn who_looks_does_not_wait_for_a_disk_and_sees_what_is_on_it() {
    let Some(place) = Place::new() else { return };
    let held = |number: u32| {
        let path = place.path("elsewhere").join(number.to_string());
        json!({"path": path, "gid": 1 + number, "container": "c", "boot_id": BOOT})
    };
    let many: Vec<_> = (0..5_000).map(held).collect();
    fs::write(place.path("volume-gids"), json!(many).to_string()).unwrap();
    let gids = place.open(9);
    let (one, pipe) = (place.made("one"), place.path("volume-gids.new"));
    let (kind, mode) = (
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
    );
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    std::thread::scope(|scope| {
        let admitted = scope.spawn(|| gids.admit(&user(7), &one));
        let mut reader = fs::File::open(&pipe).unwrap();
        std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
        assert!(gids.table.try_lock().is_ok());
        drop(reader);
        assert!(admitted.join().unwrap().is_err());
    });
    assert_eq!((gids.holds(&one), gids.free()), (false, 9));
    assert_eq!(of(&one).0, 0);
    fs::remove_file(pipe).unwrap();
    assert_eq!(gids.admit(&user(7), &one).unwrap(), Some(FIRST));
}

#[test]
fn a_damaged_record_is_told_of() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("volume-gids");
    fs::write(&file, "[{\"path\":").unwrap();
    let range = GidRange::new([(500, 501)]).unwrap();
    let refused = VolumeGids::open(range, file, BOOT.into()).unwrap_err();
    assert!(refused.to_string().contains("volume-gids"), "{refused}");
}
