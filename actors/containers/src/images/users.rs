//! Owns finding an image's user in the image itself: names there mean what its `/etc/passwd` and `/etc/group` say, not
//! what those of the machine do.

use crate::images::unpack::{OPAQUE_ATTRIBUTE, enter};
use crate::spec::Credentials;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Of a file of users or groups.
const MAX_FILE_BYTES: u64 = 4 << 20;
const MAX_GROUPS: usize = 65_536;

/// Why an image's user cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("the image runs as '{0}', which its /etc/passwd does not name")]
    NoUser(String),
    #[error("the image runs as the group '{0}', which its /etc/group does not name")]
    NoGroup(String),
}

/// The numbers of `user`, as an image's configuration has it: `user`, `uid`, `user:group` or `uid:gid`. `layers` from the
/// bottom.
pub fn find(user: &str, layers: &[PathBuf]) -> Result<Credentials, UserError> {
    let (passwd, group) = (read(layers, "etc/passwd"), read(layers, "etc/group"));
    resolve(user, &passwd, &group)
}

fn resolve(user: &str, passwd: &str, group: &str) -> Result<Credentials, UserError> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let entries = || passwd.lines().filter_map(entry);
    let found = entries().find(|it| it.name == name);
    let number: Option<u32> = name.parse().ok();
    let found = found.or_else(|| entries().find(|it| Some(it.id) == number));
    let no_user = || UserError::NoUser(name.chars().take(80).collect());
    let (uid, primary, login) = match (found, number) {
        (Some(found), _) => (found.id, found.group, Some(found.name)),
        // A number needs no name; its group is root's, as Docker has it.
        (None, Some(uid)) => (uid, 0, None),
        (None, None) => return Err(no_user()),
    };
    if let Some(given) = group_name {
        let found = group.lines().filter_map(group_entry);
        let found = found.clone().find(|it| it.0 == given).map(|it| it.1);
        let no_group = || UserError::NoGroup(given.chars().take(80).collect());
        let gid = found.or_else(|| given.parse().ok()).ok_or_else(no_group)?;
        return Ok(Credentials {
            uid,
            gid,
            groups: vec![gid],
        });
    }
    let mine = group
        .lines()
        .filter_map(group_entry)
        .filter(|(_, _, members)| {
            login.is_some_and(|login| members.split(',').any(|member| member == login))
        });
    let mut groups: Vec<u32> = mine.map(|(_, gid, _)| gid).chain([primary]).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.truncate(MAX_GROUPS);
    Ok(Credentials {
        uid,
        gid: primary,
        groups,
    })
}

struct Entry<'a> {
    name: &'a str,
    id: u32,
    group: u32,
}

/// `name:password:uid:gid:…`.
fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.split(':');
    Some(Entry {
        name: fields.next()?,
        id: fields.nth(1)?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

/// `name:password:gid:member,…`.
fn group_entry(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
    Some((name, gid, fields.next().unwrap_or_default()))
}

/// The text of a file as the layers show it; empty where there is none.
fn read(layers: &[PathBuf], path: &str) -> String {
    for layer in layers.iter().rev() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(root) = rustix::fs::openat(CWD, layer, flags, Mode::empty()) else {
            return String::new();
        };
        match open(&root, Path::new(path)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                // What is unreadable names nobody.
                let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            Err(Errno::NOENT) if !hides(&root) => {}
            Err(_) => return String::new(),
        }
    }
    String::new()
}

/// Whether a layer hides the directory of those files in the layers below.
fn hides(root: &OwnedFd) -> bool {
    let etc = enter(root, Path::new("etc"));
    etc.is_ok_and(|etc| rustix::fs::fgetxattr(&etc, OPAQUE_ATTRIBUTE, &mut [0; 1]).is_ok())
}

fn open(root: &OwnedFd, path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // A device that stands for a removal is looked at, never opened.
    let look = OFlags::PATH | OFlags::CLOEXEC;
    let looked = rustix::fs::openat2(root, path, look, Mode::empty(), resolve)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&looked)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).map(File::from)
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
