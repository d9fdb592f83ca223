//! The authority: agents, frameworks, tasks and offers.
//!
//! Owns what is true of the cluster while this master leads. Never formats, serialises, waits for a
//! disk or answers a query: encoding is the proxies' and peers', reading is the view's. [`core`] holds the
//! rules without I/O; [`actor`] carries their effects out.

mod accept;
pub mod actor;
mod agents;
mod authorization;
mod away;
mod calls;
mod commands;
mod consumption;
mod conversions;
pub mod core;
mod counting;
mod deactivation;
mod disconnections;
mod draining;
mod feedback;
mod forgetting;
mod frameworks;
#[cfg(test)]
mod histories_tests;
#[cfg(test)]
mod history;
#[cfg(test)]
mod history_maintenance;
#[cfg(test)]
mod history_operations;
#[cfg(test)]
mod history_tasks;
mod hold;
#[cfg(test)]
mod invariants;
mod inverse;
mod losses;
mod maintenance;
mod news;
mod offers;
mod operations;
mod operator;
mod operator_operations;
mod oversubscription;
mod patience;
mod quota;
mod reconcile;
mod recovered;
mod refusals;
mod removals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod returns_tests;
mod silence;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stage_agents;
#[cfg(test)]
mod stage_operations;
mod status;
mod subscriptions;
mod tables;
mod takeover;
mod tasks;
mod teardown;
mod throttle;
mod timers;
mod unreachable;
mod validation;
mod writes;

pub use actor::{Master, MasterLinks};
pub use core::{
    Effect, Forgetting, Input, MasterConfig, MasterCore, Patience, RateLimits, RemovalRate,
};
