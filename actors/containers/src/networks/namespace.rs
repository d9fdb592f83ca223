//! Owns network namespaces that stay though no process is in them: files on which they are mounted.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    socket as new_socket,
};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// What `statfs` calls the file system of namespaces (`NSFS_MAGIC`).
const NSFS: i64 = 0x6e73_6673;
const NONE: Option<&str> = None;

/// Makes one, with its loopback up.
pub(super) fn make(at: &Path) -> io::Result<()> {
    let _: File = File::create(at)?;
    within(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        raise_loopback()?;
        let own = "/proc/thread-self/ns/net";
        Ok(mount(Some(own), at, NONE, MsFlags::MS_BIND, NONE)?)
    })
}

/// Mounts the one of a process.
pub(super) fn hold(at: &Path, pid: u32) -> io::Result<()> {
    let of_process = format!("/proc/{pid}/ns/net");
    let source = Some(of_process.as_str());
    Ok(mount(source, at, NONE, MsFlags::MS_BIND, NONE)?)
}

/// Whether a namespace is mounted there.
pub(super) fn is_one(at: &Path) -> bool {
    rustix::fs::statfs(at).is_ok_and(|found| found.f_type == NSFS)
}

/// Unmounts it: without processes it ends. The file's removal takes it from all views of the file system in which it was
/// mounted too.
pub(super) fn remove(at: &Path) -> io::Result<()> {
    while is_one(at) {
        umount2(at, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

/// A TCP socket in it that does not block.
pub(super) fn socket(at: &Path, v6: bool) -> io::Result<OwnedFd> {
    let namespace = File::open(at)?;
    let family = match v6 {
        true => AddressFamily::Inet6,
        false => AddressFamily::Inet,
    };
    within(|| {
        setns(&namespace, CloneFlags::CLONE_NEWNET)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(new_socket(family, SockType::Stream, flags, None)?)
    })
}

/// Does something on a thread of its own, whose namespace nobody else has then.
fn within<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("network".to_owned());
        let thread = thread.spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of a namespace panicked")))
    })
}

/// Sets `lo`, in every namespace the first interface, up (`rtnetlink(7)`: RTM_NEWLINK with a `struct ifinfomsg`).
fn raise_loopback() -> io::Result<()> {
    const NEW_LINK: u16 = 16;
    /// `NLM_F_REQUEST | NLM_F_ACK`.
    const FLAGS: u16 = 1 | 4;
    const LOOPBACK: i32 = 1;
    const UP: u32 = 1;
    /// A header of a message, and then the error in an answer.
    const HEADER: usize = 16;
    let mut message = Vec::with_capacity(2 * HEADER);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&NEW_LINK.to_ne_bytes());
    message.extend_from_slice(&FLAGS.to_ne_bytes());
    // Number and sender.
    message.extend_from_slice(&[0; 8]);
    // Family, padding and type.
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&LOOPBACK.to_ne_bytes());
    message.extend_from_slice(&UP.to_ne_bytes());
    // Which flags change.
    message.extend_from_slice(&UP.to_ne_bytes());
    let route = Some(SockProtocol::NetlinkRoute);
    let flags = SockFlag::SOCK_CLOEXEC;
    let kernel = new_socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
    let none = MsgFlags::empty();
    sendto(kernel.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), none)?;
    let mut answer = [0; 256];
    let length = recv(kernel.as_raw_fd(), &mut answer, none)?;
    let error = answer[..length].get(HEADER..HEADER + 4);
    let error = error.and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    match error {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
