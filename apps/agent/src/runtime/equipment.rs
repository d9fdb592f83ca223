//! What containers are given besides a process.

use std::{ops::Deref, sync::Arc, time::Duration};

use tepui_containers::{networks::Networks, volume_gids::VolumeGids};

use super::{Inner, engine::EngineContainers};
use crate::{ContainerLogger, Isolation, confinement::HostFiles, provisioner::Provisioner};

pub(crate) struct Equipment {
    pub(crate) logger: ContainerLogger,
    /// Or why there are none.
    pub(crate) images: Result<Provisioner, String>,
    pub(crate) isolation: Isolation,
    /// Of the machine's, for volumes.
    pub(crate) host_files: HostFiles,
    /// Runs containers of type DOCKER, where there is one.
    pub(crate) engine: Option<EngineContainers>,
    /// Or why there are none.
    pub(crate) networks: Result<Networks, String>,
    /// Groups by which users share volumes, where there are any.
    pub(crate) volume_gids: Option<Arc<VolumeGids>>,
    /// A container that resists SIGKILL this long hangs in the kernel (Mesos: `cgroups_destroy_timeout`).
    pub(crate) destroy_deadline: Duration,
    /// Whether what goes through their interfaces is counted.
    pub(crate) network_metrics: bool,
}

impl Deref for Inner {
    type Target = Equipment;

    fn deref(&self) -> &Equipment {
        &self.equipment
    }
}
