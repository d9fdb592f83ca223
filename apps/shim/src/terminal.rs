//! Owns making the standard streams of a container that clients can attach to: a terminal or pipes, the files of the
//! sandbox that get a copy, and the socket. Never moves a byte between them.

use crate::log_file::LogFile;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use tepui_containers::record::{LaunchFailure, Stage};
use tepui_containers::spec::{Credentials, ShimSpec};
use tepui_containers::switchboard::{Kind, SOCKET_FILE, Switchboard, Terminal, WindowSize};

/// The command's ends of its standard streams.
pub(crate) struct CommandEnds {
    /// `None`: it has none.
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    is_terminal: bool,
}

/// What the command says in one stream.
pub(crate) struct Source {
    pub(crate) stream: OwnedFd,
    pub(crate) kind: Kind,
    /// The file of the sandbox that gets a copy.
    pub(crate) copy: Option<LogFile>,
    pub(crate) has_ended: bool,
}

/// The shim's ends.
pub(crate) struct ShimEnds {
    pub(crate) stdin: OwnedFd,
    pub(crate) sources: Vec<Source>,
    pub(crate) is_terminal: bool,
    pub(crate) listener: UnixListener,
}

impl CommandEnds {
    /// Ends of pipes for what the command says alone.
    pub(crate) fn of_output(stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self {
            stdin: None,
            stdout,
            stderr,
            is_terminal: false,
        }
    }

    /// Makes them standard input, output and error. Called in the child, before exec.
    pub(crate) fn take_place(&self) -> Result<(), Errno> {
        if let Some(stdin) = &self.stdin {
            rustix::stdio::dup2_stdin(stdin)?;
        }
        rustix::stdio::dup2_stdout(&self.stdout)?;
        rustix::stdio::dup2_stderr(&self.stderr)
    }

    /// Makes a terminal that of the session, which the child has just begun: Ctrl-C is for it.
    pub(crate) fn take_control(&self) -> Result<(), Errno> {
        if let Some(terminal) = self.stdin.as_ref().filter(|_| self.is_terminal) {
            rustix::process::ioctl_tiocsctty(terminal)?;
        }
        Ok(())
    }
}

/// Makes all of it. Errors: the first that could not be made.
pub(crate) fn open(
    spec: &ShimSpec,
    switchboard: &Switchboard,
) -> Result<(CommandEnds, ShimEnds), LaunchFailure> {
    let at = |stage| {
        move |errno: Errno| LaunchFailure {
            stage,
            errno: errno.raw_os_error(),
        }
    };
    let listener = listen(&spec.runtime_dir).map_err(at(Stage::Switchboard))?;
    let streams = match &switchboard.terminal {
        Some(terminal) => make_terminal(terminal, spec.credentials.as_ref()),
        None => make_pipes(),
    };
    let (command, stdin, mut sources) = streams.map_err(at(Stage::Switchboard))?;
    if !switchboard.is_session {
        for source in &mut sources {
            let rotation = spec.rotation.as_ref();
            let (name, stage, bound) = match source.kind {
                Kind::Stderr => (&spec.stderr, Stage::Stderr, rotation.map(|it| it.stderr)),
                _ => (&spec.stdout, Stage::Stdout, rotation.map(|it| it.stdout)),
            };
            let copy = LogFile::open(spec, name, bound).map_err(at(stage))?;
            source.copy = Some(copy);
        }
    }
    let is_terminal = switchboard.terminal.is_some();
    let shim = ShimEnds {
        stdin,
        sources,
        is_terminal,
        listener,
    };
    Ok((command, shim))
}

/// Tells a terminal its size; the command gets SIGWINCH.
pub(crate) fn resize(terminal: impl AsFd, size: WindowSize) -> Result<(), Errno> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size)
}

type Streams = (CommandEnds, OwnedFd, Vec<Source>);

fn source(stream: OwnedFd, kind: Kind) -> Result<Source, Errno> {
    rustix::io::ioctl_fionbio(&stream, true)?;
    Ok(Source {
        stream,
        kind,
        copy: None,
        has_ended: false,
    })
}

fn make_terminal(terminal: &Terminal, owner: Option<&Credentials>) -> Result<Streams, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    // By the descriptor: the command's mounts may show another `/dev/pts`, or none.
    let inner = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    if let Some(owner) = owner {
        let uid = rustix::fs::Uid::from_raw(owner.uid);
        rustix::fs::fchown(&inner, Some(uid), None)?;
    }
    if let Some(size) = terminal.size {
        resize(&master, size)?;
    }
    let command = CommandEnds {
        stdout: rustix::io::fcntl_dupfd_cloexec(&inner, 3)?,
        stderr: rustix::io::fcntl_dupfd_cloexec(&inner, 3)?,
        stdin: Some(inner),
        is_terminal: true,
    };
    let stdin = rustix::io::fcntl_dupfd_cloexec(&master, 3)?;
    // A terminal says all in one stream.
    Ok((command, stdin, vec![source(master, Kind::Stdout)?]))
}

fn make_pipes() -> Result<Streams, Errno> {
    let pipe = || std::io::pipe().map_err(|error| errno(&error));
    let (stdin, to_stdin) = pipe()?;
    let (from_stdout, stdout) = pipe()?;
    let (from_stderr, stderr) = pipe()?;
    let to_stdin = OwnedFd::from(to_stdin);
    rustix::io::ioctl_fionbio(&to_stdin, true)?;
    let command = CommandEnds {
        stdin: Some(stdin.into()),
        stdout: stdout.into(),
        stderr: stderr.into(),
        is_terminal: false,
    };
    let sources = vec![
        source(from_stdout.into(), Kind::Stdout)?,
        source(from_stderr.into(), Kind::Stderr)?,
    ];
    Ok((command, to_stdin, sources))
}

/// The socket, for the agent's user alone. Its path may be longer than a socket's address: the directory is named by
/// its descriptor.
fn listen(runtime_dir: &Path) -> Result<UnixListener, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(runtime_dir, flags, Mode::empty())?;
    let address = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
    let others = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(address);
    rustix::process::umask(others);
    let listener = listener.map_err(|error| errno(&error))?;
    let nonblocking = listener.set_nonblocking(true);
    nonblocking.map_err(|error| errno(&error))?;
    Ok(listener)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
