//! Owns the few steps between fork and exec, in the child: everything that makes the process the task's and no longer
//! the agent's. It returns only if one of them failed.

use crate::sys::{self, Fork};
use crate::{namespaces, privileges, rootfs, terminal::CommandEnds, users, volumes};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Uid};
use std::ffi::OsStr;
use std::io::{PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use tepui_containers::record::{LaunchFailure, Stage};
use tepui_containers::spec::{Credentials, HOLDER, RlimitKind, ShimSpec};

/// Becomes the command. Returns what went wrong, if it does. `streams`: its standard streams, where they are not files;
/// `users`: its user namespace, where it has one; `tell` hears of the process that becomes the command, if it is not this
/// one.
///
/// The order matters: cgroups, limits and mounts need the agent's rights; the files of the sandbox are opened with the task's
/// rights, so that no link a task planted there makes root open something.
pub(crate) fn become_command(
    spec: &ShimSpec,
    streams: Option<&CommandEnds>,
    users: Option<&OwnedFd>,
    tell: Option<PipeWriter>,
) -> LaunchFailure {
    let begun = prepare(spec, streams, users).and_then(|is_outside| {
        if is_outside {
            go_inside(tell)?;
        }
        begin_session(streams)
    });
    match begun {
        Ok(()) => exec(spec),
        Err(failure) => failure,
    }
}

/// Goes on as a child, which is among the processes of another container. Those may look into it where they have the right
/// to (CVE-2016-9962): so it goes there last, with nothing of the agent's left but what says how it fared.
fn go_inside(tell: Option<PipeWriter>) -> Result<(), LaunchFailure> {
    let fork = sys::fork().map_err(|errno| failure(Stage::Fork, Some(errno)))?;
    let Fork::Parent { child } = fork else {
        return Ok(());
    };
    let told = tell.map(|mut tell| tell.write_all(&child.to_ne_bytes()));
    // The shim takes the child over. Without it nobody would learn of its end.
    sys::exit_now(i32::from(!matches!(told, Some(Ok(())))))
}

fn begin_session(streams: Option<&CommandEnds>) -> Result<(), LaunchFailure> {
    // Last, for the reason told in `supervise::until_the_end`.
    at(Stage::Session, rustix::process::setsid())?;
    let control = streams.map_or(Ok(()), CommandEnds::take_control);
    at(Stage::Switchboard, control)
}

/// Says whether only a child of this process is where the command is to be.
fn prepare(
    spec: &ShimSpec,
    streams: Option<&CommandEnds>,
    users: Option<&OwnedFd>,
) -> Result<bool, LaunchFailure> {
    sys::reset_signals();
    if spec.argv.first().is_some_and(|name| name == HOLDER) {
        // It must not be lost before the process is ready for it, and exec keeps the mask.
        sys::block_termination();
    }
    for file in &spec.cgroup_join {
        let written = std::fs::OpenOptions::new().write(true).open(file);
        let written = written.and_then(|mut file| std::io::Write::write_all(&mut file, b"0"));
        written.map_err(|error| failure(Stage::Cgroup, error.raw_os_error()))?;
    }
    if let Some(score) = spec.oom_score_adj {
        // An agent that is to go sooner still, and may not change that, gives its command the same.
        let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
    }
    for rlimit in &spec.rlimits {
        let limit = rustix::process::Rlimit {
            current: rlimit.soft,
            maximum: rlimit.hard,
        };
        at(
            Stage::Rlimit,
            rustix::process::setrlimit(resource(rlimit.kind), limit),
        )?;
    }
    let is_outside = at(Stage::Namespaces, namespaces::enter(spec))?;
    // Once only: in another's root `/proc` shows other process ids.
    match (&spec.root, namespaces::whose(spec)) {
        (Some(root), _) => at(Stage::Root, rootfs::enter(spec, root, users))?,
        (None, Some(process)) => at(Stage::Root, namespaces::join_mounts(process))?,
        (None, None) => at(Stage::Mount, volumes::mount(spec))?,
    }
    at(Stage::User, users.map_or(Ok(()), users::enter))?;
    rustix::process::umask(Mode::from_raw_mode(spec.umask & 0o777));
    if spec.no_new_privs {
        at(Stage::Privileges, rustix::thread::set_no_new_privs(true))?;
    }
    // What follows is as harmless as a command's own calls, and a filter needs the agent's rights.
    let mut filters = spec.seccomp.iter();
    let installed = filters.try_for_each(|filter| sys::install_filter(filter));
    at(Stage::Seccomp, installed)?;
    let capabilities = spec.capabilities.as_ref();
    at(
        Stage::Privileges,
        capabilities.map_or(Ok(()), privileges::bound),
    )?;
    // The way there may lead through what only the agent may enter: the sandbox of an executor of another user.
    let sandbox = at(Stage::Stdout, sandbox(spec))?;
    if let Some(credentials) = &spec.credentials {
        at(Stage::User, switch_user(credentials))?;
    }
    at(
        Stage::Privileges,
        capabilities.map_or(Ok(()), privileges::begin_with),
    )?;
    match streams {
        Some(streams) => at(Stage::Switchboard, streams.take_place())?,
        None => write_to_files(spec, &sandbox)?,
    }
    let entered = match spec.working_dir == spec.inner_sandbox() {
        true => rustix::process::fchdir(&sandbox),
        false => rustix::process::chdir(&spec.working_dir),
    };
    at(Stage::WorkingDir, entered)?;
    Ok(is_outside)
}

/// The sandbox as the command sees it. Tasks own parts of the way, on the machine: no link is followed there.
fn sandbox(spec: &ShimSpec) -> Result<OwnedFd, Errno> {
    let path = spec.inner_sandbox();
    match path == spec.sandbox {
        true => open_sandbox(path),
        false => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty())
        }
    }
}

/// A sandbox of this machine, with the agent's rights.
pub(crate) fn open_sandbox(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
}

fn write_to_files(spec: &ShimSpec, sandbox: &OwnedFd) -> Result<(), LaunchFailure> {
    let stdout = at(Stage::Stdout, open_output(sandbox, &spec.stdout))?;
    let stderr = at(Stage::Stderr, open_output(sandbox, &spec.stderr))?;
    at(Stage::Stdout, rustix::stdio::dup2_stdout(&stdout))?;
    at(Stage::Stderr, rustix::stdio::dup2_stderr(&stderr))?;
    Ok(())
}

fn exec(spec: &ShimSpec) -> LaunchFailure {
    let (argv0, rest) = spec
        .argv
        .split_first()
        .expect("decoding refuses an empty argument vector");
    let mut command = Command::new(&spec.program);
    command.arg0(argv0).args(rest).env_clear();
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    let error = command.exec();
    failure(Stage::Exec, error.raw_os_error())
}

/// Groups first and the user last: after that there is no right left to change the others.
fn switch_user(credentials: &Credentials) -> Result<(), Errno> {
    let groups: Vec<Gid> = credentials
        .groups
        .iter()
        .map(|&group| Gid::from_raw(group))
        .collect();
    let (uid, gid) = (
        Uid::from_raw(credentials.uid),
        Gid::from_raw(credentials.gid),
    );
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Opens a file of the sandbox for appending: a regular one, in the sandbox itself, never through a link. A pipe that
/// somebody put there is refused instead of waited for.
pub(crate) fn open_output(sandbox: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file = rustix::fs::openat(&sandbox, name, flags, mode)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

fn resource(kind: RlimitKind) -> Resource {
    match kind {
        RlimitKind::Cpu => Resource::Cpu,
        RlimitKind::FileSize => Resource::Fsize,
        RlimitKind::Data => Resource::Data,
        RlimitKind::Stack => Resource::Stack,
        RlimitKind::Core => Resource::Core,
        RlimitKind::Rss => Resource::Rss,
        RlimitKind::Processes => Resource::Nproc,
        RlimitKind::OpenFiles => Resource::Nofile,
        RlimitKind::LockedMemory => Resource::Memlock,
        RlimitKind::AddressSpace => Resource::As,
        RlimitKind::Locks => Resource::Locks,
        RlimitKind::PendingSignals => Resource::Sigpending,
        RlimitKind::MessageQueue => Resource::Msgqueue,
        RlimitKind::Nice => Resource::Nice,
        RlimitKind::RealtimePriority => Resource::Rtprio,
        RlimitKind::RealtimeTime => Resource::Rttime,
    }
}

fn at<T>(stage: Stage, result: Result<T, Errno>) -> Result<T, LaunchFailure> {
    result.map_err(|errno| LaunchFailure {
        stage,
        errno: errno.raw_os_error(),
    })
}

fn failure(stage: Stage, errno: Option<i32>) -> LaunchFailure {
    LaunchFailure {
        stage,
        errno: errno.unwrap_or(libc::EINVAL),
    }
}
