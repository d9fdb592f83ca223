//! How many of something at a time a master takes.

use anyhow::Context;
use tepui_protocol::codec::{Limits, json};

use super::{json_or_file, one_line};

/// `N/DURATION`, as Mesos spells rates.
pub(super) fn removal_rate(text: &str) -> anyhow::Result<tepui_master::RemovalRate> {
    let parsed = text.split_once('/').and_then(|(agents, within)| {
        let agents = agents.trim().parse().ok().filter(|agents| *agents > 0)?;
        let within = tepui_protocol::durations::parse(within.trim()).ok()?;
        (!within.is_zero()).then_some(tepui_master::RemovalRate { agents, within })
    });
    parsed.with_context(|| {
        format!("--agent-removal-rate-limit {text}: expected agents/duration, such as 1/10mins")
    })
}

/// Mesos' `RateLimits` as JSON, or a file that holds it.
pub(super) fn rate_limits(given: Option<&str>) -> anyhow::Result<tepui_master::RateLimits> {
    let Some(given) = given else {
        return Ok(tepui_master::RateLimits::default());
    };
    let expected = r#"expected JSON such as {"limits": [{"principal": "p", "qps": 10, "capacity": 1000}]}, or the path of a file that holds it"#;
    let text = json_or_file("--rate-limits", given, expected)?;
    let parsed: tepui_protocol::v1::RateLimits = json::decode(text.as_bytes(), &Limits::HTTP)
        .map_err(|error| {
            let reason = one_line(&error.to_string());
            anyhow::anyhow!("--rate-limits: {reason}; {expected}")
        })?;
    parsed
        .try_into()
        .map_err(|reason| anyhow::anyhow!("--rate-limits: {reason}; {expected}"))
}
