//! Owns what the agent must know of a container of an engine to find it again: a small file on a tmpfs where there is
//! one. It says that the container is an engine's, also before the engine knows.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tepui_containers::{
    Credentials, ProcessId,
    rotation::{Bound, Rotation},
    whole,
};
use tepui_messages::containers::Patience;

const RECORD: &str = "engine";
/// How far the output is written.
pub(super) const OUTPUT: &str = "engine-output";

/// What is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) sandbox: PathBuf,
    /// Who has the sandbox: uid and gid.
    owner: Option<(u32, u32)>,
    /// Bytes and earlier files, of output and of errors.
    rotation: Option<[(u64, u8); 2]>,
    pub(super) process: KeptProcess,
    /// A command beside a container's own, which ends with the agent.
    #[serde(default)]
    pub(super) is_session: bool,
    /// The engine's id of that command.
    #[serde(default)]
    pub(super) exec: Option<String>,
    /// How long it outlives the agent, and its grace then, in milliseconds.
    #[serde(default)]
    patience: Option<(u64, u64)>,
}

/// The container's first process, once it has started: its number on the host, and its start in ticks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeptProcess(Option<(u32, u64)>);

impl From<Option<ProcessId>> for KeptProcess {
    fn from(process: Option<ProcessId>) -> Self {
        Self(process.map(|it| (it.pid, it.start_ticks)))
    }
}

impl From<KeptProcess> for Option<ProcessId> {
    fn from(kept: KeptProcess) -> Self {
        kept.0
            .map(|(pid, start_ticks)| ProcessId { pid, start_ticks })
    }
}

impl Record {
    pub(super) fn new(
        sandbox: PathBuf,
        owner: Option<&Credentials>,
        rotation: Option<Rotation>,
        patience: Option<Patience>,
    ) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bounds = |it: Rotation| [it.stdout, it.stderr].map(|it| (it.max_bytes, it.kept));
        Self {
            sandbox,
            owner: owner.map(|it| (it.uid, it.gid)),
            rotation: rotation.map(bounds),
            process: KeptProcess(None),
            is_session: false,
            exec: None,
            patience: patience.map(|it| (millis(it.timeout), millis(it.grace))),
        }
    }

    pub(super) fn of_session(exec: Option<&str>, process: Option<ProcessId>) -> Self {
        Self {
            exec: exec.map(str::to_owned),
            process: process.into(),
            is_session: true,
            ..Self::new(PathBuf::new(), None, None, None)
        }
    }

    pub(super) fn owner(&self) -> Option<Credentials> {
        self.owner.map(|(uid, gid)| Credentials {
            uid,
            gid,
            groups: Vec::new(),
        })
    }

    pub(super) fn patience(&self) -> Option<Patience> {
        self.patience.map(|(timeout, grace)| Patience {
            timeout: Duration::from_millis(timeout),
            grace: Duration::from_millis(grace),
        })
    }

    pub(super) fn rotation(&self) -> Option<Rotation> {
        let bound = |(max_bytes, kept)| Bound { max_bytes, kept };
        self.rotation.map(|[stdout, stderr]| Rotation {
            stdout: bound(stdout),
            stderr: bound(stderr),
        })
    }

    pub(super) fn read(dir: &Path) -> Result<Self, String> {
        let json = fs::read(dir.join(RECORD)).map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| error.to_string())
    }

    /// In one piece, whatever is there already.
    pub(super) fn write(&self, dir: &Path) -> Result<(), String> {
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            let fresh = dir.join(format!("{RECORD}.new"));
            whole::replace_json(&dir.join(RECORD), &fresh, self, false)
        };
        write().map_err(|error| format!("cannot keep that an engine has the container: {error}"))
    }
}

pub(super) fn exists(dir: &Path) -> bool {
    dir.join(RECORD).is_file()
}

pub(super) fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let dir = dir.display();
            tracing::warn!(%dir, %error, "the record of a container is not removed");
        }
        _ => {}
    }
}
