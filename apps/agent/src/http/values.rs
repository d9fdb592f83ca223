//! Small values in v0 JSON: resources, attributes, times, tasks (Mesos: `common/http.cpp`, `model` and `json`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tepui_protocol::{
    resources::{self, Quantity, Ranges, Resources},
    roles,
    v1::{Attribute, ContainerStatus, Labels, NetworkInfo, Resource, Task, TaskStatus, value},
};

/// Written even where there is nothing of them.
const ALWAYS: [&str; 4] = ["disk", "mem", "gpus", "cpus"];

/// Resources as an object: disk, mem, gpus and cpus always, then what else there is; ranges and sets as text.
pub(super) fn summed(resources: &Resources) -> Value {
    let mut always = [Quantity::ZERO; ALWAYS.len()];
    let mut scalars = BTreeMap::<String, Quantity>::new();
    let mut ranges = BTreeMap::<String, Ranges>::new();
    let mut sets = BTreeMap::<String, BTreeSet<&str>>::new();
    for entry in resources {
        let revocable = entry.is_revocable();
        let suffix = if revocable { "_revocable" } else { "" };
        let name = format!("{}{suffix}", entry.name());
        match entry.value() {
            resources::Value::Scalar(amount) => match ALWAYS.iter().position(|it| *it == name) {
                Some(at) => always[at] += *amount,
                None => *scalars.entry(name).or_default() += *amount,
            },
            resources::Value::Ranges(value) => ranges.entry(name).or_default().union(value),
            resources::Value::Set(items) => {
                let items = items.iter().map(String::as_str);
                sets.entry(name).or_default().extend(items);
            }
        }
    }
    let mut object = Map::new();
    for (name, amount) in ALWAYS.iter().zip(always) {
        object.insert((*name).to_owned(), json!(amount.to_f64()));
    }
    for (name, amount) in scalars {
        object.insert(name, json!(amount.to_f64()));
    }
    for (name, ranges) in ranges {
        object.insert(name, json!(ranges.to_string()));
    }
    for (name, items) in sets {
        let items: Vec<&str> = items.into_iter().collect();
        object.insert(name, json!(set_text(&items)));
    }
    Value::Object(object)
}

/// What is reserved to each role.
pub(super) fn by_role(resources: &Resources, show: impl Fn(&Resources) -> Value) -> Value {
    let reserved = resources.reserved();
    let roles = reserved.iter().filter_map(|entry| entry.reservation_role());
    let roles: BTreeSet<&str> = roles.collect();
    let shown = roles
        .into_iter()
        .map(|role| (role.to_owned(), show(&reserved.reserved_to(role))));
    Value::Object(shown.collect())
}

/// Resources one by one, in the form of the endpoints.
pub(super) fn full(resources: &Resources) -> Value {
    proto(&resources.to_endpoint())
}

pub(super) fn parsed<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Resources {
    let resources: Vec<Resource> = resources.into_iter().cloned().collect();
    Resources::from_proto_unchecked(&resources)
}

/// The role that resources are allocated to: all of a task have one (MESOS-6636).
pub(super) fn role(resources: &Resources) -> &str {
    let first = resources.iter().next();
    let role = first.and_then(|entry| entry.allocation_role());
    role.unwrap_or(roles::ANY)
}

/// Attributes as an object of numbers and texts.
pub(super) fn attributes(attributes: &[Attribute]) -> Value {
    let shown = attributes.iter().map(|attribute| {
        let value = match attribute.r#type() {
            value::Type::Scalar => json!(attribute.scalar.as_ref().map_or(0.0, |it| it.value)),
            value::Type::Ranges => {
                let ranges = attribute.ranges.as_ref().map(Ranges::from_proto);
                json!(ranges.unwrap_or_default().to_string())
            }
            value::Type::Set => {
                let items = attribute.set.as_ref().map(|set| set.item.as_slice());
                json!(set_text(items.unwrap_or_default()))
            }
            value::Type::Text => {
                let text = attribute.text.as_ref().map(|text| text.value.as_str());
                json!(text.unwrap_or_default())
            }
        };
        (attribute.name.clone(), value)
    });
    Value::Object(shown.collect())
}

fn set_text<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("{{{}}}", items.join(", "))
}

/// A part of the v1 schema as its JSON has it.
pub(super) fn proto(message: &impl Serialize) -> Value {
    serde_json::to_value(message).unwrap_or(Value::Null)
}

/// Adds a field that is left out without a value.
pub(super) fn optional(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

pub(super) fn labels(labels: &Option<Labels>) -> Option<Value> {
    labels.as_ref().map(|labels| proto(&labels.labels))
}

/// The same value with the keys of every object in alphabetical order.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries: BTreeMap<String, Value> = object
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}

/// One task.
pub(super) fn task(task: &Task) -> Value {
    let resources = parsed(&task.resources);
    let executor = task.executor_id.as_ref().map_or("", |id| &id.value);
    let mut object = object(json!({
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": executor,
        "slave_id": task.agent_id.value,
        "state": task.state().as_str_name(),
        "resources": summed(&resources),
    }));
    if !task.limits.is_empty() {
        let limits = task.limits.iter().map(|(name, limit)| {
            let unlimited = limit.value.is_infinite();
            let shown = if unlimited {
                json!("Infinity")
            } else {
                json!(limit.value)
            };
            (name.clone(), shown)
        });
        object.insert("limits".to_owned(), Value::Object(limits.collect()));
    }
    object.insert("role".to_owned(), json!(role(&resources)));
    let statuses = task.statuses.iter().map(status);
    object.insert("statuses".to_owned(), statuses.collect());
    optional(&mut object, "user", task.user.as_ref().map(|it| json!(it)));
    optional(&mut object, "labels", labels(&task.labels));
    optional(&mut object, "discovery", task.discovery.as_ref().map(proto));
    optional(&mut object, "container", task.container.as_ref().map(proto));
    let health_check = task.health_check.as_ref().map(proto);
    optional(&mut object, "health_check", health_check);
    Value::Object(object)
}

fn status(status: &TaskStatus) -> Value {
    let mut object = object(json!({
        "state": status.state().as_str_name(),
        "timestamp": status.timestamp(),
    }));
    optional(&mut object, "labels", labels(&status.labels));
    let container = status.container_status.as_ref().map(container_status);
    optional(&mut object, "container_status", container);
    optional(&mut object, "healthy", status.healthy.map(|it| json!(it)));
    Value::Object(object)
}

fn container_status(status: &ContainerStatus) -> Value {
    let mut object = Map::new();
    let container_id = status.container_id.as_ref().map(proto);
    optional(&mut object, "container_id", container_id);
    if !status.network_infos.is_empty() {
        let networks = status.network_infos.iter().map(network);
        object.insert("network_infos".to_owned(), networks.collect());
    }
    let cgroup_info = status.cgroup_info.as_ref().map(proto);
    optional(&mut object, "cgroup_info", cgroup_info);
    Value::Object(object)
}

fn network(info: &NetworkInfo) -> Value {
    let mut object = object(json!({ "ip_addresses": proto(&info.ip_addresses) }));
    optional(&mut object, "name", info.name.as_ref().map(|it| json!(it)));
    if !info.groups.is_empty() {
        object.insert("groups".to_owned(), json!(info.groups));
    }
    optional(&mut object, "labels", labels(&info.labels));
    if !info.port_mappings.is_empty() {
        object.insert("port_mappings".to_owned(), proto(&info.port_mappings));
    }
    Value::Object(object)
}

/// The map of a `json!({…})`.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
