//! Owns the user namespace of a command: its users are others of the machine's, who own nothing there.
//!
//! It is entered last. All mounts and the other namespaces are made by the machine's root before, and belong to him: the
//! root of the container has rights over none of them.

use crate::namespaces;
use crate::sys::{self, Fork};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use tepui_containers::UserRange;
use tepui_containers::record::{LaunchFailure, Stage};
use tepui_containers::spec::ShimSpec;

/// The namespace that the command is to be in; `None`: the machine's. Before the shim has any other: its helper would be the
/// first process there.
pub(crate) fn open(spec: &ShimSpec) -> Result<Option<OwnedFd>, LaunchFailure> {
    let opened = match (&spec.view, spec.users) {
        (Some(view), _) => namespaces::other(view.of, "user"),
        (None, Some(range)) if spec.root.is_some() => make(range).map(Some),
        (None, _) => Ok(None),
    };
    opened.map_err(|errno| LaunchFailure {
        stage: Stage::Namespaces,
        errno: errno.raw_os_error(),
    })
}

/// Becomes the root of the namespace, with all rights in it and none outside.
pub(crate) fn enter(users: &OwnedFd) -> Result<(), Errno> {
    move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))?;
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// A helper makes it and is gone when its users are set: only who is outside may say who they are.
fn make(range: UserRange) -> Result<OwnedFd, Errno> {
    let of_io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let (ready, mut tell) = std::io::pipe().map_err(of_io)?;
    let (wait, go) = std::io::pipe().map_err(of_io)?;
    let fork = sys::fork().map_err(Errno::from_raw_os_error)?;
    let Fork::Parent { child } = fork else {
        drop((ready, go));
        let errno = match sys::unshare(UnshareFlags::NEWUSER) {
            Ok(()) => 0,
            Err(errno) => errno.raw_os_error(),
        };
        let _ = tell.write_all(&errno.to_ne_bytes());
        drop(tell);
        // Until the other end is closed.
        let _ = File::from(OwnedFd::from(wait)).read(&mut [0]);
        sys::exit_now(0)
    };
    drop((tell, wait));
    let mut answer = [0; size_of::<i32>()];
    let read = File::from(OwnedFd::from(ready)).read_exact(&mut answer);
    let made = read
        .map_err(of_io)
        .and_then(|()| match i32::from_ne_bytes(answer) {
            0 => map(child, range),
            errno => Err(Errno::from_raw_os_error(errno)),
        });
    drop(go);
    let _ = rustix::process::waitpid(Pid::from_raw(child), WaitOptions::empty());
    made
}

fn map(child: i32, range: UserRange) -> Result<OwnedFd, Errno> {
    let line = format!("0 {} {}\n", range.first, range.count);
    for file in ["uid_map", "gid_map"] {
        let written = std::fs::write(format!("/proc/{child}/{file}"), &line);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, format!("/proc/{child}/ns/user"), flags, Mode::empty())
}
