//! How an agent lends what nobody uses.

use std::time::Duration;

use anyhow::bail;
use tepui_agent::LendingSettings;

use super::{AgentFile, text::duration};

/// Estimates that follow each other without a pause would be all that the agent does.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn of(file: &AgentFile) -> anyhow::Result<LendingSettings> {
    let mut lending = LendingSettings::default();
    if let Some(estimator) = &file.resource_estimator {
        lending.estimator.clone_from(estimator);
    }
    if let Some(controller) = &file.qos_controller {
        lending.controller.clone_from(controller);
    }
    if let Some(text) = &file.oversubscribed_resources_interval {
        lending.interval = duration("--oversubscribed-resources-interval", text)?;
        if lending.interval < SHORTEST_INTERVAL {
            bail!("--oversubscribed-resources-interval {text}: expected at least 1secs");
        }
    }
    if let Some(text) = &file.qos_correction_interval_min {
        lending.correction_interval = duration("--qos-correction-interval-min", text)?;
    }
    Ok(lending)
}
