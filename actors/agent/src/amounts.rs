//! What a container may use, from the resources and limits of its executor and tasks. Pure.

use std::collections::BTreeMap;

use tepui_messages::containers::Amounts;
use tepui_protocol::v1::{Resource, TaskInfo, value};

use crate::{
    config::NodeConfig,
    engine,
    tables::{Executor, Stage},
};

/// What the command executor of Mesos takes for itself; only the agent knows of it.
pub(crate) const OVERHEAD_CPUS: f64 = 0.1;
pub(crate) const OVERHEAD_MEM_MB: f64 = 32.0;
/// Of a CPU that was only lent, where one of its own has 1024 shares (Mesos' `--revocable_cpu_low_priority`).
const LENT_CPU_PART: f64 = 10.0 / 1024.0;
const MEGABYTE: f64 = 1_048_576.0;

/// What an executor of its own container and its live tasks may use together.
pub(crate) fn amounts(config: &NodeConfig, executor: &Executor) -> Amounts {
    let live = executor.tasks.values();
    let live = live.filter(|entry| entry.stage != Stage::Terminated);
    let tasks = live.map(|entry| &*entry.info);
    let own = executor.info.resources.iter();
    let all = own.chain(tasks.clone().flat_map(|it| &it.resources));
    Amounts {
        gpus: match executor.is_pod() {
            true => 0,
            false => gpus(all),
        },
        ..sum_of_all(config, &executor.info.resources, tasks)
    }
}

/// A task without a limit counts into that of all with what it requests.
pub(crate) fn sum_of_all<'a>(
    config: &NodeConfig,
    own: &[Resource],
    tasks: impl Iterator<Item = &'a TaskInfo> + Clone,
) -> Amounts {
    let requested = |name: &str| {
        let resources = own.iter().chain(tasks.clone().flat_map(|it| &it.resources));
        sum_of(resources, name)
    };
    let limit = |name: &str| {
        let limited = tasks.clone().any(|task| task.limits.contains_key(name));
        let of_task = |task: &TaskInfo| {
            let limit = task.limits.get(name).map(|limit| limit.value);
            limit.or_else(|| sum_of(task.resources.iter(), name))
        };
        let sum: f64 = tasks.clone().filter_map(of_task).sum();
        limited.then(|| sum + sum_of(own.iter(), name).unwrap_or(0.0))
    };
    let all = own.iter().chain(tasks.clone().flat_map(|it| &it.resources));
    let cpus = requested("cpus");
    let cpus_limit = limit("cpus").or_else(|| cpus.filter(|_| config.limit_cpus));
    Amounts {
        cpu_milli: cpus.map(|it| weight_milli(config, it, all)),
        cpu_limit_milli: cpus_limit.map(limit_milli),
        gpus: 0,
        memory_bytes: requested("mem").map(|it| whole(it * MEGABYTE)),
        memory_limit_bytes: limit("mem").map(memory_limit_bytes),
    }
}

/// What a container that a client of the API asks for may use.
pub(crate) fn of_guest(
    config: &NodeConfig,
    resources: &[Resource],
    limits: &BTreeMap<String, value::Scalar>,
) -> Amounts {
    let limit = |name: &str| limits.get(name).map(|limit| limit.value);
    let requested = sum_of_all(config, resources, std::iter::empty());
    Amounts {
        cpu_limit_milli: limit("cpus").map(limit_milli).or(requested.cpu_limit_milli),
        gpus: gpus(resources.iter()),
        memory_limit_bytes: limit("mem").map(memory_limit_bytes),
        ..requested
    }
}

/// What the container of an executor, or of a command task, begins with.
pub(crate) fn at_launch(
    config: &NodeConfig,
    executor: &Executor,
    task: Option<&TaskInfo>,
    by_engine: bool,
) -> Amounts {
    // What Mesos' command executor takes for itself an engine's container does not have.
    let is_alone = by_engine && executor.command_task;
    let (more_cpus, more_mem) = match is_alone {
        true => (0.0, 0.0),
        false => (OVERHEAD_CPUS, OVERHEAD_MEM_MB),
    };
    let resources = || {
        let own = executor.info.resources.iter().filter(move |_| !is_alone);
        own.chain(task.iter().flat_map(|task| &task.resources))
    };
    let limit = |name: &str| {
        task.and_then(|task| task.limits.get(name))
            .map(|limit| limit.value)
    };
    let sum = |name: &str| sum_of(resources(), name);
    let cpus = sum("cpus");
    let cpus_limit = limit("cpus").map(|it| it + more_cpus);
    let cpus_limit = cpus_limit.or_else(|| cpus.filter(|_| config.limit_cpus));
    Amounts {
        cpu_milli: cpus.map(|it| weight_milli(config, it, resources())),
        cpu_limit_milli: cpus_limit.map(limit_milli),
        gpus: match executor.is_pod() {
            // They are those of its tasks.
            true => 0,
            false => gpus(resources()),
        },
        memory_bytes: sum("mem").map(|it| whole(it * MEGABYTE)),
        memory_limit_bytes: limit("mem").map(|it| memory_limit_bytes(it + more_mem)),
    }
}

/// What a container can use at most, as it is told: all of the machine where nothing limits it. `None`: nobody spoke of a
/// limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Most {
    pub(crate) cpus: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
}

impl Most {
    fn of(config: &NodeConfig, amounts: &Amounts) -> Self {
        let machine = &config.machine;
        let cpus = |milli| match milli {
            u64::MAX => f64::from(machine.cpus),
            milli => cpus(milli),
        };
        let memory = |bytes| match bytes {
            u64::MAX => machine.memory_bytes,
            bytes => bytes,
        };
        Self {
            cpus: amounts.cpu_limit_milli.map(cpus),
            memory_bytes: amounts.memory_limit_bytes.map(memory),
        }
    }
}

/// Of the container of an executor, or of a command task.
pub(crate) fn most(config: &NodeConfig, executor: &Executor) -> Most {
    let amounts = executor.limits.unwrap_or_else(|| {
        let task = executor.command_task().map(|(_, entry)| &*entry.info);
        let container = executor.info.container.as_ref();
        let by_engine = engine::of(config, container).is_some();
        at_launch(config, executor, task, by_engine)
    });
    Most::of(config, &amounts)
}

/// The same of a task in a container within its executor's.
pub(crate) fn most_within(config: &NodeConfig, task: &TaskInfo) -> Most {
    Most::of(config, &sum_of_all(config, &[], std::iter::once(task)))
}

#[expect(clippy::cast_precision_loss, reason = "CPUs of one machine")]
fn cpus(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

/// What so many CPUs weigh: those that were lent give way to all others, unless the operator says otherwise.
fn weight_milli<'a>(
    config: &NodeConfig,
    cpus: f64,
    mut resources: impl Iterator<Item = &'a Resource>,
) -> u64 {
    let lent = resources.any(|it| it.name == "cpus" && it.revocable.is_some());
    let gives_way = lent && config.lent_cpus_give_way;
    let part = if gives_way { LENT_CPU_PART } else { 1.0 };
    whole(cpus * 1000.0 * part)
}

fn limit_milli(cpus: f64) -> u64 {
    match cpus.is_finite() {
        true => whole(cpus * 1000.0),
        false => u64::MAX,
    }
}

fn memory_limit_bytes(megabytes: f64) -> u64 {
    match megabytes.is_finite() {
        true => whole(megabytes * MEGABYTE),
        false => u64::MAX,
    }
}

/// The master lets nobody have a part of one.
pub(crate) fn gpus<'a>(resources: impl Iterator<Item = &'a Resource>) -> u32 {
    let count = sum_of(resources, "gpus").map_or(0, whole);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn sum_of<'a>(resources: impl Iterator<Item = &'a Resource>, name: &str) -> Option<f64> {
    let scalars = resources.filter(|resource| resource.name == name);
    let values = scalars.filter_map(|resource| resource.scalar.as_ref());
    values.map(|scalar| scalar.value).reduce(|a, b| a + b)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded and never negative"
)]
fn whole(amount: f64) -> u64 {
    amount.max(0.0).round() as u64
}

#[cfg(test)]
#[path = "amounts_tests.rs"]
mod tests;
