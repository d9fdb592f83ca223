//! How consensus keeps its records: each in its envelope, each named by family and key where it is damaged.

use protobuf::Message;
use tepui_engine::keys::RAFT_META;
use tepui_engine::{Batch, Family, Key, SharedEngine, record};

use crate::ConsensusError;

const VERSION: u8 = 1;

pub(crate) fn meta_key(prefix: u8) -> Key {
    Key::new(prefix)
}

pub(crate) fn put(batch: &mut Batch, prefix: u8, payload: &[u8]) {
    batch.put(RAFT_META, meta_key(prefix), record::seal(VERSION, payload));
}

pub(crate) fn get(engine: &SharedEngine, prefix: u8) -> Result<Option<Vec<u8>>, ConsensusError> {
    let key = meta_key(prefix);
    let sealed = engine.get(RAFT_META, key.as_bytes())?;
    sealed
        .map(|sealed| unseal(&sealed).map(<[u8]>::to_vec))
        .transpose()
        .map_err(|error| damaged(RAFT_META, key.as_bytes(), &error))
}

pub(crate) fn require(
    engine: &SharedEngine,
    prefix: u8,
    what: &str,
) -> Result<Vec<u8>, ConsensusError> {
    let missing = || {
        let text = format!("{what} is missing");
        damaged(RAFT_META, meta_key(prefix).as_bytes(), &text)
    };
    get(engine, prefix)?.ok_or_else(missing)
}

pub(crate) fn unseal(sealed: &[u8]) -> Result<&[u8], String> {
    record::unseal(VERSION, sealed)
        .map(|(_, payload)| payload)
        .map_err(|error| error.to_string())
}

pub(crate) fn parse<M: Message>(payload: &[u8]) -> Result<M, String> {
    M::parse_from_bytes(payload).map_err(|error| error.to_string())
}

pub(crate) fn number(payload: &[u8], what: &str) -> Result<u64, ConsensusError> {
    let bytes = <[u8; 8]>::try_from(payload).map_err(|_| {
        let found = payload.len();
        ConsensusError::Damaged(format!(
            "{}: {what} has {found} bytes, expected 8",
            RAFT_META.name()
        ))
    })?;
    Ok(u64::from_be_bytes(bytes))
}

pub(crate) fn seal_message<M: Message>(message: &M) -> Vec<u8> {
    let payload = message
        .write_to_bytes()
        .expect("messages of raft have no required fields and fit into memory");
    record::seal(VERSION, &payload)
}

/// What is wrong with a record, and which one it is.
pub(crate) fn damaged(family: Family, key: &[u8], error: &str) -> ConsensusError {
    let (family, key) = (family.name(), key.escape_ascii());
    ConsensusError::Damaged(format!("{family}, record {key}: {error}"))
}
