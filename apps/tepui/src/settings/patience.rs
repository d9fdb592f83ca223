//! The flags of a master on how long agents may be away, and on how much is remembered of what has ended.

use std::time::Duration;

use anyhow::{Context, bail};
use tepui_master::{Kept, Patience};

use super::MasterFile;

/// Agents that follow a new leader need a while (Mesos: `MIN_AGENT_REREGISTER_TIMEOUT`).
const MIN_REREGISTER: Duration = Duration::from_mins(10);
/// Mesos': `MIN_AGENT_PING_TIMEOUT` and `MAX_AGENT_PING_TIMEOUT`.
const MIN_PING: Duration = Duration::from_secs(1);
const MAX_PING: Duration = Duration::from_mins(15);

pub(super) fn patience(file: &MasterFile) -> anyhow::Result<Patience> {
    let mut patience = Patience::default();
    if let Some(text) = &file.agent_reregister_timeout {
        let parsed = tepui_protocol::durations::parse(text).ok();
        patience.reregister = parsed.filter(|it| *it >= MIN_REREGISTER).with_context(|| {
            format!("--agent-reregister-timeout {text}: expected a duration of at least 10mins")
        })?;
    }
    if let Some(text) = &file.agent_ping_timeout {
        let parsed = tepui_protocol::durations::parse(text).ok();
        patience.ping = parsed
            .filter(|it| (MIN_PING..=MAX_PING).contains(it))
            .with_context(|| {
                format!("--agent-ping-timeout {text}: expected a duration from 1secs to 15mins")
            })?;
    }
    match file.max_agent_ping_timeouts {
        Some(0) => bail!("--max-agent-ping-timeouts 0: expected 1 or more"),
        Some(pings) => patience.pings = pings,
        None => {}
    }
    Ok(patience)
}

pub(super) fn kept(file: &MasterFile) -> Kept {
    let kept = Kept::default();
    Kept {
        frameworks: file.max_completed_frameworks.unwrap_or(kept.frameworks),
        tasks: file.max_completed_tasks_per_framework.unwrap_or(kept.tasks),
        unreachable_tasks: file
            .max_unreachable_tasks_per_framework
            .unwrap_or(kept.unreachable_tasks),
    }
}
