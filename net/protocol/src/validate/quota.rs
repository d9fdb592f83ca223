//! Quota of one role (Mesos: `quota::validate` in `src/master/quota.cpp`).

use std::collections::BTreeMap;

use super::{Reason, framework::input_scalar};
use crate::roles;
use crate::v1::{quota::QuotaConfig, value::Scalar};

/// An exabyte in megabytes: the most memory or disk a quota may name.
const MAX_MEGABYTES: f64 = 1024.0 * 1024.0 * 1024.0 * 1024.0;
/// The most of any other resource.
const MAX_OTHER: f64 = 1e12;

/// # Errors
/// The role, an amount that is too large or no amount, or guarantees above limits; the caller prefixes
/// `Invalid QuotaConfig: `.
pub fn config(config: &QuotaConfig) -> Reason {
    roles::validate(&config.role)
        .map_err(|reason| format!("Invalid 'QuotaConfig.role': {reason}"))?;
    not_too_large(&config.guarantees)
        .map_err(|reason| format!("Invalid 'QuotaConfig.guarantees': {reason}"))?;
    not_too_large(&config.limits)
        .map_err(|reason| format!("Invalid 'QuotaConfig.limits': {reason}"))?;
    amounts("guarantee", &config.guarantees)?;
    amounts("limit", &config.limits)?;
    // Resource by resource: there may be a limit without a guarantee, and a guarantee without a limit.
    let contained = config.guarantees.iter().all(|(name, wanted)| {
        let limit = config.limits.get(name);
        limit.is_none_or(|limit| wanted.value <= limit.value)
    });
    if contained {
        return Ok(());
    }
    Err(format!(
        "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
        braces(&config.guarantees),
        braces(&config.limits)
    ))
}

fn not_too_large(quantities: &BTreeMap<String, Scalar>) -> Reason {
    for (name, scalar) in quantities {
        let (most, words) = match name.as_str() {
            "mem" | "disk" => (MAX_MEGABYTES, "1 exabyte"),
            _ => (MAX_OTHER, "1 trillion"),
        };
        if scalar.value > most {
            return Err(format!(
                "{{'{name}': {}}} is invalid: values greater than {words} ({most}) are not supported",
                scalar.value
            ));
        }
    }
    Ok(())
}

fn amounts(what: &str, quantities: &BTreeMap<String, Scalar>) -> Reason {
    for (name, scalar) in quantities {
        input_scalar(scalar.value).map_err(|reason| {
            format!(
                "Invalid {what} configuration {{'{name}': {}}}: {reason}",
                scalar.value
            )
        })?;
    }
    Ok(())
}

/// `{ cpus: 5 }`, as Mesos prints a map.
fn braces(quantities: &BTreeMap<String, Scalar>) -> String {
    let parts: Vec<String> = quantities
        .iter()
        .map(|(name, scalar)| format!("{name}: {}", scalar.value))
        .collect();
    if parts.is_empty() {
        "{}".to_string()
    } else {
        format!("{{ {} }}", parts.join(", "))
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
