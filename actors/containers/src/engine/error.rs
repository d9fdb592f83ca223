//! Owns the words for what goes wrong with an engine.

use std::io;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody listens, or not to us.
    #[error("the engine at {} cannot be reached; look whether it runs", .socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error("the engine at {} gave no answer to {call} within {seconds} s; look whether it hangs", .socket.display())]
    Silent {
        socket: PathBuf,
        call: String,
        seconds: u64,
    },
    /// Its own words.
    #[error("the engine says: {message}")]
    Refused { status: u16, message: String },
    /// The connection broke, or what came over it is no answer.
    #[error("the engine's answer is broken: {0}")]
    Broken(String),
    /// The sandbox, or the agent's own record.
    #[error("cannot {action} {}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl EngineError {
    /// There is no such container, image or exec.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// It was asked of a container that runs (409 of Docker, 304 of a stop; Podman has 500 with these words).
    pub fn is_not_running(&self) -> bool {
        match self {
            Self::Refused { status: 304, .. } => true,
            Self::Refused { message, .. } => {
                message.contains("is not running") || message.contains("running or paused")
            }
            _ => false,
        }
    }

    /// Nothing is known of the container: the engine itself is at fault.
    pub fn is_of_engine(&self) -> bool {
        !matches!(self, Self::Refused { status, .. } if *status < 500)
    }
}
