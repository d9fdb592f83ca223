//! A whole cluster in one thread on virtual time: three masters, agents and frameworks as the real actors, over links
//! that lose, double, delay and cut one way, and disks that fail, on a schedule drawn from a seed. Invariants are
//! checked at everything that happens and after every step.
//!
//! What is real: consensus (driven turn by turn instead of by its thread), the registry, registrar, master,
//! allocator and view; the agent's actor and its checkpoint. What stands in: the bridge and HTTP (pipes that carry the
//! same messages), the throne of `apps/master`, containers, disks and schedulers.
//!
//! The same seed gives the same schedule of faults, and on one build the same run.

pub mod agent;
pub mod bridge;
pub mod clients;
pub mod containers;
pub mod disk;
mod entrance;
pub mod framework;
pub mod history;
pub mod invariants;
pub mod master;
pub mod member;
pub mod net;
pub mod operator;
mod panics;
pub mod planted;
pub mod reign;
pub mod schedule;
mod scheduler;
pub mod swaps;
mod world;

pub use history::Violation;
pub use planted::{Bug, Planted};
pub use world::{Run, Summary};
