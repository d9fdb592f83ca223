//! The view: read models fed by the change stream, and the answers to every question about them.
//!
//! Owns what the master last said of the cluster ([`World`]), with totals kept at every change, and how
//! it is written: the v0 endpoints ([`v0`]), the operator API ([`api`]), the operator event stream
//! ([`Watchers`]) and the metrics that follow from it. Never decides anything and never asks the master:
//! it knows only the stream.

mod absent;
mod actor;
pub mod api;
mod config;
mod kept;
mod metrics;
mod offers;
mod questions;
mod roles;
mod statuses;
pub mod v0;
mod watchers;
mod why;
pub mod world;

pub use actor::View;
pub use config::ViewConfig;
pub use metrics::encoded;
pub use questions::{AnswerError, Readers, answer};
pub use watchers::Watchers;
pub use world::World;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod maintenance_tests;
#[cfg(test)]
mod scene;
