//! Backups of the registry on the side of files: what `tepui cluster verify` and `restore` do without a master.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use tepui_consensus::Identity;
use tepui_engine::{RocksEngine, SharedEngine, keys};
use tepui_registry::{Backup, Registry, RegistryMachine};

use crate::naming::{EXPECTED_NAME, is_member_name};

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub cluster_id: Option<String>,
    pub index: u64,
    pub term: u64,
    /// Nanoseconds since 1970.
    pub taken_at_nanos: i64,
    /// The version of the program that made it.
    pub program: String,
    /// SHA-256 of the state.
    pub digest: String,
    pub masters: Vec<String>,
    pub agents: usize,
    pub frameworks: usize,
}

fn contents(backup: &Backup, registry: &Registry) -> Contents {
    let masters = registry.members.values();
    Contents {
        cluster_id: backup.cluster_id.clone(),
        index: backup.index,
        term: backup.term,
        taken_at_nanos: backup.taken_at_nanos,
        program: backup.program.clone(),
        digest: backup.digest.clone(),
        masters: masters.map(|it| it.name.clone()).collect(),
        agents: registry.agents.len() + registry.unreachable.len(),
        frameworks: registry.frameworks.len(),
    }
}

/// Reads a backup wholly and says what it holds.
///
/// # Errors
/// What is wrong with it.
pub fn verify(bytes: &[u8]) -> anyhow::Result<Contents> {
    let (backup, registry) = Backup::decode(bytes)?;
    Ok(contents(&backup, &registry))
}

/// What a restored master begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub contents: Contents,
    pub member_id: u64,
}

/// Makes a new group of one of a backup, in a work directory that is empty or missing.
///
/// # Errors
/// What is wrong with the backup, the name or the directory; the directory is then as it was.
pub fn restore(bytes: &[u8], work_dir: &Path, name: &str) -> anyhow::Result<Restored> {
    let (backup, registry) = Backup::decode(bytes)?;
    if !is_member_name(name) {
        bail!("--name {name}: {EXPECTED_NAME}");
    }
    let shown = work_dir.display();
    let path = work_dir.join("registry");
    if path
        .try_exists()
        .with_context(|| format!("--work-dir {shown}"))?
    {
        bail!(
            "--work-dir {shown}: there is a registry already; a backup is restored into an empty directory, so that \
             nothing is lost by mistake: name another one, or move this one away"
        );
    }
    fs::create_dir_all(work_dir).with_context(|| format!("--work-dir {shown}"))?;
    let contents = contents(&backup, &registry);
    let (member_id, state) = backup.for_one(registry, name);
    let identity = Identity {
        node_id: member_id,
        name: name.to_owned(),
        disk: uuid::Uuid::new_v4().to_string(),
        founders: [(member_id, name.to_owned())].into(),
        cluster_id: backup.cluster_id.clone(),
    };
    // Made beside its place and moved there whole: a half one is never taken for a registry.
    let unfinished = work_dir.join("registry.restoring");
    if unfinished.try_exists()? {
        fs::remove_dir_all(&unfinished).with_context(|| format!("--work-dir {shown}"))?;
    }
    {
        let options = tepui_engine::Options::default();
        let engine = RocksEngine::open(&unfinished, &keys::MASTER_FAMILIES, &options);
        let engine: SharedEngine = std::sync::Arc::new(engine.context("the new registry")?);
        let mut machine = RegistryMachine::new();
        let term = backup.next_term(tepui_kit::Clock::system().unix_nanos() as i64);
        let index = backup.index;
        tepui_consensus::restore(&engine, &identity, &mut machine, &state, index, term)?;
    }
    fs::rename(&unfinished, &path).with_context(|| format!("--work-dir {shown}"))?;
    fs::File::open(work_dir)?.sync_all()?;
    Ok(Restored {
        contents,
        member_id,
    })
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
