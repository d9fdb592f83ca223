use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tepui_messages::{
    change::{AgentEnd, AgentRecord, Change, MasterRecord, TaskKept},
    view::Question,
};
use tepui_protocol::{
    resources::Resources,
    v1::{
        AgentId, AgentInfo, FrameworkId, Offer, OfferId, Resource, Task, TaskId, TaskState,
        resource::AllocationInfo,
    },
};

use crate::{Readers, ViewConfig, World, questions, scene};

fn told(world: &World) -> Value {
    let body = questions::answer(
        world,
        &ViewConfig::default(),
        Readers::default(),
        &Question::Roles,
    )
    .unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    told["roles"].clone()
}

fn names(world: &World) -> Vec<String> {
    let told = told(world);
    let roles = told.as_array().unwrap().iter();
    roles
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect()
}

fn agent_id(id: &str) -> AgentId {
    AgentId {
        value: id.to_owned(),
    }
}

fn agent(id: &str, total: &str) -> Change {
    Change::AgentAdded(Arc::new(AgentRecord {
        shortcoming: None,
        info: AgentInfo {
            id: Some(agent_id(id)),
            ..AgentInfo::default()
        }
        .into(),
        pid: String::new(),
        version: String::new(),
        capabilities: Vec::new(),
        connected: true,
        active: true,
        deactivated: false,
        registered_at: 0,
        reregistered_at: None,
        total: Resources::parse(total, "*").unwrap().to_proto(),
        drain_info: None,
        drain_started_at: None,
    }))
}

fn removed(id: &str) -> Change {
    Change::AgentRemoved {
        agent_id: agent_id(id),
        end: AgentEnd::Removed,
        at: 0,
    }
}

/// As given to a framework under the role.
fn allocated(resources: &str, role: &str) -> Vec<Resource> {
    let resources = Resources::parse(resources, "*").unwrap().to_proto();
    let allocation = AllocationInfo {
        role: Some(role.to_owned()),
    };
    let given = resources.into_iter().map(|resource| Resource {
        allocation_info: Some(allocation.clone()),
        ..resource
    });
    given.collect()
}

fn task(id: &str, on: &str, resources: Vec<Resource>) -> Change {
    Change::TaskAdded(Arc::new(Task {
        task_id: TaskId {
            value: id.to_owned(),
        },
        framework_id: FrameworkId {
            value: "f".to_owned(),
        },
        agent_id: agent_id(on),
        state: TaskState::TaskRunning as i32,
        resources,
        ..Task::default()
    }))
}

fn offer(on: &str, resources: Vec<Resource>) -> Change {
    scene::offer_added(Offer {
        id: OfferId {
            value: "O1".to_owned(),
        },
        framework_id: FrameworkId {
            value: "f".to_owned(),
        },
        agent_id: agent_id(on),
        resources,
        ..Offer::default()
    })
}

#[test]
fn a_role_consumes_its_reservations_and_what_it_uses_beside_them_and_not_what_is_offered() {
    let reserved = "cpus(role):100;mem(role):1000;ports(role):[100-199]";
    let both = format!("{reserved};cpus:1000;mem:10000;ports:[1000-1999]");
    let world = scene::world([
        Change::FrameworkAdded(scene::framework("f", &["role"])),
        agent("S0", "cpus(role):1;mem(role):10"),
        task("t1", "S0", allocated("cpus(role):1;mem(role):10", "role")),
        agent("S1", "cpus:10;mem:100"),
        task("t2", "S1", allocated("cpus:10;mem:100", "role")),
        agent("S2", &both),
        offer("S2", allocated(&both, "role")),
    ]);
    let amounts = |cpus: f64, mem: f64| json!({"cpus": cpus, "mem": mem});
    let with_ports = |cpus: f64, mem: f64, ports: f64| {
        let mut amounts = amounts(cpus, mem);
        amounts["ports"] = ports.into();
        amounts
    };
    let told = told(&world);
    let role = &told[0];
    assert_eq!(role["frameworks"], json!(["f"]));
    assert_eq!(role["allocated"], amounts(11.0, 110.0));
    let offered = 1100.0;
    assert_eq!(role["offered"], with_ports(1100.0, 11_000.0, offered));
    assert_eq!(role["resources"], with_ports(1111.0, 11_110.0, offered));
    assert_eq!(role["reserved"], with_ports(101.0, 1010.0, 100.0));
    let consumed = &role["quota"]["consumed"];
    assert_eq!(*consumed, with_ports(111.0, 1110.0, 100.0));
}

#[test]
fn a_role_is_known_with_those_above_it_as_long_as_anything_is_of_it() {
    let mut world = scene::world([agent("S0", "cpus(ancestor/child):1;mem(ancestor/child):10")]);
    assert_eq!(names(&world), ["ancestor", "ancestor/child"]);
    let reserved = json!({"cpus": 1.0, "mem": 10.0});
    for role in told(&world).as_array().unwrap() {
        assert_eq!(role["reserved"], reserved);
        assert_eq!(role["quota"]["consumed"], reserved);
        assert_eq!(role["allocated"], json!({}));
        assert_eq!(role["frameworks"], json!([]));
        assert_eq!(role["weight"], 1.0);
    }
    world.apply(&removed("S0"));
    assert!(names(&world).is_empty());
    let weights = [("roleX".to_owned(), 5.0), ("roleY".to_owned(), 4.0)];
    world.apply(&Change::Weights(Arc::new(weights.into())));
    let joined = |name: &str, roles: &[&str]| Change::FrameworkAdded(scene::framework(name, roles));
    world.apply(&joined("f", &["roleX"]));
    world.apply(&joined("g", &["roleX", "roleZ"]));
    let rows: Vec<Value> = told(&world)
        .as_array()
        .unwrap()
        .iter()
        .map(|role| json!([role["name"], role["weight"], role["frameworks"]]))
        .collect();
    let expected = json!([
        ["roleX", 5.0, ["f", "g"]],
        ["roleY", 4.0, []],
        ["roleZ", 1.0, ["g"]],
    ]);
    assert_eq!(Value::from(rows), expected);
    let ended = |name: &str| Change::FrameworkRemoved {
        framework_id: FrameworkId {
            value: name.to_owned(),
        },
        at: 1,
    };
    world.apply(&ended("g"));
    assert_eq!(names(&world), ["roleX", "roleY"]);
    world.apply(&Change::Weights(Arc::default()));
    assert_eq!(names(&world), ["roleX"]);
    // It left the role, and still runs something under it.
    world.apply(&agent("S0", "cpus:1"));
    world.apply(&task("t", "S0", allocated("cpus:1", "roleX")));
    world.apply(&Change::FrameworkUpdated(scene::framework("f", &["other"])));
    assert_eq!(names(&world), ["other", "roleX"]);
    world.apply(&Change::TaskRemoved {
        framework_id: FrameworkId {
            value: "f".to_owned(),
        },
        task_id: TaskId {
            value: "t".to_owned(),
        },
        kept: TaskKept::Completed,
    });
    assert_eq!(names(&world), ["other"]);
}

#[test]
fn what_a_role_consumes_is_a_metric_also_without_quota() {
    let consumed = |world: &World| {
        let question = Question::Metrics;
        let body = questions::answer(world, &ViewConfig::default(), Readers::default(), &question)
            .unwrap();
        let metrics: BTreeMap<String, f64> = serde_json::from_slice(&body).unwrap();
        let of_roles = metrics.into_iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("allocator/mesos/quota/roles/")?;
            Some((name.to_owned(), value))
        });
        of_roles.collect::<Vec<(String, f64)>>()
    };
    let mut world = scene::world([
        Change::FrameworkAdded(scene::framework("f", &["r/below"])),
        agent("S0", "cpus:4;ports:[1-9];mem(r):100"),
        offer("S0", allocated("cpus:4", "r/below")),
    ]);
    let reserved = ("r/resources/mem/consumed".to_owned(), 100.0);
    assert_eq!(consumed(&world), std::slice::from_ref(&reserved));
    world.apply(&task(
        "t",
        "S0",
        allocated("cpus:1.5;ports:[1-2]", "r/below"),
    ));
    let expected = [
        ("r/below/resources/cpus/consumed".to_owned(), 1.5),
        ("r/resources/cpus/consumed".to_owned(), 1.5),
        reserved,
    ];
    assert_eq!(consumed(&world), expected);
}

#[test]
fn roles_that_frameworks_may_have_are_known_without_any() {
    let mut world = World::default();
    assert_eq!(names(&world), Vec::<String>::new());
    let Change::Elected(record) = scene::elected("068") else {
        panic!("the scene begins with a master")
    };
    world.apply(&Change::Elected(Arc::new(MasterRecord {
        roles: Some(["role1".to_owned(), "a/b".to_owned()].into()),
        ..MasterRecord::clone(&record)
    })));
    assert_eq!(names(&world), ["*", "a", "a/b", "role1"]);
    world.apply(&Change::Weights(Arc::new(BTreeMap::from([(
        "role1".to_owned(),
        5.0,
    )]))));
    let told = told(&world);
    let role1 = &told[3];
    assert_eq!(
        (&role1["weight"], &role1["frameworks"]),
        (&json!(5.0), &json!([]))
    );
    assert_eq!(role1["resources"], json!({}));
}

/// The role stands in the name as it is, the framework's name percent-encoded.
#[test]
fn whether_a_role_is_suppressed_follows_suppress_and_revive() {
    let name = "master/frameworks/a%20b/a b/roles/dev/web/suppressed";
    let record = scene::framework("a b", &["dev/web"]);
    let mut world = scene::world([Change::FrameworkAdded(Arc::clone(&record))]);
    let suppressed = Arc::new(tepui_messages::change::FrameworkRecord {
        suppressed_roles: vec!["dev/web".to_owned()],
        ..(*record).clone()
    });
    for (record, expected) in [(suppressed, 1.0), (record, 0.0)] {
        world.apply(&Change::FrameworkMarked(record));
        let (config, readers) = (ViewConfig::default(), Readers::default());
        let body = questions::answer(&world, &config, readers, &Question::Metrics).unwrap();
        let metrics: BTreeMap<String, f64> = serde_json::from_slice(&body).unwrap();
        assert_eq!(metrics.get(name), Some(&expected));
    }
}

#[test]
fn a_framework_does_not_fill_the_metrics_with_its_name_and_roles() {
    let roles: Vec<String> = (0..1000).map(|role| format!("r{role}")).collect();
    let mut record = (*scene::framework("f", &[])).clone();
    record.info.name = "/".repeat(10_000);
    record.info.roles = roles.clone();
    record.suppressed_roles = roles;
    let world = scene::world([Change::FrameworkAdded(Arc::new(record))]);
    let body = questions::answer(
        &world,
        &ViewConfig::default(),
        Readers::default(),
        &Question::Metrics,
    );
    let metrics: BTreeMap<String, f64> = serde_json::from_slice(&body.unwrap()).unwrap();
    let suppressed = metrics
        .iter()
        .filter(|(name, _)| name.ends_with("/suppressed"));
    assert_eq!(suppressed.clone().count(), 100);
    assert!(suppressed.clone().all(|(_, value)| *value == 1.0));
    // Each byte of the name is three.
    assert!(metrics.keys().all(|name| name.len() < 3 * 256 + 200));
}
