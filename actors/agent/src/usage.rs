//! What runs on the node and what it may use, as estimators and controllers are shown it. Plain values.

use std::sync::Arc;

use tepui_protocol::{
    resources::Resources,
    v1::{ExecutorInfo, ResourceStatistics, Task},
};

use crate::effect::ExecutorKey;

/// The node at one moment (Mesos' `ResourceUsage`).
#[derive(Debug, Default)]
pub struct Usage {
    /// As configured, with what was reserved and created since; nothing that was only lent.
    pub total: Resources,
    /// Those whose container has not ended.
    pub executors: Vec<ExecutorUsage>,
}

/// One executor, or the part of one that the agent plays for a command task.
#[derive(Debug)]
pub struct ExecutorUsage {
    pub key: ExecutorKey,
    pub info: Arc<ExecutorInfo>,
    pub container_id: String,
    /// Of the executor and of its tasks that have not ended; without roles.
    pub allocated: Resources,
    /// Tasks that have not ended.
    pub tasks: Vec<Arc<Task>>,
    /// As measured; `None` where its container could not be looked at.
    pub statistics: Option<ResourceStatistics>,
}

/// Processes that run or wait to, averaged over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    pub five_minutes: f64,
    pub fifteen_minutes: f64,
}

impl Load {
    /// From the text of `/proc/loadavg`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut averages = text.split_ascii_whitespace().map(str::parse);
        let (_, five, fifteen) = (averages.next()?, averages.next()?, averages.next()?);
        Some(Self {
            five_minutes: five.ok()?,
            fifteen_minutes: fifteen.ok()?,
        })
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
