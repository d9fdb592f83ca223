//! What a running container may use, as it changes.

use std::sync::{MutexGuard, PoisonError};

use serde_json::{Value, json};
use tepui_containers::{
    Running,
    devices::{Access, Device, DeviceRule},
};
use tepui_messages::containers::{Amounts, LaunchOrder};

use super::{Inner, told};
use crate::{gpus::Gpus, numbers::limits};

fn rules(devices: &[Device]) -> Vec<DeviceRule> {
    devices.iter().map(|it| it.rule(Access::ALL)).collect()
}

impl Inner {
    pub(super) fn gpus(&self) -> MutexGuard<'_, Gpus> {
        self.gpus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, container_id: &str, amounts: &Amounts) -> Result<(), String> {
        let Some(running) = self.handle(container_id) else {
            return Ok(());
        };
        let mut limits = limits(amounts);
        self.isolation.limit(&mut limits);
        running
            .update_limits(&limits)
            .map_err(|error| told(&error))?;
        // Held to the end: nobody is given what this container can still use.
        let mut gpus = self.gpus();
        if gpus.is_empty() {
            return Ok(());
        }
        // One that is forgotten meanwhile gives back what it has after this, or has nothing any more.
        if self.handle(container_id).is_none() {
            return Ok(());
        }
        let change = |allow: &[DeviceRule], deny: &[DeviceRule]| {
            let changed = running.change_devices(allow, deny);
            changed.map_err(|error| told(&error))
        };
        let dir = self.dir(container_id);
        gpus.assign(container_id, amounts.gpus, &dir, |lost| {
            change(&[], &rules(&lost))
        })?;
        change(&rules(&gpus.of(container_id)), &[])
    }

    /// Lets a container of an engine have as many GPUs as it asks for, and with them what all GPUs need. Its `create` is the
    /// body of the engine's call.
    pub(super) fn give_gpus(&self, order: &LaunchOrder, create: &mut Value) -> Result<(), String> {
        let (id, wanted) = (&order.container_id, order.amounts.gpus);
        let mut gpus = self.gpus();
        gpus.assign(id, wanted, &self.dir(id), |_| Ok(()))?;
        let own = gpus.of(id);
        if own.is_empty() {
            return Ok(());
        }
        let shared = self.isolation.allowed_devices.iter();
        let shared = shared.map(|(device, access)| (&device.path, *access));
        let own = own.iter().map(|it| (&it.path, Access::ALL));
        let devices = own.chain(shared).map(|(path, access)| {
            json!({"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": access.to_string()})
        });
        let host = &mut create["HostConfig"]["Devices"];
        let asked = host.as_array().cloned().unwrap_or_default();
        *host = devices.chain(asked).collect();
        Ok(())
    }

    /// An agent before may have ended before it took away what it gave to others.
    pub(super) fn deny_gpus(&self, running: &Running, others: &[Device]) {
        if let Err(error) = running.change_devices(&[], &rules(others)) {
            let container_id = running.container_id();
            tracing::warn!(container_id, "it may use GPUs of others: {}", told(&error));
        }
    }
}
