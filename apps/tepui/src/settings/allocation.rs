//! The flags of a master on who is offered what, and for how long.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use tepui_master::{AllocationConfig, allocation_policies};
use tepui_protocol::{resources::Resources, v1::DomainInfo};

use super::{MasterFile, text::some_time};

pub(super) fn config(
    file: &MasterFile,
    domain: Option<&DomainInfo>,
) -> anyhow::Result<AllocationConfig> {
    let mut config = AllocationConfig::default();
    let fault_domain = domain.and_then(|domain| domain.fault_domain.as_ref());
    config.rules.region = fault_domain.map(|fault_domain| fault_domain.region.name.clone());
    if let Some(name) = &file.allocator {
        config.policy = policy("--allocator", name)?;
    }
    if let Some(name) = &file.shadow_allocator {
        config.shadow = Some(policy("--shadow-allocator", name)?);
    }
    if let Some(text) = &file.allocation_interval {
        config.interval = some_time("--allocation-interval", text)?;
    }
    if let Some(text) = &file.min_allocatable_resources {
        config.rules.min_allocatable = least(text)?;
    }
    if let Some(names) = &file.fair_sharing_excluded_resource_names {
        let names = names.split(',').map(str::trim);
        config.rules.fair_sharing_excluded = names.map(str::to_string).collect();
    }
    Ok(config)
}

pub(super) fn offer_timeout(given: Option<&str>) -> anyhow::Result<Option<Duration>> {
    given
        .map(|text| some_time("--offer-timeout", text))
        .transpose()
}

/// A path, as a URL too; `*` is the old way to say all agents.
pub(super) fn whitelist(given: &str) -> Option<PathBuf> {
    let path = given.strip_prefix("file://").unwrap_or(given);
    (path != "*").then(|| PathBuf::from(path))
}

/// Mesos' names of its fair one are understood.
fn policy(flag: &str, name: &str) -> anyhow::Result<String> {
    let known = match name {
        "hierarchical" | "HierarchicalDRF" => "drf",
        other => other,
    };
    let policies = allocation_policies();
    if !policies.contains(&known) {
        bail!(
            "{flag} {name}: there is no such policy; expected one of {}",
            policies.join(", ")
        );
    }
    Ok(known.to_string())
}

/// `cpus:0.01|mem:32`: any of these, each with all its amounts.
fn least(text: &str) -> anyhow::Result<Vec<Vec<(String, i64)>>> {
    let expected = "expected amounts, such as cpus:0.01|mem:32";
    let sets = text.split('|').map(|set| {
        let parsed = Resources::parse(set, "*").map_err(|error| {
            anyhow::anyhow!("--min-allocatable-resources {text}: {error}; {expected}")
        })?;
        let amounts = parsed.iter().map(|entry| {
            let amount = entry.scalar().filter(|_| !entry.is_reserved());
            let amount = amount.with_context(|| {
                let name = entry.name();
                format!("--min-allocatable-resources {text}: {name} is no amount; {expected}")
            })?;
            Ok((entry.name().to_string(), amount.0))
        });
        let amounts: Vec<(String, i64)> = amounts.collect::<anyhow::Result<_>>()?;
        if amounts.is_empty() {
            bail!("--min-allocatable-resources {text}: one of the sets is empty; {expected}");
        }
        Ok(amounts)
    });
    sets.collect()
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
