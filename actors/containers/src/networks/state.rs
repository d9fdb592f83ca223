//! Owns what is written down of a container's networks.

use crate::networks::NetworkError;
use crate::whole;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const FILE: &str = "networks";
const FRESH: &str = "networks.new";
/// Sixteen networks with the largest configurations and answers; a longer file is damaged.
const MAX_BYTES: u64 = 64 << 20;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) hostname: String,
    pub(super) networks: Vec<Joining>,
}

/// One network: in the list before its plug-ins are called, and until they have undone what they did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) name: String,
    pub(super) interface: String,
    pub(super) info: Value,
    /// The configurations of its plug-ins, as they are called: they are undone with what they were done with.
    pub(super) plugins: Vec<Map<String, Value>>,
    /// What the last of them said.
    pub(super) answer: Option<Value>,
}

/// `None`: no plug-in was called for it.
pub(super) fn read(dir: &Path) -> Result<Option<State>, NetworkError> {
    let path = dir.join(FILE);
    let read = || {
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let state = serde_json::from_slice(&bytes)?;
        Ok(state)
    };
    match read() {
        Err::<State, io::Error>(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(NetworkError::file("read", &path)),
    }
}

/// Replaces it.
pub(super) fn write(dir: &Path, state: &State, synced: bool) -> Result<(), NetworkError> {
    let path = dir.join(FILE);
    let written = whole::replace_json(&path, &dir.join(FRESH), state, synced);
    written.map_err(NetworkError::file("write", &path))
}
