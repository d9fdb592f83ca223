//! Owns talking to an engine, Docker's or Podman's, over its Unix socket: its containers' making, state, output, end.
//! What a container is made of is the caller's; so is the agent's record of it.
//!
//! An engine may hang, answer nonsense or be gone: every call has a time and a size, and only the streams that follow a
//! container's output and its end last as long as it does.

mod api;
pub mod beside;
mod board;
mod error;
mod exec;
mod follow;
mod frames;
mod inspect;
mod parts;
mod position;
mod pull;
mod session;
mod sink;
mod statistics;

pub use api::Engine;
pub use error::EngineError;
pub use exec::{Exec, Life};
pub use follow::Follower;
pub use inspect::{Inspection, State};
pub use position::{Mark, Position};
pub use session::{Session, SessionEnd, SessionOrder};
pub use sink::Sink;
pub use statistics::Statistics;

use http::Method;
use serde_json::Value;
use std::time::Duration;

/// A look at a container, a signal.
const SHORT: Duration = Duration::from_secs(10);
/// Making and starting a container: layers are copied where the engine has no better driver.
const LONG: Duration = Duration::from_mins(1);

/// Whether something was there to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Done,
    /// The container is gone, or does not run.
    NotThere,
}

/// One of an engine's containers, as its list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The engine's own id.
    pub id: String,
    /// The value of the label asked for, or of the one that [`Engine::list`] was given to read.
    pub label: String,
    pub is_running: bool,
}

impl Engine {
    /// Makes a container. Errors: the engine refuses it, in its words.
    pub async fn create(&self, name: &str, body: &Value) -> Result<(), EngineError> {
        let path = format!("/containers/create?name={name}");
        self.call(Method::POST, &path, Some(body), LONG).await?;
        Ok(())
    }

    /// Starts it. Errors: its command cannot be executed, in the engine's words.
    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{name}/start");
        self.call(Method::POST, &path, None, LONG).await?;
        Ok(())
    }

    /// `None`: there is no such container.
    pub async fn inspect(&self, name: &str) -> Result<Option<Inspection>, EngineError> {
        let path = format!("/containers/{name}/json");
        match self.call(Method::GET, &path, None, SHORT).await {
            Ok(body) => inspect::parse(&body).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a signal, by name or number, to the container's first process.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<Done, EngineError> {
        let path = format!("/containers/{name}/kill?signal={signal}");
        done(self.call(Method::POST, &path, None, SHORT).await)
    }

    /// Asks it to end, and kills it when the time is over.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<Done, EngineError> {
        let path = format!("/containers/{name}/stop?t={}", grace.as_secs());
        let call = self.call(Method::POST, &path, None, grace + LONG);
        done(call.await)
    }

    /// Removes it with its anonymous volumes, whether it runs or not.
    pub async fn remove(&self, name: &str) -> Result<Done, EngineError> {
        let path = format!("/containers/{name}?force=1&v=1");
        done(self.call(Method::DELETE, &path, None, LONG).await)
    }

    /// Changes limits: members of `HostConfig`.
    pub async fn update(&self, name: &str, limits: &Value) -> Result<Done, EngineError> {
        let path = format!("/containers/{name}/update");
        done(self.call(Method::POST, &path, Some(limits), SHORT).await)
    }

    /// Returns once the container does not run any more: at once where it never did. It may last for ever.
    pub async fn wait(&self, name: &str) -> Result<Done, EngineError> {
        let path = format!("/containers/{name}/wait?condition=not-running");
        let answer = self.open(Method::POST, &path, None).await;
        let waited = match answer {
            Ok(answer) => api::body(answer).await,
            Err(error) => Err(error),
        };
        done(waited)
    }

    /// What it uses now; `None`: it does not run.
    pub async fn statistics(&self, name: &str) -> Result<Option<Statistics>, EngineError> {
        let path = format!("/containers/{name}/stats?stream=0&one-shot=1");
        match self.call(Method::GET, &path, None, SHORT).await {
            Ok(body) => Ok(statistics::parse(&body)?),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All containers, running or not, whose label `name` is `value`; with their labels `told`.
    pub async fn list(
        &self,
        (name, value): (&str, &str),
        told: &str,
    ) -> Result<Vec<Listed>, EngineError> {
        let filters = serde_json::json!({"label": [format!("{name}={value}")]}).to_string();
        let filters: String = url::form_urlencoded::byte_serialize(filters.as_bytes()).collect();
        let path = format!("/containers/json?all=1&filters={filters}");
        let body = self.call(Method::GET, &path, None, SHORT).await?;
        inspect::listed(&body, told)
    }
}

fn done<T>(called: Result<T, EngineError>) -> Result<Done, EngineError> {
    match called {
        Ok(_) => Ok(Done::Done),
        Err(error) if error.is_not_found() || error.is_not_running() => Ok(Done::NotThere),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
