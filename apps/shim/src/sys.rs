//! Owns the calls the standard library has no safe name for. It is the only file of the shim with `unsafe` in it.
#![allow(unsafe_code)]

use rustix::io::Errno;
use rustix::thread::UnshareFlags;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals a shim must not die of: whoever sends them to its session or to all of the agent's processes means the
/// agent. Only SIGKILL ends a shim before its command, and what the kernel sends for a fault of its own.
const IGNORED: [libc::c_int; 12] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
];

/// Makes the shim independent of the agent: deaf to signals, no inherited files but 0, 1 and 2. Its own session it
/// takes later, see `supervise::until_the_end`.
pub(crate) fn detach() {
    for signal in IGNORED
        .into_iter()
        .chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
    {
        // SAFETY: SIG_IGN installs no handler, and the numbers are those of signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: nothing in this process owns a descriptor above 2 yet: it runs before anything is opened.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Gives the command the signal dispositions and the mask every program expects. Called in the child before exec.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler; SIGKILL, SIGSTOP and the C library's own two are refused without harm.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is what sigemptyset makes, and the pointers are to live locals.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Keeps SIGTERM until [`wait_for_termination`], also over an exec.
pub(crate) fn block_termination() {
    let awaited = termination();
    // SAFETY: the pointer is to a live local, and no old mask is asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &awaited, std::ptr::null_mut()) };
}

/// Returns when SIGTERM has come.
pub(crate) fn wait_for_termination() {
    block_termination();
    let awaited = termination();
    let mut signal = 0;
    // SAFETY: the pointers are to live locals. It fails only for a set that holds no signal.
    unsafe { libc::sigwait(&awaited, &mut signal) };
}

fn termination() -> libc::sigset_t {
    // SAFETY: an all-zero set is what sigemptyset makes, and the pointers are to a live local.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        set
    }
}

/// A descriptor that is readable when a child has ended; for that SIGCHLD is kept back. Errors: `errno`.
pub(crate) fn child_signals() -> Result<OwnedFd, Errno> {
    // SAFETY: an all-zero set is what sigemptyset makes, and the pointers are to live locals. The descriptor is new and
    // nobody else's.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(last_errno()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// Takes the signal, so that the descriptor waits for the next one.
pub(crate) fn take_child_signal(signals: &OwnedFd) {
    let mut signal = [0; size_of::<libc::signalfd_siginfo>()];
    let _ = rustix::io::read(signals, &mut signal[..]);
}

/// As whom this thread opens files from now on: without the rights of its own user. Errors: it may not.
pub(crate) fn set_file_user(uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: both change numbers of this thread alone. They answer the number before, so that a second call with one
    // that is never valid tells what is in force.
    let (gid_now, uid_now) = unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        (libc::setfsgid(u32::MAX), libc::setfsuid(u32::MAX))
    };
    let as_asked = |now: i32, asked: u32| now.cast_unsigned() == asked;
    if as_asked(gid_now, gid) && as_asked(uid_now, uid) {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// Gives this process, or for process ids its children, namespaces of its own. Errors: `errno`.
pub(crate) fn unshare(namespaces: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the process has one thread, and no caller asks for a table of descriptors.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// From here on the kernel reaps the children of this process.
pub(crate) fn ignore_children() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Lets go of every descriptor. Nothing may use one afterwards.
pub(crate) fn close_all() {
    // SAFETY: the caller only waits from here on.
    unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
}

/// Never returns; signals end it or do not.
pub(crate) fn wait_for_ever() -> ! {
    loop {
        // SAFETY: pause has no preconditions.
        unsafe { libc::pause() };
    }
}

/// Gives this process and its descendants a filter of system calls, a whole number of instructions. Errors: `errno`.
pub(crate) fn install_filter(filter: &[u8]) -> Result<(), Errno> {
    /// `struct sock_filter` of the kernel.
    #[repr(C)]
    struct Instruction {
        code: u16,
        jump: [u8; 2],
        value: u32,
    }
    let (instructions, _) = filter.as_chunks::<8>();
    let mut program: Vec<Instruction> = instructions
        .iter()
        .map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| Instruction {
            code: u16::from_ne_bytes([c0, c1]),
            jump: [jt, jf],
            value: u32::from_ne_bytes([k0, k1, k2, k3]),
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_mut_ptr().cast(),
    };
    // SAFETY: the program lives until the kernel has copied it, its length is that of the vector, and the type of its
    // elements is laid out as the kernel's.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    match installed {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// `MOUNT_ATTR_RDONLY` of the kernel.
const READ_ONLY: u64 = 1;

/// `MOUNT_ATTR_NOSUID` of the kernel.
const NO_RIGHTS: u64 = 2;

/// `MOUNT_ATTR_IDMAP` of the kernel.
const OWNERS: u64 = 0x0010_0000;

/// `struct mount_attr` of the kernel.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes a tree of mounts that nobody sees yet read-only, whole.
pub(crate) fn make_read_only(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: READ_ONLY,
        ..MountAttributes::default()
    };
    set_attributes(tree, &attributes, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

/// Programs in a tree of mounts that nobody sees yet give nobody rights: neither set-user-id nor file capabilities count.
pub(crate) fn take_rights(tree: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: NO_RIGHTS,
        ..MountAttributes::default()
    };
    set_attributes(tree, &attributes, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

/// Owner 0 of a mount that nobody sees yet is user 0 of a user namespace, and so on (Linux 5.12).
pub(crate) fn map_owners(tree: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let descriptor = users.as_raw_fd();
    let attributes = MountAttributes {
        set: OWNERS,
        user_namespace: u64::try_from(descriptor).map_err(|_| Errno::BADF)?,
        ..MountAttributes::default()
    };
    set_attributes(tree, &attributes, libc::AT_EMPTY_PATH)
}

fn set_attributes(
    tree: BorrowedFd<'_>,
    attributes: &MountAttributes,
    flags: libc::c_int,
) -> Result<(), Errno> {
    // SAFETY: the path is a constant with its NUL, the descriptor lives, and the size is that of what the pointer is to.
    let changed = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const *attributes,
            size_of::<MountAttributes>(),
        )
    };
    if changed == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Which side of a fork this is.
pub(crate) enum Fork {
    Child,
    Parent { child: i32 },
}

/// Duplicates the process. Errors: `errno`.
pub(crate) fn fork() -> Result<Fork, i32> {
    // SAFETY: the shim has one thread, so the child finds no lock held by a thread that does not exist there.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EAGAIN)),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent { child }),
    }
}

/// Gives back the memory that holds this program's own code. The few pages the wait needs are read in again, from the
/// page cache; without this, start-up code would stay resident for as long as the container runs.
pub(crate) fn release_code() {
    unsafe extern "C" {
        /// The first byte of the program, and the first after its code: every linker for ELF defines both.
        static __executable_start: u8;
        static etext: u8;
    }
    let page_size = rustix::param::page_size();
    let first = (&raw const __executable_start)
        .addr()
        .next_multiple_of(page_size);
    let end = (&raw const etext).addr() & !(page_size - 1);
    let start = std::ptr::with_exposed_provenance_mut(first);
    // SAFETY: the range holds only read-only pages of the program's file, which the kernel reads again when touched;
    // relocated data lies behind the code. A refusal changes nothing.
    unsafe { libc::madvise(start, end.saturating_sub(first), libc::MADV_DONTNEED) };
}

/// Ends the process at once, without the parent's exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}
