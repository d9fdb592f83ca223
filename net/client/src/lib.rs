//! The SDK for frameworks, executors and operators: typed calls and event streams over Mesos' HTTP APIs.
//!
//! Owns finding the leader among several masters, following its redirects, RecordIO streams and stream ids.
//! Never hides an answer: what a master refuses is an [`Error::Refused`] with its status and text.

pub mod executor;
mod http;
mod masters;
pub mod operator;
pub mod scheduler;
mod stream;

pub use http::{Client, Error};
pub use masters::Masters;
pub use stream::Events;
