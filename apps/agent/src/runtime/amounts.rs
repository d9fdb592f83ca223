//! What a running container may use, as it changes.

use std::sync::{MutexGuard, PoisonError};

use tepui_containers::devices::{Access, Device};
use tepui_messages::containers::Amounts;

use super::{Inner, told};
use crate::{gpus::Gpus, numbers::limits};

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
        if self.gpus().is_empty() {
            return Ok(());
        }
        let dir = self.dir(container_id);
        let mut gpus = self.gpus();
        // One that is forgotten meanwhile gives back what it has after this, or has nothing any more.
        if self.handle(container_id).is_none() {
            return Ok(());
        }
        let lost = gpus.assign(container_id, amounts.gpus, &dir)?;
        let rules = |devices: Vec<Device>| -> Vec<_> {
            devices.iter().map(|it| it.rule(Access::ALL)).collect()
        };
        let (allow, deny) = (rules(gpus.of(container_id)), rules(lost));
        drop(gpus);
        let changed = running.change_devices(&allow, &deny);
        changed.map_err(|error| told(&error))
    }
}
