//! Where an agent keeps what its containers' shims tell and see, and by which they see that it lives.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use sha2::{Digest, Sha256};
use tepui_containers::patience::{PRESENCE_FILE, Presence};

/// Where runtime directories lie if it can be written: a tmpfs on most machines.
pub(crate) const RUNTIME_ROOT: &str = "/run/tepui";

/// From here on no other agent can have it, and containers' shims see that one lives.
pub(crate) fn take(runtime_dir: &Path) -> anyhow::Result<Presence> {
    let shown = runtime_dir.display();
    Presence::begin(runtime_dir).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => anyhow!(
            "--runtime-dir {shown}: another agent uses it; expected a directory of this agent's alone"
        ),
        _ => anyhow!("--runtime-dir {shown}: no file can be made and locked in it ({error})"),
    })
}

/// A directory that is the same after a restart and, where possible, gone after a reboot.
pub(crate) fn find(work_dir: &Path, chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(chosen) = chosen {
        let shown = chosen.display();
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(chosen);
        made.map_err(|error| {
            anyhow!("--runtime-dir {shown}: {error}; expected a directory of this agent's alone that it can make")
        })?;
        return Ok(chosen.to_owned());
    }
    let fallback = work_dir.join("run");
    let is_container = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name() != PRESENCE_FILE)
    };
    let used = fs::read_dir(&fallback).is_ok_and(|mut entries| entries.any(is_container));
    let digest = Sha256::digest(work_dir.as_os_str().as_encoded_bytes());
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let preferred = Path::new(RUNTIME_ROOT).join(name);
    for directory in [(!used).then_some(preferred), Some(fallback)]
        .into_iter()
        .flatten()
    {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&directory);
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        if made.is_ok() && rustix::fs::access(&directory, access).is_ok() {
            return Ok(directory);
        }
    }
    bail!(
        "--work-dir {}: no directory can be made in it",
        work_dir.display()
    )
}
