//! Owns the namespaces of a command: making them, joining another's, and the process that every namespace of process ids
//! must have as its first.
//!
//! That process is not the command: the kernel keeps signals from the first process that it does not handle, and most
//! programs reap no orphans. So the shim, which stays outside, starts one of its own before the command. Both are its
//! children; when the first ends, the kernel kills all others.

use crate::sys::{self, Fork};
use crate::volumes;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags};
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags, move_into_link_name_space,
};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tepui_containers::ProcessId;
use tepui_containers::record::{LaunchFailure, Stage};
use tepui_containers::spec::ShimSpec;

/// What a shim does before it forks: its children are in the command's namespace of process ids, it is not.
pub(crate) fn begin(spec: &ShimSpec) -> Result<(), LaunchFailure> {
    let failed = |errno: Errno| LaunchFailure {
        stage: Stage::Namespaces,
        errno: errno.raw_os_error(),
    };
    if whose(spec).is_some() {
        // Its child goes there, as the last step.
        return Ok(());
    }
    // Here the command itself makes the `/proc` of those process ids.
    if let Some(process) = whose_pids(spec) {
        let joined = join(process, "pid", LinkNameSpaceType::ProcessID);
        return joined.map(drop).map_err(failed);
    }
    if !spec.namespaces.pids {
        return Ok(());
    }
    sys::unshare(UnshareFlags::NEWPID).map_err(failed)?;
    start_first(spec)
}

/// What the command does, before it has mounts of its own. Says whether only its children are where it is to be: process
/// ids are another's.
pub(crate) fn enter(spec: &ShimSpec) -> Result<bool, Errno> {
    if let Some(network) = &spec.network {
        join_network(network)?;
    }
    if let Some(process) = whose(spec) {
        join(process, "net", LinkNameSpaceType::Network)?;
        join(process, "ipc", LinkNameSpaceType::InterProcessCommunication)?;
        join(process, "uts", LinkNameSpaceType::HostNameAndNISDomainName)?;
        return join(process, "pid", LinkNameSpaceType::ProcessID);
    }
    let namespaces = &spec.namespaces;
    if namespaces.outer_ipc {
        let kind = LinkNameSpaceType::InterProcessCommunication;
        join(outer(spec)?, "ipc", kind)?;
    } else if namespaces.ipc {
        sys::unshare(UnshareFlags::NEWIPC)?;
    }
    if namespaces.names {
        sys::unshare(UnshareFlags::NEWUTS)?;
        if let Some(name) = &namespaces.hostname {
            rustix::system::sethostname(name.as_encoded_bytes())?;
        }
    }
    Ok(false)
}

/// Where a command without a root of its own has mounts of its own, they show its namespaces.
pub(crate) fn show(spec: &ShimSpec) -> Result<(), Errno> {
    let at = |path: &str| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    };
    let namespaces = &spec.namespaces;
    if namespaces.outer_ipc || namespaces.ipc && !namespaces.machine_shm {
        volumes::put(&shared_memory(spec)?, &at("/dev/shm")?)?;
    }
    // Last: from then on the ids of the machine's processes mean nothing here.
    if namespaces.pids || namespaces.outer_pids {
        volumes::put(&kernel("proc", QUIET, &[])?, &at("/proc")?)?;
    }
    Ok(())
}

/// A `/dev/shm`: an empty one, or that of the container around this one.
pub(crate) fn shared_memory(spec: &ShimSpec) -> Result<OwnedFd, Errno> {
    if spec.namespaces.outer_ipc {
        return outer_memory(outer(spec)?);
    }
    let size = spec.namespaces.shm_bytes.map(|bytes| bytes.to_string());
    let size = size.as_deref().map(|size| ("size", size));
    let options: Vec<_> = [("mode", "1777")].into_iter().chain(size).collect();
    kernel("tmpfs", OF_PROGRAMS, &options)
}

/// The `/dev/shm` that a process sees. A mount can only be copied by who is where it is, so this process goes there and
/// comes back.
fn outer_memory(process: ProcessId) -> Result<OwnedFd, Errno> {
    let copy = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        volumes::copy_of(&rustix::fs::open("/dev/shm", flags, Mode::empty())?)
    };
    let Some(theirs) = other(process, "mnt")? else {
        return copy();
    };
    let own = namespace("self", "mnt")?;
    let kind = Some(LinkNameSpaceType::Mount);
    move_into_link_name_space(theirs.as_fd(), kind)?;
    let copied = copy();
    move_into_link_name_space(own.as_fd(), kind)?;
    copied
}

/// As Mesos' `namespaces/ipc`: programs map what they compile while they run from there.
const OF_PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_STRICTATIME);

/// Nothing in it is a program or a device.
pub(crate) const QUIET: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A file system of the kernel's that is nowhere yet.
pub(crate) fn kernel(
    kind: &str,
    attributes: MountAttrFlags,
    options: &[(&str, &str)],
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(context.as_fd(), flags, attributes)
}

/// The process whose namespaces the command has.
pub(crate) fn whose(spec: &ShimSpec) -> Option<ProcessId> {
    spec.enter
        .or_else(|| spec.view.as_ref().map(|view| view.of))
}

/// The process whose process ids the command has.
pub(crate) fn whose_pids(spec: &ShimSpec) -> Option<ProcessId> {
    whose(spec).or_else(|| spec.outer.filter(|_| spec.namespaces.outer_pids))
}

fn outer(spec: &ShimSpec) -> Result<ProcessId, Errno> {
    spec.outer.ok_or(Errno::SRCH)
}

/// Sees what another command sees.
pub(crate) fn join_mounts(process: ProcessId) -> Result<(), Errno> {
    join(process, "mnt", LinkNameSpaceType::Mount).map(drop)
}

/// Takes a namespace of a process as its own. Where they have the same there is nothing to take, and no right needed.
/// Says whether there was.
fn join(process: ProcessId, name: &str, kind: LinkNameSpaceType) -> Result<bool, Errno> {
    let Some(theirs) = other(process, name)? else {
        return Ok(false);
    };
    move_into_link_name_space(theirs.as_fd(), Some(kind))?;
    Ok(true)
}

/// A namespace of a process, unless it is this one's own.
pub(crate) fn other(process: ProcessId, name: &str) -> Result<Option<OwnedFd>, Errno> {
    let theirs = namespace(&process.pid.to_string(), name)?;
    // Opened first: the id cannot have changed hands before.
    if !process.exists() {
        return Err(Errno::SRCH);
    }
    let own = namespace("self", name)?;
    let (theirs_is, own_is) = (rustix::fs::fstat(&theirs)?, rustix::fs::fstat(&own)?);
    let is_own = (theirs_is.st_dev, theirs_is.st_ino) == (own_is.st_dev, own_is.st_ino);
    Ok((!is_own).then_some(theirs))
}

/// Takes the network namespace that is mounted on a file of the agent's.
fn join_network(at: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let namespace = rustix::fs::openat(CWD, at, flags, Mode::empty())?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}

fn namespace(process: &str, name: &str) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{process}/ns/{name}");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// Starts the first process and waits until it is as harmless as it must be.
fn start_first(spec: &ShimSpec) -> Result<(), LaunchFailure> {
    let failed = |errno| LaunchFailure {
        stage: Stage::Namespaces,
        errno,
    };
    let of_io = |error: std::io::Error| failed(error.raw_os_error().unwrap_or(libc::EIO));
    let (ready, tell) = std::io::pipe().map_err(of_io)?;
    if let Fork::Child = sys::fork().map_err(failed)? {
        drop(ready);
        let errno = match be_first(spec) {
            Ok(()) => 0,
            Err(errno) => errno.raw_os_error(),
        };
        let _ = rustix::io::write(&tell, &errno.to_ne_bytes());
        if errno == 0 {
            sys::close_all();
            sys::release_code();
            sys::wait_for_ever();
        }
        sys::exit_now(1);
    }
    drop(tell);
    let mut answer = [0; size_of::<i32>()];
    let read = File::from(OwnedFd::from(ready)).read_exact(&mut answer);
    read.map_err(of_io)?;
    match i32::from_ne_bytes(answer) {
        0 => Ok(()),
        errno => Err(failed(errno)),
    }
}

/// Who looks at this process through `/proc/1` finds an empty root, and nobody can look into it or become it.
fn be_first(spec: &ShimSpec) -> Result<(), Errno> {
    let _ = rustix::thread::set_name(c"tepui-init");
    // The kernel then reaps for it.
    sys::ignore_children();
    rustix::process::setsid()?;
    for file in &spec.cgroup_join {
        let written = std::fs::write(file, "0");
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    volumes::unshare()?;
    let empty = kernel("tmpfs", QUIET.union(MountAttrFlags::MOUNT_ATTR_RDONLY), &[])?;
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    };
    volumes::put(&empty, &open(&spec.runtime_dir)?)?;
    rustix::process::fchdir(open(&spec.runtime_dir)?)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)?;
    // Without its supervisor the container has no end that anybody would learn of.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
}
