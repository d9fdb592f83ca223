//! Owns reading `/proc/self/mountinfo`: for cgroup hierarchies, and for what is shared. Pure.

use crate::limits::Controller;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where cgroup hierarchies are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupMounts {
    /// The mount of each v1 controller; `cpu` and `cpuacct` often share one.
    pub v1: BTreeMap<Controller, PathBuf>,
    /// The mount of the unified hierarchy.
    pub v2: Option<PathBuf>,
}

/// Finds cgroup mounts in the text of `mountinfo`; of several mounts of one hierarchy the first counts.
pub fn parse(mountinfo: &str) -> CgroupMounts {
    let mut mounts = CgroupMounts::default();
    for line in mountinfo.lines() {
        // proc_pid_mountinfo(5): "id parent dev root POINT options [optional…] - TYPE source SUPER_OPTIONS".
        let Some((mount, filesystem)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = mount.split(' ').nth(4).map(unescape) else {
            continue;
        };
        let mut filesystem = filesystem.split(' ');
        match (filesystem.next(), filesystem.nth(1)) {
            (Some("cgroup2"), _) => {
                mounts.v2.get_or_insert(point);
            }
            (Some("cgroup"), Some(options)) => {
                for controller in Controller::ALL {
                    if options.split(',').any(|option| option == controller.name()) {
                        mounts.v1.entry(controller).or_insert_with(|| point.clone());
                    }
                }
            }
            _ => {}
        }
    }
    mounts
}

/// Where something is mounted, by the text of `mountinfo`.
pub fn points(mountinfo: &str) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(unescape).collect()
}

/// Whether `path`, which has no links, lies in a shared mount, by the text of `mountinfo`; `None` if it lies in none. Of mounts
/// in one place the last covers the others.
pub fn is_shared(mountinfo: &str, path: &Path) -> Option<bool> {
    let mut found: Option<(PathBuf, bool)> = None;
    for line in mountinfo.lines() {
        let Some((mount, _)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = mount.split(' ');
        let Some(point) = fields.nth(4).map(unescape) else {
            continue;
        };
        let is_longer = |found: &(PathBuf, bool)| point.starts_with(&found.0);
        if path.starts_with(&point) && found.as_ref().is_none_or(is_longer) {
            // The options, and then the optional fields.
            found = Some((point, fields.skip(1).any(|it| it.starts_with("shared:"))));
        }
    }
    found.map(|(_, shared)| shared)
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = (bytes[at] == b'\\')
            .then(|| field.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
