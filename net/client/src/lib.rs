//! The SDK for frameworks, executors and operators: typed calls and event streams over Mesos' HTTP APIs; and
//! the one HTTP client, which the agent's fetcher uses too.
//!
//! Owns finding the leader among several masters, following its redirects, RecordIO streams and stream ids.
//! Never hides an answer: what a master refuses is an [`Error::Refused`] with its status and text.

pub mod agent;
mod credential;
pub mod download;
pub mod executor;
mod http;
pub mod locality;
mod masters;
pub mod operator;
pub mod scheduler;
mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
mod unix;

pub use credential::{Credential, CredentialError};
pub use http::{Client, Error, Options};
pub use masters::{Leader, Masters};
pub use stream::Events;
