//! What is ordered of an engine, Docker's or Podman's, and what it tells of a container.

use std::path::PathBuf;

use bytes::Bytes;

/// A container that an engine makes and runs.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOrder {
    /// As the engine takes it.
    pub image: String,
    /// Whether one that is there will not do.
    pub force_pull: bool,
    /// Persistent volumes, which are the task's user's.
    pub volumes: Vec<PathBuf>,
    /// The body of its call `containers/create`, without labels.
    pub create: serde_json::Value,
}

/// A container as its engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// What `docker inspect` prints: JSON, an array of one object.
    pub json: Bytes,
    /// Its own addresses, if it has any.
    pub ip: Option<String>,
    pub ip6: Option<String>,
}
