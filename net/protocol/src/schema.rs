//! The schema's types, generated from `proto/` by the build: Mesos' v1 messages and our own.
#![allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    rust_2018_idioms,
    unreachable_pub
)]

include!(concat!(env!("OUT_DIR"), "/schema.rs"));
