//! A registry in one file, to be kept elsewhere: magic number, envelope with a CRC, and the state with its SHA-256.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tepui_engine::record;

use crate::CAPABILITIES;
use crate::keys::VERSION as STATE_VERSION;
use crate::state::{MemberRecord, Registry};

const MAGIC: &[u8; 8] = b"TepuiBak";
const VERSION: u8 = 1;
/// Least that is added to the term of a restored cluster: it must be above all that the old one had after the backup,
/// since agents refuse a lower term than they have seen.
const TERM_STEP: u64 = 1 << 20;
/// Age of a backup, in seconds, that counts in full; of what is beyond, each [`OLD_SECONDS`] count. Clients of ZooKeeper
/// read a hundredfold of the term as a number of 31 bits.
const YOUNG_SECONDS: u64 = 1 << 22;
const OLD_SECONDS: u64 = 64;

/// A registry at one moment, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    pub cluster_id: Option<String>,
    /// Everything that was acknowledged up to this entry of the log is in it.
    pub index: u64,
    pub term: u64,
    /// Nanoseconds since 1970, by the clock of the master that made it.
    pub taken_at_nanos: i64,
    /// Version of the program that made it.
    pub program: String,
    /// SHA-256 of the state, in hexadecimal digits.
    pub digest: String,
    state: Bytes,
}

/// Why bytes are no backup that can be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    #[error(
        "it is no backup of a registry: it does not begin as one does; was another file named?"
    )]
    Magic,
    #[error("it is damaged or cut short ({0}); use another copy")]
    Damaged(String),
    #[error("its state has the SHA-256 {found}, it was made with {expected}; use another copy")]
    Digest { expected: String, found: String },
    #[error("its state cannot be used: {0}")]
    State(String),
}

impl Backup {
    pub fn of(
        registry: &Registry,
        index: u64,
        term: u64,
        taken_at_nanos: i64,
        program: &str,
    ) -> Self {
        let state = record::encode(STATE_VERSION, registry);
        Self {
            cluster_id: registry.cluster_id.clone(),
            index,
            term,
            taken_at_nanos,
            program: program.to_owned(),
            digest: digest(&state),
            state: state.into(),
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&record::encode(VERSION, self));
        bytes
    }

    /// Reads and verifies a file: envelope, digest, and that the state is one this program can open.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Registry), BackupError> {
        let sealed = bytes.strip_prefix(MAGIC).ok_or(BackupError::Magic)?;
        let backup: Self = record::decode(VERSION, sealed)
            .map_err(|error| BackupError::Damaged(error.to_string()))?;
        let found = digest(&backup.state);
        if found != backup.digest {
            return Err(BackupError::Digest {
                expected: backup.digest,
                found,
            });
        }
        let registry: Registry = record::decode(STATE_VERSION, &backup.state)
            .map_err(|error| BackupError::State(error.to_string()))?;
        registry.check().map_err(BackupError::State)?;
        let mut required = registry.minimum_capabilities.iter();
        if let Some(unknown) = required.find(|name| !CAPABILITIES.contains(&name.as_str())) {
            return Err(BackupError::State(format!(
                "it requires the capability {unknown}, which this program lacks; use a newer version"
            )));
        }
        Ok((backup, registry))
    }

    /// The term with which a cluster restored at `now_nanos` begins. It grows with the age of the backup, faster than
    /// elections come: of two clusters restored from one backup, the later one is above all that the earlier one had.
    pub fn next_term(&self, now_nanos: i64) -> u64 {
        let age = now_nanos.saturating_sub(self.taken_at_nanos) / 1_000_000_000;
        // A clock that was set back makes it no less.
        let age = u64::try_from(age).unwrap_or(0);
        let young = age.min(YOUNG_SECONDS);
        let step = TERM_STEP + young + (age - young) / OLD_SECONDS;
        self.term.saturating_add(step)
    }

    /// The state for a new group of the one master `name`, as a state machine takes it, and the id it gets: one
    /// that was never given.
    pub fn for_one(&self, mut registry: Registry, name: &str) -> (u64, Bytes) {
        let id = registry.last_member_id.max(1) + 1;
        let member = MemberRecord::new(name.to_owned(), String::new());
        registry.members = [(id, member)].into();
        registry.last_member_id = id;
        (id, record::encode(STATE_VERSION, &registry).into())
    }
}

fn digest(state: &[u8]) -> String {
    let bytes = Sha256::digest(state);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
