//! Owns running a command beside a container's own: of a check.

use super::api::{self, Engine};
use super::error::EngineError;
use super::{LONG, SHORT};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// How often an engine is asked for the status of a command whose output has ended.
const STATUS_TRIES: u32 = 50;
const STATUS_PAUSE: Duration = Duration::from_millis(100);

/// Where a command is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Begins,
    /// With the host's number of its process.
    Runs(u32),
    Ended,
}

/// A command that was begun.
#[derive(Debug)]
pub struct Exec {
    engine: Engine,
    id: String,
    /// `None`: it was read to its end.
    output: Option<Incoming>,
}

impl Engine {
    /// Begins a command in a container that runs: words, variables as `NAME=value`, a user where it is not the
    /// container's.
    ///
    /// # Errors
    /// The container does not run, or has no such program.
    pub async fn exec(
        &self,
        name: &str,
        words: &[String],
        env: &[String],
        user: Option<&str>,
    ) -> Result<Exec, EngineError> {
        let mut body = json!({
            "Cmd": words, "Env": env, "AttachStdout": true, "AttachStderr": true,
        });
        if let Some(user) = user {
            body["User"] = user.into();
        }
        let id = self.make_exec(name, &body).await?;
        let start = json!({"Detach": false, "Tty": false});
        let path = format!("/exec/{id}/start");
        let started = self.open(Method::POST, &path, Some(&start)).await?;
        Ok(Exec {
            engine: self.clone(),
            id,
            output: Some(started.into_body()),
        })
    }

    pub(super) async fn make_exec(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        let path = format!("/containers/{name}/exec");
        let made = self.call(Method::POST, &path, Some(body), SHORT).await?;
        let made = api::parse(&made)?;
        let id = made["Id"].as_str().map(str::to_owned);
        id.ok_or_else(|| EngineError::Broken("an exec without Id".to_owned()))
    }

    async fn inspect_exec(&self, id: &str) -> Result<Value, EngineError> {
        let path = format!("/exec/{id}/json");
        let body = self.call(Method::GET, &path, None, LONG).await?;
        api::parse(&body)
    }

    /// Where a command is in its life.
    ///
    /// # Errors
    /// The engine does not tell, or knows of no such command.
    pub async fn life_of(&self, id: &str) -> Result<Life, EngineError> {
        Ok(life(&self.inspect_exec(id).await?))
    }
}

/// Podman has a status of 0 also for a command that is about to run, and Docker keeps the process of one that has ended.
fn life(found: &Value) -> Life {
    let pid = found["Pid"].as_u64().and_then(|it| u32::try_from(it).ok());
    let pid = pid.filter(|pid| *pid != 0);
    if found["Running"].as_bool() == Some(true) {
        return pid.map_or(Life::Begins, Life::Runs);
    }
    let failed = found["ExitCode"].as_i64().is_some_and(|code| code != 0);
    let has_status = found["ExitCode"].is_number();
    let was_there = pid.is_some() || found["CanRemove"].as_bool() == Some(true);
    if failed || (has_status && was_there) {
        return Life::Ended;
    }
    Life::Begins
}

impl Exec {
    /// One whose output is over.
    pub(super) fn ended(engine: Engine, id: String) -> Self {
        Self {
            engine,
            id,
            output: None,
        }
    }

    /// The engine's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its exit status, once it and all that hold its output have ended. What it wrote is dropped.
    ///
    /// # Errors
    /// The engine does not tell.
    pub async fn wait(mut self) -> Result<i32, EngineError> {
        if let Some(output) = &mut self.output {
            while let Some(frame) = output.frame().await {
                frame.map_err(|error| EngineError::Broken(error.to_string()))?;
            }
        }
        for _ in 0..STATUS_TRIES {
            let found = self.engine.inspect_exec(&self.id).await?;
            let code = found["ExitCode"].as_i64();
            if let (Some(false), Some(code)) = (found["Running"].as_bool(), code) {
                return Ok(i32::try_from(code).unwrap_or(255) & 0xff);
            }
            sleep(STATUS_PAUSE).await;
        }
        let text = "a command's output has ended, and it has not";
        Err(EngineError::Broken(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_about_to_run_has_not_ended() {
        let docker = |running, code: Value, pid| json!({"Running": running, "ExitCode": code, "Pid": pid, "CanRemove": false});
        let podman = |running, code, pid, ended| json!({"Running": running, "ExitCode": code, "Pid": pid, "CanRemove": ended});
        for (found, expected) in [
            (docker(false, Value::Null, 0), Life::Begins),
            (docker(true, Value::Null, 7), Life::Runs(7)),
            (docker(false, 0.into(), 7), Life::Ended),
            (docker(false, 127.into(), 0), Life::Ended),
            (podman(false, 0, 0, false), Life::Begins),
            (podman(true, 0, 7, false), Life::Runs(7)),
            (podman(false, 0, 0, true), Life::Ended),
            (podman(false, 3, 0, true), Life::Ended),
        ] {
            assert_eq!(life(&found), expected, "{found}");
        }
    }
}
