//! Lends a fixed amount, whatever the machine does (Mesos' `org_apache_mesos_FixedResourceEstimator`).

use tepui_protocol::{resources::Resources, roles};

use super::ResourceEstimator;
use crate::usage::Usage;

#[derive(Debug)]
pub(super) struct Fixed {
    /// In all, all of it revocable.
    total: Resources,
}

impl Fixed {
    pub(super) fn parse(parameters: &str) -> Result<Self, String> {
        let expected = "expected fixed=RESOURCES such as 'fixed=cpus:2;mem:1024'";
        if parameters.is_empty() {
            return Err(format!("it is not said how much is lent; {expected}"));
        }
        let parsed = Resources::parse(parameters, roles::ANY);
        let parsed = parsed.map_err(|error| format!("{error}; {expected}"))?;
        if parsed.iter().any(|entry| entry.is_reserved()) {
            return Err(format!("what is lent is reserved for nobody; {expected}"));
        }
        let lent = parsed.iter();
        let lent = lent.map(|entry| entry.with_terms(|terms| terms.revocable = true));
        Ok(Self {
            total: lent.collect(),
        })
    }
}

impl ResourceEstimator for Fixed {
    fn oversubscribable(&self, usage: &Usage) -> Resources {
        let executors = usage.executors.iter();
        executors.fold(self.total.clone(), |left, executor| {
            left - &executor.allocated.revocable()
        })
    }
}
