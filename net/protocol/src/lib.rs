//! The vocabulary: every type that crosses a wire, defined once, with its three codecs.
//!
//! Owns the schema (`proto/`), JSON, protobuf and MessagePack, RecordIO, ids, the resource algebra, the
//! algebra of access control lists and the traits [`message::Message`], [`message::Wire`], [`message::Tell`], [`message::Ask`]. Does no I/O.

pub mod acls;
pub mod catalogue;
pub mod codec;
pub mod descriptor;
pub mod durations;
pub mod message;
pub mod parts;
pub mod pattern;
pub mod recordio;
pub mod redact;
pub mod resources;
pub mod roles;
pub mod same;
pub mod schema;
pub mod signal;
pub mod sizes;
mod tables;
pub mod task;
pub mod validate;
pub mod values;

pub use schema::mesos::v1;
pub use schema::tepui as node;
pub use tables::{ENUMS, MESSAGES};
