//! Owns the root file system of a command: the order of the agent becomes mounts that only the command and its
//! descendants see, and then the old root is gone from them.
//!
//! What an image holds is from strangers, but nothing of it runs yet: names in it are resolved by the kernel as if its
//! root were the root of all, and places that must be what they are called are reached through no link.

use crate::namespaces::{self, QUIET};
use crate::secrets;
use crate::sys;
use crate::volumes::{self, ROOT};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, makedev};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tepui_containers::devices::{DeviceKind, DeviceNode};
use tepui_containers::spec::{Mount, Root, ShimSpec, ShownCgroup};

/// A file system of the kernel's.
struct Kernel {
    kind: &'static str,
    at: &'static str,
    attributes: MountAttrFlags,
    options: &'static [(&'static str, &'static str)],
}

/// Devices are its purpose.
const OF_DEVICES: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// As Mesos' isolator `filesystem/linux`.
const KERNEL: [Kernel; 4] = [
    Kernel {
        kind: "proc",
        at: "proc",
        attributes: QUIET,
        options: &[],
    },
    Kernel {
        kind: "sysfs",
        at: "sys",
        attributes: QUIET.union(MountAttrFlags::MOUNT_ATTR_RDONLY),
        options: &[],
    },
    Kernel {
        kind: "tmpfs",
        at: "dev",
        attributes: OF_DEVICES.union(MountAttrFlags::MOUNT_ATTR_STRICTATIME),
        options: &[("mode", "755"), ("size", "64k")],
    },
    Kernel {
        kind: "devpts",
        at: "dev/pts",
        attributes: OF_DEVICES,
        options: &[("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")],
    },
];

const SHARED_MEMORY: &str = "dev/shm";

/// Name, major and minor number (the kernel's `devices.txt`).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// What tells of the machine or changes it. Those of Mesos.
const MASKED: [&str; 11] = [
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/key-users",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/firmware",
];

const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// Of the machine, since its network is the container's.
const OF_HOST: [&str; 3] = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];

/// Where cgroups are looked for. The kernel has an empty directory there.
const CGROUPS: &str = "sys/fs/cgroup";

/// Gives the command its root, with the sandbox and the volumes in it, and takes the old one away.
///
/// `users`: what the agent made for the command has owners of this user namespace; what is the machine's keeps its own.
pub(crate) fn enter(spec: &ShimSpec, root: &Root, users: Option<&OwnedFd>) -> Result<(), Errno> {
    rustix::process::umask(Mode::empty());
    let shared = volumes::alone(spec)?;
    let secrets = secrets::trees(spec)?;
    let memory = match spec.namespaces.machine_shm {
        true => machine_memory()?,
        false => namespaces::shared_memory(spec)?,
    };
    // The way to it has no links: tasks own parts of it, and any would be theirs.
    let sandbox = open(CWD, &spec.sandbox, ResolveFlags::NO_SYMLINKS)?;
    let sandbox = volumes::copy_of(&sandbox)?;
    shift(&sandbox, users)?;
    let top = mount_root(root, users)?;
    KERNEL.iter().try_for_each(|it| mount_kernel(&top, it))?;
    make_devices(&top, &spec.device_nodes)?;
    put_in(&top, SHARED_MEMORY, &memory)?;
    OF_HOST.iter().try_for_each(|path| show_host(&top, path))?;
    show_cgroups(&top, &spec.cgroups_shown)?;
    hide(&top)?;
    let place = find(&top, &root.sandbox, true)?;
    volumes::put(&sandbox, &place)?;
    let sandbox = open(&top, below(&root.sandbox), INSIDE)?;
    let mut mounts = spec.mounts.iter().zip(shared);
    mounts.try_for_each(|(mount, shared)| show(&top, &sandbox, mount, shared, users))?;
    for (secret, tree) in spec.secrets.iter().zip(secrets) {
        let place = match secret.target.is_absolute() {
            true => find(&top, &secret.target, false)?,
            false => open(&sandbox, &secret.target, IN_SANDBOX)?,
        };
        volumes::put(&tree, &place)?;
    }
    find(&top, &spec.working_dir, true)?;
    rustix::process::fchdir(&top)?;
    rustix::process::pivot_root(".", ".")?;
    // The old root lies on the new one at this place.
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// Owners of a mount that is nowhere yet become those of a user namespace.
fn shift(tree: &OwnedFd, users: Option<&OwnedFd>) -> Result<(), Errno> {
    users.map_or(Ok(()), |users| sys::map_owners(tree.as_fd(), users.as_fd()))
}

fn mount_root(root: &Root, users: Option<&OwnedFd>) -> Result<OwnedFd, Errno> {
    let tree = match &root.overlay {
        Some(options) => volumes::overlay(&root.dir, options)?,
        None => {
            rustix::process::chdir(&root.dir)?;
            volumes::copy_of(&open(CWD, Path::new(ROOT), ResolveFlags::NO_SYMLINKS)?)?
        }
    };
    shift(&tree, users)?;
    let place = open(CWD, Path::new(ROOT), ResolveFlags::NO_SYMLINKS)?;
    volumes::put(&tree, &place)?;
    rustix::mount::mount_change(ROOT, MountPropagationFlags::PRIVATE)?;
    open(CWD, Path::new(ROOT), ResolveFlags::NO_SYMLINKS)
}

fn mount_kernel(top: &OwnedFd, wanted: &Kernel) -> Result<(), Errno> {
    let made = namespaces::kernel(wanted.kind, wanted.attributes, wanted.options)?;
    put_in(top, wanted.at, &made)
}

fn machine_memory() -> Result<OwnedFd, Errno> {
    let path = Path::new("/").join(SHARED_MEMORY);
    volumes::copy_of(&open(CWD, &path, ResolveFlags::empty())?)
}

/// Shows a mount in a directory of the new root, made where it is missing.
fn put_in(top: &OwnedFd, at: &str, made: &OwnedFd) -> Result<(), Errno> {
    match create(top, || rustix::fs::mkdirat(top, at, DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    volumes::put(made, &open(top, Path::new(at), STRICT)?)
}

fn make_devices(top: &OwnedFd, more: &[DeviceNode]) -> Result<(), Errno> {
    let directory = open(top, Path::new("dev"), STRICT)?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        let number = makedev(major, minor);
        rustix::fs::mknodat(&directory, name, FileType::CharacterDevice, mode, number)?;
    }
    let mut links = LINKS.iter();
    links.try_for_each(|(to, name)| rustix::fs::symlinkat(*to, &directory, *name))?;
    more.iter().try_for_each(|node| make_node(&directory, node))
}

/// One that has the name of a usual device is that one.
fn make_node(directory: &OwnedFd, node: &DeviceNode) -> Result<(), Errno> {
    let mut above = directory.try_clone().map_err(|_| Errno::MFILE)?;
    for part in node.name.parent().into_iter().flatten() {
        match rustix::fs::mkdirat(&above, part, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        above = open(&above, Path::new(part), STRICT)?;
    }
    let name = node.name.file_name().ok_or(Errno::INVAL)?;
    let kind = match node.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
    };
    let mode = Mode::from_raw_mode(node.mode);
    let number = makedev(node.major, node.minor);
    match rustix::fs::mknodat(&above, name, kind, mode, number) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// A file or directory of the machine, to be read at the same place; what is not there is not shown.
fn show_host(top: &OwnedFd, path: &str) -> Result<(), Errno> {
    let source = match open(CWD, &Path::new("/").join(path), ResolveFlags::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        source => source?,
    };
    let tree = volumes::copy_of(&source)?;
    sys::make_read_only(tree.as_fd())?;
    let place = find(top, Path::new(path), is_directory(&source)?)?;
    volumes::put(&tree, &place)
}

/// The container's own cgroups, where it would find those of the machine.
fn show_cgroups(top: &OwnedFd, shown: &[ShownCgroup]) -> Result<(), Errno> {
    let Some(place) = existing(top, CGROUPS)? else {
        return Ok(());
    };
    let show = |shown: &ShownCgroup, place: &OwnedFd| {
        let source = open(CWD, &shown.dir, ResolveFlags::NO_SYMLINKS)?;
        let tree = volumes::copy_of(&source)?;
        sys::make_read_only(tree.as_fd())?;
        volumes::put(&tree, place)
    };
    match shown {
        [] => return Ok(()),
        [whole] if whole.name.is_empty() => return show(whole, &place),
        _ => {}
    }
    let options = [("mode", "755"), ("size", "64k")];
    volumes::put(&namespaces::kernel("tmpfs", QUIET, &options)?, &place)?;
    let place = open(top, Path::new(CGROUPS), STRICT)?;
    let mut before: Option<&ShownCgroup> = None;
    for it in shown {
        match before.filter(|before| before.dir == it.dir) {
            Some(before) => rustix::fs::symlinkat(&before.name, &place, &it.name)?,
            None => {
                rustix::fs::mkdirat(&place, &it.name, DIRECTORY_MODE)?;
                show(it, &open(&place, Path::new(&it.name), STRICT)?)?;
                before = Some(it);
            }
        }
    }
    sys::make_read_only(place.as_fd())
}

fn hide(top: &OwnedFd) -> Result<(), Errno> {
    for path in READ_ONLY {
        if let Some(place) = existing(top, path)? {
            let tree = volumes::copy_of(&place)?;
            sys::make_read_only(tree.as_fd())?;
            volumes::put(&tree, &place)?;
        }
    }
    let null = open(top, Path::new("dev/null"), STRICT)?;
    for path in MASKED {
        let Some(place) = existing(top, path)? else {
            continue;
        };
        if is_directory(&place)? {
            let empty = Kernel {
                kind: "tmpfs",
                at: path,
                attributes: QUIET.union(MountAttrFlags::MOUNT_ATTR_RDONLY),
                options: &[],
            };
            mount_kernel(top, &empty)?;
        } else {
            volumes::put(&volumes::copy_of(&null)?, &place)?;
        }
    }
    Ok(())
}

/// A volume: a relative source or target lies in the sandbox, where no link is followed.
fn show(
    top: &OwnedFd,
    sandbox: &OwnedFd,
    mount: &Mount,
    shared: Option<OwnedFd>,
    users: Option<&OwnedFd>,
) -> Result<(), Errno> {
    let within = |path: &Path| open(sandbox, path, IN_SANDBOX);
    if let Some(tree) = shared {
        let is_directory = is_directory(&tree)?;
        return show_tree(top, &tree, mount, is_directory, &within);
    }
    if let Some(options) = &mount.overlay {
        let tree = volumes::overlay(&mount.source, options)?;
        shift(&tree, users)?;
        return show_tree(top, &tree, mount, true, &within);
    }
    let source = match mount.source.is_absolute() {
        true if mount.no_links => open(CWD, &mount.source, ResolveFlags::NO_SYMLINKS)?,
        true => open(CWD, &mount.source, ResolveFlags::empty())?,
        false => within(&mount.source)?,
    };
    let tree = volumes::copy_of(&source)?;
    // The sandbox is shifted already.
    if mount.source.is_absolute() && !mount.keeps_owners {
        shift(&tree, users)?;
    }
    show_tree(top, &tree, mount, is_directory(&source)?, &within)
}

fn show_tree(
    top: &OwnedFd,
    tree: &OwnedFd,
    mount: &Mount,
    is_directory: bool,
    within: &dyn Fn(&Path) -> Result<OwnedFd, Errno>,
) -> Result<(), Errno> {
    if mount.read_only {
        sys::make_read_only(tree.as_fd())?;
    }
    let place = match mount.target.is_absolute() {
        true => find(top, &mount.target, is_directory)?,
        false => within(&mount.target)?,
    };
    volumes::put(tree, &place)
}

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
/// Of names that tasks own.
const IN_SANDBOX: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);
/// Inside, and through no link.
const STRICT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_SYMLINKS);
/// Inside, through links that stay there.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The place `path` of the new root, made where it is missing. Paths are as long as the agent allows.
fn find(top: &OwnedFd, path: &Path, is_directory: bool) -> Result<OwnedFd, Errno> {
    let path = below(path);
    match open(top, path, INSIDE) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
        return Err(Errno::INVAL);
    };
    let above = find(top, above, true)?;
    // A link of the image's that leads nowhere makes way.
    match rustix::fs::unlinkat(&above, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    if is_directory {
        create(&above, || rustix::fs::mkdirat(&above, name, DIRECTORY_MODE))?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        create(&above, || {
            rustix::fs::openat(&above, name, flags, FILE_MODE)
        })?;
    }
    open(&above, Path::new(name), STRICT)
}

/// Where owners are shifted this process is none of those that can own something: then it does it as the owner of the
/// directory.
fn create<T>(above: &OwnedFd, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match make() {
        Err(Errno::OVERFLOW) => {}
        made => return made,
    }
    let owner = rustix::fs::fstat(above)?;
    sys::set_file_user(owner.st_uid, owner.st_gid)?;
    let made = make();
    sys::set_file_user(0, 0)?;
    made
}

fn existing(top: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Errno> {
    match open(top, Path::new(path), STRICT) {
        Err(Errno::NOENT) => Ok(None),
        found => found.map(Some),
    }
}

fn below(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

fn open(at: impl AsFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(at, path, flags, Mode::empty(), resolve)
}

fn is_directory(file: &OwnedFd) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(file)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Directory)
}
