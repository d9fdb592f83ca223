//! What an agent is told about sandboxes: how long they stay.

use tepui_node::gc;

/// How sandboxes are kept, with Mesos' defaults.
#[derive(Debug, Clone, Default)]
pub struct SandboxSettings {
    pub gc: gc::Policy,
}
