//! An agent's flags about sandboxes of containers, and about what it finds at its start.

use std::time::Duration;

use anyhow::{anyhow, bail};
use tepui_agent::{ContainerLogger, DiskWatch, Reconfiguration, Recovery, SandboxSettings};

use super::{AgentFile, text::duration};

/// Looks that follow each other without a pause would be all that the agent does.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<SandboxSettings> {
    let mut sandboxes = SandboxSettings::default();
    let gc = &mut sandboxes.gc;
    if let Some(text) = &file.gc_delay {
        gc.delay = duration("--gc-delay", text)?;
    }
    if let Some(headroom) = file.gc_disk_headroom {
        if !(0.0..=1.0).contains(&headroom) {
            bail!(
                "--gc-disk-headroom {headroom}: expected the part of the disk that is to stay free, from 0 to 1"
            );
        }
        gc.headroom = headroom;
    }
    gc.within = file.gc_non_executor_container_sandboxes.unwrap_or(false);
    if let Some(text) = &file.disk_watch_interval {
        gc.interval = interval("--disk-watch-interval", text)?;
    }
    let watched = file.container_disk_watch_interval.as_deref();
    let watched = watched.map(|text| interval("--container-disk-watch-interval", text));
    let (watched, enforced) = (watched.transpose()?, file.enforce_container_disk_quota);
    // Who names an interval wants to see what containers hold.
    sandboxes.disk_watch = (watched.is_some() || enforced == Some(true)).then(|| DiskWatch {
        interval: watched.unwrap_or(DiskWatch::DEFAULT_INTERVAL),
        enforced: enforced.unwrap_or(false),
    });
    if let Some(text) = &file.container_logger {
        let logger = ContainerLogger::parse(text);
        sandboxes.logger = logger.map_err(|reason| anyhow!("--container-logger: {reason}"))?;
    }
    Ok(sandboxes)
}

pub(super) fn recovery(given: Option<&str>) -> anyhow::Result<Recovery> {
    match given {
        None | Some("reconnect") => Ok(Recovery::Reconnect),
        Some("cleanup") => Ok(Recovery::Cleanup),
        Some(other) => bail!(
            "--recover {other}: expected reconnect, or cleanup to kill what an agent before left and end"
        ),
    }
}

pub(super) fn reconfiguration(given: Option<&str>) -> anyhow::Result<Reconfiguration> {
    match given {
        None | Some("equal") => Ok(Reconfiguration::Equal),
        Some("additive") => Ok(Reconfiguration::Additive),
        Some(other) => bail!("--reconfiguration-policy {other}: expected equal or additive"),
    }
}

pub(super) fn interval(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let interval = duration(flag, text)?;
    if interval < SHORTEST_INTERVAL {
        bail!("{flag} {text}: expected at least 1secs");
    }
    Ok(interval)
}

#[cfg(test)]
#[path = "sandboxes_tests.rs"]
mod tests;
