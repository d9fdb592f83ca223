//! The registry as consensus sees it, and the view others have of it.

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tepui_consensus::{StateError, StateMachine};
use tepui_engine::keys::REGISTRY;
use tepui_engine::{Batch, Engine, KeyRange, record};

use crate::CAPABILITIES;
use crate::command::Command;
use crate::keys::{Touched, VERSION};
use crate::state::Registry;

/// The state machine to start consensus with.
#[derive(Debug, Default)]
pub struct RegistryMachine {
    shared: Arc<RwLock<Registry>>,
}

/// Looks into the registry as applied on this member. What it shows is current only after a granted
/// `Consensus::read`, or on a leader that may lead.
#[derive(Debug, Clone)]
pub struct RegistryReader {
    shared: Arc<RwLock<Registry>>,
}

impl RegistryReader {
    /// Shows the registry. Commands wait meanwhile, so `look` must be short: copy what is needed.
    pub fn with<R>(&self, look: impl FnOnce(&Registry) -> R) -> R {
        look(&self.shared.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of everything; for a master that begins to lead.
    pub fn copy(&self) -> Registry {
        self.with(Registry::clone)
    }
}

impl RegistryMachine {
    /// An empty registry, until consensus loads it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A view that follows this machine.
    pub fn reader(&self) -> RegistryReader {
        RegistryReader {
            shared: self.shared.clone(),
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        change(&mut self.shared.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, registry: Registry) -> Result<(), StateError> {
        let mut required = registry.minimum_capabilities.iter();
        if let Some(unknown) = required.find(|name| !CAPABILITIES.contains(&name.as_str())) {
            return Err(StateError(format!(
                "the registry requires the capability {unknown}, which this program lacks; run a newer version"
            )));
        }
        registry
            .check()
            .map_err(|problem| StateError(format!("the registry is inconsistent: {problem}")))?;
        self.change(|current| *current = registry);
        Ok(())
    }
}

impl StateMachine for RegistryMachine {
    fn load(&mut self, engine: &dyn Engine) -> Result<(), StateError> {
        let mut registry = Registry::default();
        let mut failure = None;
        let scanned = engine.scan(
            REGISTRY,
            &KeyRange::all(),
            &mut |key, sealed| match registry.insert(key, sealed) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
        scanned?;
        // A voter must not guess: half a registry would be taken for the truth.
        failure.map_or(Ok(()), Err)?;
        self.replace(registry)
    }

    fn check(&self, command: &[u8]) -> Result<(), String> {
        Command::decode(command)
            .map(|_| ())
            .map_err(|error| error.0)
    }

    fn apply(
        &mut self,
        index: u64,
        command: &[u8],
        batch: &mut Batch,
    ) -> Result<Bytes, StateError> {
        let command = Command::decode(command)
            .map_err(|error| StateError(format!("registry command {index}: {error}")))?;
        let outcome = self.change(|registry| {
            let mut touched = Touched::new();
            let outcome = registry.apply(command, &mut touched);
            registry.write(&touched, batch);
            outcome
        });
        Ok(outcome.encode())
    }

    fn snapshot(&self) -> Bytes {
        let registry = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        Bytes::from(record::encode(VERSION, &*registry))
    }

    fn restore(&mut self, snapshot: &[u8], batch: &mut Batch) -> Result<(), StateError> {
        let registry: Registry = record::decode(VERSION, snapshot)
            .map_err(|error| StateError(format!("a snapshot of the registry: {error}")))?;
        batch.delete_range(REGISTRY, KeyRange::all());
        registry.write(&registry.all_keys(), batch);
        self.replace(registry)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
pub(crate) mod tests;
