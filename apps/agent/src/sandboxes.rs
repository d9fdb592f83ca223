//! What an agent is told about sandboxes: how long they stay, and what containers may write there.

use tepui_node::{disk::DiskWatch, gc};

use crate::ContainerLogger;

/// How sandboxes are kept, with Mesos' defaults.
#[derive(Debug, Clone, Default)]
pub struct SandboxSettings {
    pub gc: gc::Policy,
    /// `None`: nobody looks what containers hold.
    pub disk_watch: Option<DiskWatch>,
    /// What becomes of standard output and error.
    pub logger: ContainerLogger,
}
