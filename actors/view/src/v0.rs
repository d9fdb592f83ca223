//! The v0 endpoints as Mesos 1.11 wrote them: keys in its order, doubles with a fraction, resources as
//! objects.
//!
//! Owns the shapes, which borrow from the [`World`](crate::World) and are written straight to bytes.
//! Never knows HTTP: status, headers and `jsonp` belong to `apps/master`.

mod agents;
mod frameworks;
mod lists;
mod state;
mod tasks;
mod values;

pub use agents::Slaves;
pub use frameworks::Frameworks;
pub use lists::{MaintenanceSchedule, MaintenanceStatus, Roles, Weights};
pub use state::{State, StateSummary};
pub use tasks::Tasks;
pub(crate) use values::seconds;
