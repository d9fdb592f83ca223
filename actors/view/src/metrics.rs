//! The metrics that follow from the world, in Mesos' names.
//!
//! Never counts messages, calls or disk writes: the stream does not tell them, and `apps/master` adds what the master
//! counted itself, the tasks too that were refused before they were shown. Refused operations are not in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use tepui_protocol::v1::{OperationState, TaskState, offer::operation::Type};

use crate::{
    questions::Readers,
    roles::known_roles,
    world::{Counters, Framework, Sums, TaskCounts, World},
};

/// States of which a metric tells how many tasks there are now.
const GAUGES: [TaskState; 5] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskUnreachable,
];

/// States of which a metric tells how many tasks have reached them.
const COUNTERS: [TaskState; 8] = [
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskDropped,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
];

/// Operations that are told of by kind.
const OPERATIONS: [Type; 8] = [
    Type::Reserve,
    Type::Unreserve,
    Type::Create,
    Type::Destroy,
    Type::GrowVolume,
    Type::ShrinkVolume,
    Type::CreateDisk,
    Type::DestroyDisk,
];

/// The states of operations; the first ones are of those of the moment.
const OPERATION_STATES: [OperationState; 8] = [
    OperationState::OperationPending,
    OperationState::OperationRecovering,
    OperationState::OperationUnreachable,
    OperationState::OperationFinished,
    OperationState::OperationFailed,
    OperationState::OperationError,
    OperationState::OperationDropped,
    OperationState::OperationGoneByOperator,
];

/// Roles of which it is told what they consume, the first ones by name: whoever watches keeps a series for each.
const MAX_ROLES: usize = 1000;
/// Roles of one framework that have metrics.
const MAX_ROLES_OF_ONE: usize = 100;
/// Bytes of a framework's name in those of metrics.
const MAX_NAME_BYTES: usize = 256;

type Snapshot = BTreeMap<String, f64>;

/// Names and values.
pub(crate) fn snapshot(world: &World, readers: Readers) -> Snapshot {
    let mut metrics = Snapshot::new();
    let mut put = |name: &str, value: f64| {
        metrics.insert(format!("master/{name}"), value);
    };
    put("elected", f64::from(u8::from(world.master.is_some())));
    put("outstanding_offers", world.totals.offers as f64);
    let Readers { watchers, repeated } = readers;
    put("operator_event_stream_subscribers", watchers as f64);
    put("http_cache_hits", repeated as f64);
    agents(world, &mut put);
    frameworks(world, &mut put);
    tasks(&world.totals.tasks, &world.counters.ended, &mut put);
    resources(&world.totals.total, &world.totals.used, &mut put);
    operations(world, &mut put);
    consumed(world, &mut metrics);
    for framework in world.all_frameworks() {
        of_framework(framework, &mut metrics);
    }
    metrics
}

fn agents(world: &World, put: &mut impl FnMut(&str, f64)) {
    let agents = world.agents.values();
    let connected = agents.filter(|agent| agent.record.connected).count();
    let active = world.active_agents();
    put("slaves_active", active as f64);
    put("slaves_inactive", (world.agents.len() - active) as f64);
    put("slaves_connected", connected as f64);
    put(
        "slaves_disconnected",
        (world.agents.len() - connected) as f64,
    );
    put("slaves_unreachable", world.unreachable.len() as f64);
    let Counters {
        agent_registrations,
        agent_reregistrations,
        agents_unreachable,
        agents_removed,
        ..
    } = world.counters;
    // Those that an operator marks gone are not among them (Mesos: `Master::markGone`).
    let removals = agents_unreachable + agents_removed;
    put("slave_registrations", agent_registrations as f64);
    put("slave_reregistrations", agent_reregistrations as f64);
    put("slave_removals", removals as f64);
    put("slave_removals/reason_unhealthy", agents_unreachable as f64);
    put("slave_unreachable_completed", agents_unreachable as f64);
}

fn frameworks(world: &World, put: &mut impl FnMut(&str, f64)) {
    let count = |is: fn(&Framework) -> bool| {
        let found = world.frameworks.values().filter(|framework| is(framework));
        found.count()
    };
    let (all, active) = (world.frameworks.len(), count(|f| f.record.active));
    let connected = count(|framework| framework.record.connected);
    put("frameworks_active", active as f64);
    put("frameworks_inactive", (all - active) as f64);
    put("frameworks_connected", connected as f64);
    put("frameworks_disconnected", (all - connected) as f64);
}

fn tasks(now: &TaskCounts, ended: &TaskCounts, put: &mut impl FnMut(&str, f64)) {
    let name = |state: TaskState| {
        let name = state.as_str_name().to_ascii_lowercase();
        format!("tasks_{}", name.trim_start_matches("task_"))
    };
    for state in GAUGES {
        put(&name(state), now.of(state) as f64);
    }
    for state in COUNTERS {
        put(&name(state), ended.of(state) as f64);
    }
}

fn resources(total: &Sums, used: &Sums, put: &mut impl FnMut(&str, f64)) {
    for (at, name) in Sums::NAMES.iter().enumerate() {
        let kinds = [
            ("", total.firm[at], used.firm[at]),
            ("_revocable", total.revocable[at], used.revocable[at]),
        ];
        for (kind, total, used) in kinds {
            let (total, used) = (total.to_f64(), used.to_f64());
            let percent = if total > 0.0 { used / total } else { 0.0 };
            put(&format!("{name}{kind}_total"), total);
            put(&format!("{name}{kind}_used"), used);
            put(&format!("{name}{kind}_percent"), percent);
        }
    }
}

fn operations(world: &World, put: &mut impl FnMut(&str, f64)) {
    let under_way = world.operations_under_way();
    let of = |kind: Type, state: OperationState| {
        let now = under_way.get(&(kind, state)).copied().unwrap_or(0);
        (now + world.counters.operations.of(kind, state)) as f64
    };
    let mut all = [0.0; OPERATION_STATES.len()];
    for kind in OPERATIONS {
        let kind_name = kind.as_str_name().to_ascii_lowercase();
        let mut total = 0.0;
        for (state, sum) in OPERATION_STATES.into_iter().zip(&mut all) {
            let count = of(kind, state);
            put(&format!("operations/{kind_name}/{}", ending(state)), count);
            total += count;
            *sum += count;
        }
        put(&format!("operations/{kind_name}/total"), total);
    }
    for (state, sum) in OPERATION_STATES.into_iter().zip(all) {
        put(&format!("operations/{}", ending(state)), sum);
    }
    put("operations/total", all.iter().sum());
}

fn ending(state: OperationState) -> String {
    let name = state.as_str_name().to_ascii_lowercase();
    name.trim_start_matches("operation_").to_owned()
}

/// What counts against the quota of a role, whether it has one or not. In Mesos the allocator tells this.
fn consumed(world: &World, metrics: &mut Snapshot) {
    for (name, role) in known_roles(world).into_iter().take(MAX_ROLES) {
        let prefix = format!("allocator/mesos/quota/roles/{name}/resources");
        let consumed = role.consumed();
        for (resource, amount) in consumed.iter().filter(|(_, amount)| amount.is_scalar) {
            let value = amount.quantity.to_f64();
            metrics.insert(format!("{prefix}/{resource}/consumed"), value);
        }
    }
}

fn of_framework(framework: &Framework, metrics: &mut Snapshot) {
    let record = &framework.record;
    let name = encoded(&record.info.name);
    let prefix = format!("master/frameworks/{name}/{}", framework.id());
    let mut put = |name: &str, value: f64| {
        metrics.insert(format!("{prefix}/{name}"), value);
    };
    put("subscribed", f64::from(u8::from(record.connected)));
    let habits = &framework.habits;
    put("offers/sent", framework.offers_sent as f64);
    put("offers/accepted", habits.accepted as f64);
    put("offers/declined", habits.declined as f64);
    put("offers/rescinded", habits.rescinded as f64);
    let suppressed: BTreeSet<&str> = record.suppressed_roles.iter().map(String::as_str).collect();
    for role in framework.roles().take(MAX_ROLES_OF_ONE) {
        let value = f64::from(u8::from(suppressed.contains(role)));
        // Plain, as all names that Mesos' allocator makes.
        put(&format!("roles/{role}/suppressed"), value);
    }
    let state_name = |state: TaskState| state.as_str_name().to_ascii_lowercase();
    for state in GAUGES.into_iter().chain([TaskState::TaskUnknown]) {
        let name = format!("tasks/active/{}", state_name(state));
        // A framework that has ended has no active tasks, whatever it left behind.
        let now = if framework.unregistered_at == 0 {
            framework.counts.of(state)
        } else {
            0
        };
        put(&name, now as f64);
    }
    for state in COUNTERS {
        let name = format!("tasks/terminal/{}", state_name(state));
        put(&name, framework.ended.of(state) as f64);
    }
}

/// Percent-encoded, so that a name with slashes stays one segment; of a name that fills pages the beginning, since the id
/// stands behind it.
pub fn encoded(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
