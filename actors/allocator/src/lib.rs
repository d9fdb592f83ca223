//! Who is offered what: the allocator's copy of the world, its policies, and the actor around them.
//!
//! Owns the ledger of what is free, offered or used on each agent as the master tells it, and the offer
//! filters. Never makes an offer: it proposes, and the master, who knows better, offers or hands back.

mod actor;
pub mod amounts;
pub mod bench;
pub mod bench_quota;
mod best_fit;
pub mod bundle;
mod changes;
mod charges;
pub mod constraints;
pub mod core;
mod doubles;
pub mod drf;
pub mod eligible;
pub mod filters;
pub mod invariants;
pub mod kinds;
mod least;
mod lottery;
pub mod metrics;
mod offerable;
pub mod order;
pub mod places;
pub mod policy;
mod priority;
pub mod quota;
mod random;
pub mod shadow;
mod shares;
pub mod slots;
pub mod sorter;
pub mod standing;
mod subscribers;
pub mod why;
pub mod world;

pub use actor::Allocator;
pub use core::{AllocatorCore, Config, Counts, Effect, Input};
pub use policy::UnknownPolicy;
pub use world::Rules;

#[cfg(test)]
mod fairness_tests;
#[cfg(test)]
mod histories_tests;
#[cfg(test)]
mod holds_tests;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod mirror_quota;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod scene_quota;
