//! How long containers outlive their agent. Pure. A framework's own executor decides that by itself: it is told the same by
//! its environment. The agent plays the others (docs/adr/0001 and 0006), and Mesos' programs in their place end their
//! tasks when they have waited for an agent for `--recovery_timeout`, or at once where the framework does not checkpoint.

use std::time::Duration;

use tepui_messages::containers::Patience;
use tepui_protocol::v1::TaskInfo;

use crate::{
    config::NodeConfig,
    kills::{DEFAULT_KILL_GRACE, SHUTDOWN_RESERVE},
    status,
    tables::{Executor, Framework},
};

/// Of an executor's container, or that of a command task.
pub(crate) fn of(
    config: &NodeConfig,
    framework: &Framework,
    executor: &Executor,
    task: Option<&TaskInfo>,
) -> Option<Patience> {
    let usual = config.executor_shutdown_grace;
    let grace = match task {
        _ if executor.is_pod() => executor.shutdown_grace(usual),
        Some(task) if executor.command_task => shutdown_grace(config, task),
        _ => return None,
    };
    let timeout = timeout(config, framework);
    Some(Patience { timeout, grace })
}

/// Of a task within a default executor's container: it ends before that one does.
pub(crate) fn of_child(
    config: &NodeConfig,
    framework: &Framework,
    executor: &Executor,
    task: &TaskInfo,
) -> Patience {
    let most = executor.shutdown_grace(config.executor_shutdown_grace);
    let most = most.saturating_sub(SHUTDOWN_RESERVE);
    Patience {
        timeout: timeout(config, framework),
        grace: kill_grace(task).unwrap_or(DEFAULT_KILL_GRACE).min(most),
    }
}

fn timeout(config: &NodeConfig, framework: &Framework) -> Duration {
    match framework.checkpoints() {
        true => config.recovery_timeout,
        false => Duration::ZERO,
    }
}

/// What a command task is given to end by itself when all of its framework ends.
pub(crate) fn shutdown_grace(config: &NodeConfig, task: &TaskInfo) -> Duration {
    let spared = config
        .executor_shutdown_grace
        .saturating_sub(SHUTDOWN_RESERVE);
    kill_grace(task).unwrap_or(spared)
}

/// What the task's own policy says.
pub(crate) fn kill_grace(task: &TaskInfo) -> Option<Duration> {
    task.kill_policy?.grace_period.map(status::duration)
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
