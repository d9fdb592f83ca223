//! The registry as consensus sees it, and the view others have of it.

use std::ops::ControlFlow;
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tepui_consensus::{StateError, StateMachine};
use tepui_engine::keys::REGISTRY;
use tepui_engine::{Batch, Engine, KeyRange, record};

use crate::CAPABILITIES;
use crate::command::Command;
use crate::keys::{Touched, VERSION};
use crate::sizes::Sizes;
use crate::state::Registry;

/// The state machine to start consensus with.
#[derive(Debug, Default)]
pub struct RegistryMachine {
    shared: Arc<RwLock<Registry>>,
    sizes: Sizes,
    bytes: Arc<AtomicUsize>,
}

/// Looks into the registry as applied on this member. What it shows is current only after a granted
/// `Consensus::read`, or on a leader that may lead.
#[derive(Debug, Clone)]
pub struct RegistryReader {
    shared: Arc<RwLock<Registry>>,
    bytes: Arc<AtomicUsize>,
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

    /// Of all records, keys and values, as they lie on the disk.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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
            bytes: self.bytes.clone(),
        }
    }

    fn replace(&mut self, registry: Registry, sizes: Sizes) -> Result<(), StateError> {
        let mut required = registry.minimum_capabilities.iter();
        if let Some(unknown) = required.find(|name| !CAPABILITIES.contains(&name.as_str())) {
            return Err(StateError(format!(
                "the registry requires the capability {unknown}, which this program lacks; run a newer version"
            )));
        }
        registry
            .check()
            .map_err(|problem| StateError(format!("the registry is inconsistent: {problem}")))?;
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = registry;
        self.sizes = sizes;
        self.tell_bytes();
        Ok(())
    }

    fn tell_bytes(&self) {
        self.bytes.store(self.sizes.total(), Ordering::Relaxed);
    }
}

impl StateMachine for RegistryMachine {
    fn load(&mut self, engine: &dyn Engine) -> Result<(), StateError> {
        let mut registry = Registry::default();
        let mut sizes = Sizes::default();
        let mut failure = None;
        let scanned = engine.scan(
            REGISTRY,
            &KeyRange::all(),
            &mut |key, sealed| match registry.insert(key, sealed) {
                Ok(()) => {
                    sizes.put(key.to_vec(), sealed.len());
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
        scanned?;
        // A voter must not guess: half a registry would be taken for the truth.
        failure.map_or(Ok(()), Err)?;
        self.replace(registry, sizes)
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
        let mut touched = Touched::new();
        let mut registry = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = registry.apply(command, &mut touched);
        registry.write(&touched, batch, &mut self.sizes);
        drop(registry);
        self.tell_bytes();
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
        let mut sizes = Sizes::default();
        registry.write(&registry.all_keys(), batch, &mut sizes);
        self.replace(registry, sizes)
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
pub(crate) mod tests;
