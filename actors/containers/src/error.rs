//! Owns the errors of the agent's side.

use crate::record::{LaunchFailure, RecordError};
use std::io;
use std::path::PathBuf;

/// What can go wrong between the agent and its containers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The launch was ordered in a form that cannot be carried out; nothing was started.
    #[error("the launch of container {container_id} was refused: {reason}")]
    Invalid {
        container_id: String,
        reason: String,
    },

    #[error(
        "the user '{0}' does not exist on this machine; create it or choose another user for the task"
    )]
    UnknownUser(String),

    /// In the words of Mesos, and what can be done.
    #[error(
        "Failed to allocate gid to the volume path '{0}' because the free gid range is exhausted; destroy volumes that nobody needs, or give the agent a wider --volume-gid-range"
    )]
    NoGid(PathBuf),

    /// A cgroup could not be made, written, read or removed.
    #[error("cannot {action} {path}")]
    Cgroup {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    /// The shim's program is missing or broken: an installation at fault, not the task.
    #[error("cannot start the shim {path}; it is installed beside the tepui binary")]
    Shim { path: PathBuf, source: io::Error },

    /// The command never ran.
    #[error(transparent)]
    Launch(#[from] LaunchFailure),

    #[error(
        "the shim of container {container_id} gave no answer within {waited_ms} ms; the container was destroyed"
    )]
    ShimTimeout {
        container_id: String,
        waited_ms: u128,
    },

    #[error(
        "the shim of container {container_id} ended before it started the command; look for memory shortage or a kill by hand"
    )]
    ShimDied { container_id: String },

    #[error(transparent)]
    Record(#[from] RecordError),

    #[error(
        "container {container_id} still has {left} processes {waited_ms} ms after SIGKILL; they hang in the kernel: {who}"
    )]
    Survivors {
        container_id: String,
        left: usize,
        waited_ms: u128,
        /// The first of them.
        who: String,
    },

    #[error("the runtime has no thread for blocking work, or is shutting down")]
    Runtime,

    #[error("cannot {action}")]
    Kernel {
        action: &'static str,
        source: io::Error,
    },
}

/// Whether a file that gives this error gives it at every look: then it is the file that is wrong.
fn is_for_good(error: &io::Error) -> bool {
    let is_read_error = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    is_read_error
        || matches!(
            error.kind(),
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidData
        )
}

impl Error {
    /// Whether it says nothing of the container: the kernel or the disk did not let it be looked at, for want of
    /// descriptors, say. It is no reason to take the container for ended.
    pub fn is_blind(&self) -> bool {
        match self {
            Self::File { source, .. } => !is_for_good(source),
            Self::Cgroup { .. } | Self::Kernel { .. } | Self::Runtime => true,
            _ => false,
        }
    }

    pub(crate) fn cgroup(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Cgroup {
            action,
            path,
            source,
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn kernel(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Kernel { action, source }
    }
}
