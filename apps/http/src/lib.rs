//! What the HTTP sides of master and agent have in common: Mesos' manners on the wire.
//!
//! Owns credentials and realms, content negotiation, replies and their texts, gzip, JSONP, the rule that finds a route, limits of
//! connections and bodies, what keeps pages of others out, the lines of who changed what, and the endpoints both daemons have
//! (`/files/*`, `/metrics`, `/logging/toggle`, `/version`, `/system/stats.json`, `/help`, `/__processes__`). Knows no
//! framework and no agent, and decides nothing.

pub mod audit;
mod bodies;
mod browsers;
mod connections;
mod credentials;
pub mod deadline;
pub mod files;
mod files_http;
pub mod flags;
mod gzip;
pub mod help;
pub mod incoming;
pub mod logging;
pub mod media;
pub mod metrics;
mod open;
pub mod percent;
pub mod processes;
mod prometheus;
mod realm;
pub mod reply;
pub mod routes;
pub mod server;
pub mod system;
pub mod version;

pub use browsers::Names;
pub use credentials::{Credentials, CredentialsError, read_private, read_private_bytes};
pub use deadline::ask;
pub use files::{Attached, Files, Located, VirtualPaths};
pub use flags::Flags;
pub use incoming::Incoming;
pub use logging::{Logging, Verbosity};
pub use media::MediaType;
pub use prometheus::prometheus;
pub use realm::Realm;
pub use reply::Reply;
pub use routes::{Found, Table};
pub use version::MESOS_VERSION;
