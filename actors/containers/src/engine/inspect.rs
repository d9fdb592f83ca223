//! Owns what an engine's description of a container means. Pure.

use super::Listed;
use super::api;
use super::error::EngineError;
use super::frames;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

/// A description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub state: State,
    /// The host's number of its first process; `None` where it does not run.
    pub pid: Option<u32>,
    /// The signal that asks it to end, where it names one.
    pub stop_signal: Option<String>,
    /// When it ended, in seconds since the epoch.
    pub finished_unix_s: Option<u64>,
    /// The hard limit of memory; `None`: there is none.
    pub memory_limit_bytes: Option<u64>,
    pub ip: Option<String>,
    pub ip6: Option<String>,
    /// As `docker inspect` prints it: an array of one object.
    pub json: Bytes,
}

/// Where it is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Created,
    /// Paused or being restarted too.
    Running,
    Exited {
        /// As the engine tells it: 128 and the signal's number where one ended it.
        code: i32,
        out_of_memory: bool,
    },
}

pub(super) fn parse(body: &[u8]) -> Result<Inspection, EngineError> {
    let value = api::parse(body)?;
    let state = &value["State"];
    let finished = state["FinishedAt"].as_str().and_then(frames::unix_ns);
    let Some(running) = state["Running"].as_bool() else {
        return Err(EngineError::Broken(
            "a container without State.Running".to_owned(),
        ));
    };
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
    };
    let code = state["ExitCode"].as_i64().unwrap_or(0);
    // A container that could not be started has no start and, in newer engines, is `created` again.
    let status = state["Status"].as_str().unwrap_or_default();
    let state_of = match running {
        true => State::Running,
        false if matches!(status, "created" | "configured" | "initialized") => State::Created,
        false => State::Exited {
            code: i32::try_from(code).unwrap_or(255) & 0xff,
            out_of_memory: state["OOMKilled"].as_bool().unwrap_or(false),
        },
    };
    let mode = value["HostConfig"]["NetworkMode"].as_str().unwrap_or("");
    let settings = &value["NetworkSettings"];
    let network = &settings["Networks"][mode];
    let pid = state["Pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok());
    let mut json = Vec::with_capacity(body.len() + 2);
    json.push(b'[');
    json.extend_from_slice(body.trim_ascii());
    json.push(b']');
    Ok(Inspection {
        state: state_of,
        pid: pid.filter(|pid| *pid != 0),
        stop_signal: text(&value["Config"]["StopSignal"]),
        finished_unix_s: finished.map(|ns| Duration::from_nanos(ns).as_secs()),
        memory_limit_bytes: value["HostConfig"]["Memory"].as_u64().filter(|it| *it > 0),
        ip: text(&network["IPAddress"]).or_else(|| text(&settings["IPAddress"])),
        ip6: text(&network["GlobalIPv6Address"]),
        json: json.into(),
    })
}

pub(super) fn listed(body: &[u8], told: &str) -> Result<Vec<Listed>, EngineError> {
    let value = api::parse(body)?;
    let list = value.as_array();
    let list = list.ok_or_else(|| EngineError::Broken("no list of containers".to_owned()))?;
    let listed = list.iter().filter_map(|it| {
        let state = it["State"].as_str().unwrap_or_default();
        Some(Listed {
            id: it["Id"].as_str()?.to_owned(),
            label: it["Labels"][told].as_str()?.to_owned(),
            is_running: matches!(state, "running" | "paused" | "restarting"),
        })
    });
    Ok(listed.collect())
}
