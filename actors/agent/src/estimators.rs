//! Resource estimators: how much of what nobody uses can be lent, until it is needed. One of them is chosen by name
//! (`--resource-estimator`); each is a module here, and knows nothing but what it is shown.
//!
//! A new one is a file in `estimators/` and a line in [`parse`].

mod fixed;

use std::{fmt, sync::Arc};

use tepui_protocol::resources::Resources;

use crate::usage::Usage;

/// Says what can be lent (Mesos' `ResourceEstimator`).
pub trait ResourceEstimator: fmt::Debug + Send + Sync {
    /// Revocable resources that may be offered beside those that are lent already.
    fn oversubscribable(&self, usage: &Usage) -> Resources;
}

/// What `--resource-estimator` says; `None`: nothing is lent.
///
/// # Errors
/// What is wrong with the text, what was expected.
pub fn parse(text: &str) -> Result<Option<Arc<dyn ResourceEstimator>>, String> {
    let (name, parameters) = text.split_once('=').unwrap_or((text, ""));
    match name {
        "noop" => Ok(None),
        "fixed" | "org_apache_mesos_FixedResourceEstimator" => {
            Ok(Some(Arc::new(fixed::Fixed::parse(parameters)?)))
        }
        _ => Err(format!(
            "there is no resource estimator `{name}`; expected noop, or fixed=RESOURCES such as 'fixed=cpus:2;mem:1024'"
        )),
    }
}

#[cfg(test)]
#[path = "estimators_tests.rs"]
pub(crate) mod tests;
