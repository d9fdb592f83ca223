//! Task statuses and their texts, as Mesos' agent and command executor word them.

use std::time::Duration;

use bytes::Bytes;
use tepui_messages::engine::Inspected;
use tepui_protocol::v1::{
    CheckInfo, CheckStatusInfo, ContainerId, ContainerInfo, ContainerStatus, DurationInfo,
    FrameworkInfo, NetworkInfo, TaskId, TaskInfo, TaskResourceLimitation, TaskState, TaskStatus,
    check_status_info,
    framework_info::capability,
    network_info,
    task_status::{Reason, Source},
};

use crate::{tables::TaskEntry, updates::is_terminal};

/// What an update of the agent's own making says.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) state: TaskState,
    pub(crate) source: Source,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
    pub(crate) limitation: Option<TaskResourceLimitation>,
}

impl Verdict {
    /// The agent's own words.
    pub(crate) fn agent(state: TaskState, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            state,
            source: Source::Agent,
            reason: Some(reason),
            message: Some(message.into()),
            limitation: None,
        }
    }

    /// What the command executor would say.
    pub(crate) fn executor(state: TaskState, message: Option<String>) -> Self {
        Self {
            state,
            source: Source::Executor,
            reason: None,
            message,
            limitation: None,
        }
    }

    pub(crate) fn status(&self, task_id: &str) -> TaskStatus {
        TaskStatus {
            task_id: TaskId {
                value: task_id.to_owned(),
            },
            state: self.state as i32,
            message: self.message.clone(),
            source: Some(self.source as i32),
            reason: self.reason.map(|reason| reason as i32),
            limitation: self.limitation.clone(),
            ..TaskStatus::default()
        }
    }
}

/// The container as a status shows it.
pub(crate) fn container_status(
    container_id: &str,
    pid: Option<u32>,
    network_infos: Vec<NetworkInfo>,
) -> ContainerStatus {
    ContainerStatus {
        container_id: Some(ContainerId {
            value: container_id.to_owned(),
            parent: None,
        }),
        network_infos,
        cgroup_info: None,
        executor_pid: pid,
    }
}

/// What Mesos' docker executor tells of a container of an engine: all of it with the first that says that it runs, its
/// own addresses with each.
pub(crate) fn as_inspected(
    status: &mut TaskStatus,
    container: &mut ContainerStatus,
    inspected: &Inspected,
    described: Option<&ContainerInfo>,
) {
    if status.state() == TaskState::TaskRunning && status.reason.is_none() {
        status.data = Some(inspected.json.clone());
    }
    let of = |ip: &Option<String>, protocol: network_info::Protocol| {
        let address = |ip: &String| network_info::IpAddress {
            protocol: Some(protocol as i32),
            ip_address: Some(ip.clone()),
        };
        ip.as_ref().map(address)
    };
    let addresses = [
        of(&inspected.ip, network_info::Protocol::IPv4),
        of(&inspected.ip6, network_info::Protocol::IPv6),
    ];
    let addresses: Vec<_> = addresses.into_iter().flatten().collect();
    if !addresses.is_empty() {
        let network = described.and_then(|it| it.network_infos.first());
        container.network_infos = vec![NetworkInfo {
            ip_addresses: addresses,
            ..network.cloned().unwrap_or_default()
        }];
    }
}

/// `TASK_DROPPED`, or `TASK_LOST` for a framework that does not know of it.
pub(crate) fn dropped(framework: &FrameworkInfo) -> TaskState {
    if has_capability(framework, capability::Type::PartitionAware) {
        TaskState::TaskDropped
    } else {
        TaskState::TaskLost
    }
}

/// `TASK_GONE`, or `TASK_LOST` for a framework that does not know of it.
pub(crate) fn gone(framework: &FrameworkInfo) -> TaskState {
    if has_capability(framework, capability::Type::PartitionAware) {
        TaskState::TaskGone
    } else {
        TaskState::TaskLost
    }
}

pub(crate) fn has_capability(framework: &FrameworkInfo, wanted: capability::Type) -> bool {
    let mut capabilities = framework.capabilities.iter();
    capabilities.any(|capability| capability.r#type == Some(wanted as i32))
}

/// A check without a result yet.
pub(crate) fn empty_check_status(check: &CheckInfo) -> CheckStatusInfo {
    CheckStatusInfo {
        r#type: check.r#type,
        command: check
            .command
            .as_ref()
            .map(|_| check_status_info::Command::default()),
        http: check
            .http
            .as_ref()
            .map(|_| check_status_info::Http::default()),
        tcp: check
            .tcp
            .as_ref()
            .map(|_| check_status_info::Tcp::default()),
    }
}

/// `Command exited with status 3`, `Command terminated with signal Terminated`.
pub(crate) fn exit_text(wait_status: i32) -> String {
    let signal = wait_status & 0x7f;
    if signal == 0 {
        return format!("Command exited with status {}", (wait_status >> 8) & 0xff);
    }
    let core = if wait_status & 0x80 == 0 {
        ""
    } else {
        " (core dumped)"
    };
    format!(
        "Command terminated with signal {}{core}",
        tepui_protocol::signal::text(signal)
    )
}

/// The same in the words of Mesos' docker executor: `Container exited with status 3`.
pub(crate) fn of_container(verdict: &mut Verdict) {
    if let Some(message) = &mut verdict.message
        && let Some(rest) = message.strip_prefix("Command ")
    {
        *message = format!("Container {rest}");
    }
}

/// Whether the command exited by itself with status 0.
pub(crate) fn is_success(wait_status: i32) -> bool {
    wait_status & 0xff7f == 0
}

/// A duration of the schema; a negative one is none at all.
pub(crate) fn duration(info: DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}

/// What a task ends with whose time is over.
pub(crate) fn overdue() -> Verdict {
    Verdict {
        reason: Some(Reason::MaxCompletionTimeReached),
        ..Verdict::executor(TaskState::TaskFailed, None)
    }
}

pub(crate) fn is_overdue(verdict: Option<&Verdict>) -> bool {
    verdict.is_some_and(|it| it.reason == Some(Reason::MaxCompletionTimeReached))
}

/// The time that a task may take, from when it runs. None of it is no bound, as in Mesos.
pub(crate) fn completion_limit(info: &TaskInfo) -> Option<Duration> {
    let limit = info.max_completion_time.map(duration);
    limit.filter(|limit| !limit.is_zero())
}

/// What is left of the time that a task may take, which goes on from its first update; `None` if it has no bound.
pub(crate) fn completion_left(entry: &TaskEntry, unix_nanos: i64) -> Option<Duration> {
    let limit = completion_limit(&entry.info)?;
    let first = entry.task.statuses.first().and_then(|it| it.timestamp);
    let since = timestamp(unix_nanos) - first.unwrap_or(0.0);
    Some(limit.saturating_sub(Duration::try_from_secs_f64(since).unwrap_or_default()))
}

/// What a built-in executor adds of a task's checks: no result where none is at hand, and that it was given up.
pub(crate) fn complete(status: &mut TaskStatus, entry: &TaskEntry) {
    let check = entry.info.check.as_ref();
    if status.check_status.is_none() {
        status.check_status = check.map(empty_check_status);
    }
    if entry.unhealthy && is_terminal(status.state()) {
        status.healthy = Some(false);
    }
}

/// Seconds since the epoch, as statuses carry them.
#[expect(
    clippy::cast_precision_loss,
    reason = "a double is what the schema has"
)]
pub(crate) fn timestamp(unix_nanos: i64) -> f64 {
    // Microseconds, as Mesos: a double holds them exactly for some centuries.
    (unix_nanos / 1_000) as f64 / 1e6
}

/// The bytes of a uuid field.
pub(crate) fn uuid_bytes(uuid: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&uuid)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
