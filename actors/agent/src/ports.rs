//! The ports of the machine at which containers listen, and the end of those that listen where they were given no port
//! (Mesos: the isolator `network/ports`, `isolators/network/ports.cpp`). Who has a network of its own may listen there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_protocol::{
    resources::{Range, Ranges},
    v1::{Resource, TaskResourceLimitation, TaskState, task_status::Reason, value},
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey},
    status::Verdict,
    tables::{Executor, Stage},
};

const PORTS: &str = "ports";

/// How ports are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortsWatch {
    /// Between the end of one look and the next (`--container_ports_watch_interval`).
    pub interval: Duration,
    /// Whether a container that listens elsewhere is ended (`--enforce_container_ports`), or only told in the log.
    pub enforced: bool,
    pub isolated: IsolatedPorts,
}

/// Which ports are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IsolatedPorts {
    All,
    /// Those that this agent offers (`--check_agent_port_range_only`).
    Offered,
    /// `--container_ports_isolated_range`.
    Within(Ranges),
}

impl PortsWatch {
    /// Mesos'.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
}

impl NodeCore {
    /// From the end of recovery on, for as long as the agent lives.
    pub(crate) fn watch_ports(&mut self, turn: &mut Turn<'_>) {
        let Some(watch) = &self.config.ports_watch else {
            return;
        };
        let interval = watch.interval;
        let on_machine = |key: &ExecutorKey| {
            let executor = self.executor(key);
            executor.is_some_and(|executor| executor.networks.is_empty())
        };
        let outer = self.containers.iter();
        let outer = outer.filter(|(_, key)| on_machine(key)).map(|(id, _)| id);
        let inner = self.children.iter();
        let inner = inner.filter(|(_, (key, _))| on_machine(key));
        let inner = inner.map(|(id, _)| id);
        let containers: Vec<String> = outer.chain(inner).cloned().collect();
        if containers.is_empty() {
            return self.set_timer(turn.now.monotonic + interval, Timer::Ports);
        }
        turn.out.push(Effect::LookAtPorts { containers });
    }

    /// The answer to [`Effect::LookAtPorts`].
    pub(crate) fn ports_seen(
        &mut self,
        turn: &mut Turn<'_>,
        listening: &BTreeMap<String, BTreeSet<u16>>,
    ) {
        let Some(watch) = self.config.ports_watch.clone() else {
            return;
        };
        let mut strays = BTreeMap::new();
        // Inner ones before those around them: where they listen is their doing.
        for (container_id, ports) in listening.iter().rev() {
            let Some((key, stray)) = self.strays(&watch, container_id, ports) else {
                continue;
            };
            let message =
                format!("Container {container_id} is listening on unallocated port(s): {stray}");
            if self.stray_ports.get(container_id) != Some(&stray) {
                turn.out.push(Effect::Note(message.clone()));
            }
            if watch.enforced {
                self.end_with(turn, &key, &verdict(&stray, message));
            }
            strays.insert(container_id.clone(), stray);
        }
        self.stray_ports = strays;
        self.set_timer(turn.now.monotonic + watch.interval, Timer::Ports);
    }

    /// The ports that a container was not given, if there are any.
    fn strays(
        &self,
        watch: &PortsWatch,
        container_id: &str,
        ports: &BTreeSet<u16>,
    ) -> Option<(ExecutorKey, Ranges)> {
        let of_child = self.children.get(container_id).map(|(key, _)| key);
        let key = of_child.or_else(|| self.containers.get(container_id))?;
        let given = given(self.executor(key)?);
        let is_isolated = |port: u64| match &watch.isolated {
            IsolatedPorts::All => true,
            IsolatedPorts::Offered => self.total.ports().contains_value(port),
            IsolatedPorts::Within(ranges) => ranges.contains_value(port),
        };
        let stray = ports.iter().map(|port| u64::from(*port));
        let stray = stray.filter(|port| is_isolated(*port) && !given.contains_value(*port));
        let stray: Ranges = stray.filter_map(|port| Range::new(port, port)).collect();
        (!stray.is_empty()).then(|| (key.clone(), stray))
    }
}

/// The ports of an executor and of its tasks that have not ended, all together, as their network is.
fn given(executor: &Executor) -> Ranges {
    let entries = executor.tasks.values();
    let live = entries.filter(|entry| entry.stage != Stage::Terminated);
    let of_tasks = live.flat_map(|entry| &entry.info.resources);
    let all = executor.info.resources.iter().chain(of_tasks);
    let mut ports = Ranges::default();
    for ranges in all
        .filter(|it| it.name == PORTS)
        .filter_map(|it| it.ranges.as_ref())
    {
        ports.union(&Ranges::from_proto(ranges));
    }
    ports
}

fn verdict(stray: &Ranges, message: String) -> Verdict {
    let resource = Resource {
        name: PORTS.to_owned(),
        r#type: value::Type::Ranges as i32,
        ranges: Some(stray.to_proto()),
        ..Resource::default()
    };
    Verdict {
        limitation: Some(TaskResourceLimitation {
            resources: vec![resource],
        }),
        ..Verdict::agent(TaskState::TaskFailed, Reason::ContainerLimitation, message)
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
