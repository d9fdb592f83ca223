//! What containers are given besides a process.

use std::ops::Deref;

use tepui_containers::networks::Networks;

use super::{Inner, engine::EngineContainers};
use crate::{ContainerLogger, Isolation, provisioner::Provisioner};

pub(crate) struct Equipment {
    pub(crate) logger: ContainerLogger,
    /// Or why there are none.
    pub(crate) images: Result<Provisioner, String>,
    pub(crate) isolation: Isolation,
    /// Runs containers of type DOCKER, where there is one.
    pub(crate) engine: Option<EngineContainers>,
    /// Or why there are none.
    pub(crate) networks: Result<Networks, String>,
    /// Whether what goes through their interfaces is counted.
    pub(crate) network_metrics: bool,
}

impl Deref for Inner {
    type Target = Equipment;

    fn deref(&self) -> &Equipment {
        &self.equipment
    }
}
