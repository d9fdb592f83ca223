//! An agent's flags about the files of commands.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tepui_agent::FetchSettings;

use super::AgentFile;

/// Flags of an agent.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct FetchingArgs {
    /// What the fetcher keeps of files that are wanted again, such as 2GB; 0B for nothing [default: 2GB]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fetcher_cache_size: Option<String>,
    /// Where it keeps them; emptied at the start [default: fetch in the work directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fetcher_cache_dir: Option<PathBuf>,
    /// How long a server may be silent [default: 1mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fetcher_stall_timeout: Option<String>,
    /// Where relative paths of files begin [default: they are refused]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    frameworks_home: Option<PathBuf>,
}

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<FetchSettings> {
    let mut fetching = FetchSettings {
        cache_dir: file.fetcher_cache_dir.clone(),
        frameworks_home: file.frameworks_home.clone(),
        ..FetchSettings::default()
    };
    if let Some(text) = &file.fetcher_cache_size {
        let size = bytes(text);
        fetching.cache_bytes = size.with_context(|| {
            format!("--fetcher-cache-size {text}: expected a size such as 512MB or 2GB")
        })?;
    }
    if let Some(text) = &file.fetcher_stall_timeout {
        let timeout = tepui_protocol::durations::parse(text).ok();
        let timeout = timeout.with_context(|| {
            format!("--fetcher-stall-timeout {text}: expected a duration such as 1mins")
        })?;
        if timeout.is_zero() {
            bail!("--fetcher-stall-timeout {text}: expected more than nothing");
        }
        fetching.stall_timeout = timeout;
    }
    if let Some(home) = fetching
        .frameworks_home
        .as_ref()
        .filter(|it| !it.is_absolute())
    {
        let home = home.display();
        bail!("--frameworks-home {home}: expected an absolute path");
    }
    Ok(fetching)
}

/// `512B`, `64MB`, `2GB`: as Mesos spells sizes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let rest = text.trim_start_matches(|it: char| it.is_ascii_digit());
    let number: u64 = text[..text.len() - rest.len()].parse().ok()?;
    let shift = match rest {
        "B" => 0,
        "KB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
#[path = "fetching_tests.rs"]
mod tests;
