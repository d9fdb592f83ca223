//! The master daemon: its wiring and its HTTP side.

pub mod http;
pub mod leadership;
