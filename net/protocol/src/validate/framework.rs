//! `FrameworkInfo`: roles, id, filters, timeouts, and what may change later (Mesos: `master/validation.cpp`,
//! `framework::validate` and `validateUpdate`).

use std::collections::BTreeSet;

use prost::Message;

use super::{Reason, id};
use crate::roles;
use crate::v1::{FrameworkInfo, OfferFilters, framework_info::capability::Type};

#[must_use]
pub fn has_capability(info: &FrameworkInfo, capability: Type) -> bool {
    info.capabilities
        .iter()
        .any(|found| found.r#type() == capability)
}

/// The roles it subscribes to: `roles` with MULTI_ROLE, else the one `role`, `*` by default.
#[must_use]
pub fn roles(info: &FrameworkInfo) -> BTreeSet<&str> {
    if has_capability(info, Type::MultiRole) {
        info.roles.iter().map(String::as_str).collect()
    } else {
        [info.role.as_deref().unwrap_or(roles::ANY)].into()
    }
}

/// Whether it is one of [`roles`], without making the set.
#[must_use]
pub fn has_role(info: &FrameworkInfo, role: &str) -> bool {
    if has_capability(info, Type::MultiRole) {
        info.roles.iter().any(|it| it == role)
    } else {
        info.role.as_deref().unwrap_or(roles::ANY) == role
    }
}

/// Each master keeps it in memory, on its disk and in its log, and each order to launch a task carries it. Mesos has no bound.
pub const MAX_BYTES: usize = 256 << 10;

/// Asked of those who subscribe; one that runs already may have more.
///
/// # Errors
/// How many bytes it has, and how many it may have.
pub fn size(info: &FrameworkInfo) -> Reason {
    let bytes = info.encoded_len();
    if bytes > MAX_BYTES {
        return Err(format!(
            "The FrameworkInfo has {bytes} bytes; at most {MAX_BYTES} are kept: give it fewer labels or roles"
        ));
    }
    Ok(())
}

/// # Errors
/// The whole sentence of the ERROR event: roles first, then id, filters and failover timeout.
pub fn validate(info: &FrameworkInfo) -> Reason {
    validate_roles(info)?;
    if let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        id::validate(&id.value)?;
    }
    info.offer_filters.values().try_for_each(offer_filters)?;
    let timeout = info.failover_timeout.unwrap_or(0.0);
    // A duration is nanoseconds in an i64.
    if (timeout * 1e9).abs() < i64::MAX as f64 {
        Ok(())
    } else {
        Err(format!(
            "The framework failover_timeout ({}) is invalid",
            scientific(timeout)
        ))
    }
}

fn validate_roles(info: &FrameworkInfo) -> Reason {
    if !has_capability(info, Type::MultiRole) {
        if !info.roles.is_empty() {
            return Err("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable".into());
        }
        return roles::validate(info.role.as_deref().unwrap_or(roles::ANY))
            .map_err(|reason| format!("'FrameworkInfo.role' is not a valid role: {reason}"));
    }
    if info.role.is_some() {
        return Err(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable".into(),
        );
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = info
        .roles
        .iter()
        .map(String::as_str)
        .filter(|role| !seen.insert(*role))
        .collect();
    if !twice.is_empty() {
        let list: Vec<&str> = twice.into_iter().collect();
        return Err(format!(
            "'FrameworkInfo.roles' contains duplicate items: {{ {} }}",
            list.join(", ")
        ));
    }
    info.roles
        .iter()
        .try_for_each(|role| roles::validate(role))
        .map_err(|reason| format!("'FrameworkInfo.roles' contains invalid role: {reason}"))
}

/// # Errors
/// An empty set of quantities, or one that is no finite amount.
pub fn offer_filters(filters: &OfferFilters) -> Reason {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for set in &minimum.quantities {
        if set.quantities.is_empty() {
            return Err("Resource quantities must contain at least one quantity".into());
        }
        for (name, amount) in &set.quantities {
            input_scalar(amount.value)
                .map_err(|reason| format!("Invalid resource quantity for '{name}': {reason}"))?;
        }
    }
    Ok(())
}

/// What an operator or framework may give as an amount: also for quota.
///
/// # Errors
/// `NaN not supported`, `Negative values not supported`, …
pub fn input_scalar(value: f64) -> Reason {
    use std::num::FpCategory;
    match value.classify() {
        FpCategory::Infinite => Err("Infinite values not supported".into()),
        FpCategory::Nan => Err("NaN not supported".into()),
        FpCategory::Subnormal => Err("Subnormal values not supported".into()),
        FpCategory::Normal if value < 0.0 => Err("Negative values not supported".into()),
        FpCategory::Zero | FpCategory::Normal => Ok(()),
    }
}

/// # Errors
/// In the words of 1.11.0; later versions list all such roles in one sentence.
pub fn suppressed_roles(info: &FrameworkInfo, suppressed: &[String]) -> Reason {
    let subscribed = roles(info);
    match suppressed
        .iter()
        .find(|role| !subscribed.contains(role.as_str()))
    {
        None => Ok(()),
        Some(role) => Err(format!(
            "Suppressed role '{role}' is not contained in the list of roles"
        )),
    }
}

/// What UPDATE_FRAMEWORK may not change. (A SUBSCRIBE keeps the old user and checkpoint in silence, but
/// for it too the principal is checked.)
///
/// # Errors
/// Names the field; never the old principal.
pub fn validate_update(old: &FrameworkInfo, new: &FrameworkInfo) -> Reason {
    same_principal(old, new)?;
    if old.user != new.user {
        return Err(format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ));
    }
    let (before, after) = (
        old.checkpoint.unwrap_or(false),
        new.checkpoint.unwrap_or(false),
    );
    if before != after {
        return Err(format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{before}' to '{after}'"
        ));
    }
    Ok(())
}

/// # Errors
/// `Changing framework's principal is not allowed.`
pub fn same_principal(old: &FrameworkInfo, new: &FrameworkInfo) -> Reason {
    if old.principal == new.principal {
        Ok(())
    } else {
        Err("Changing framework's principal is not allowed.".into())
    }
}

/// Six significant digits with a two-digit exponent, as C++ streams print large numbers: `1e+20`.
fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let text = format!("{value:.5e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
