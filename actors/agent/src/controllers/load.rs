//! Preempts all that use lent resources while the machine's load is above a threshold (Mesos'
//! `org_apache_mesos_LoadQoSController`).

use super::QosController;
use crate::{
    effect::ExecutorKey,
    usage::{Load, Usage},
};

#[derive(Debug, Default)]
pub(super) struct LoadLimit {
    five_minutes: Option<f64>,
    fifteen_minutes: Option<f64>,
}

impl LoadLimit {
    /// `5min:8;15min:4`, one of them or both.
    pub(super) fn parse(parameters: &str) -> Result<Self, String> {
        let expected =
            "expected load=THRESHOLDS such as 'load=5min:8;15min:4', one of them or both";
        let mut limits = Self::default();
        for part in parameters.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once(':').unwrap_or((part, ""));
            let limit = match name.trim() {
                "5min" | "load_threshold_5min" => &mut limits.five_minutes,
                "15min" | "load_threshold_15min" => &mut limits.fifteen_minutes,
                _ => return Err(format!("`{part}` is no threshold; {expected}")),
            };
            let value = value.trim().parse().ok();
            let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
            let value = value.ok_or_else(|| format!("`{part}` has no number; {expected}"))?;
            *limit = Some(value);
        }
        if limits.five_minutes.is_none() && limits.fifteen_minutes.is_none() {
            return Err(format!("no threshold is given; {expected}"));
        }
        Ok(limits)
    }

    fn is_passed(&self, load: Load) -> bool {
        let above = |load: f64, limit: Option<f64>| limit.is_some_and(|limit| load > limit);
        above(load.five_minutes, self.five_minutes)
            || above(load.fifteen_minutes, self.fifteen_minutes)
    }
}

impl QosController for LoadLimit {
    fn corrections(&self, usage: &Usage, load: Option<Load>) -> Vec<ExecutorKey> {
        if !load.is_some_and(|load| self.is_passed(load)) {
            return Vec::new();
        }
        let executors = usage.executors.iter();
        let lent = executors.filter(|executor| !executor.allocated.revocable().is_empty());
        lent.map(|executor| executor.key.clone()).collect()
    }
}
