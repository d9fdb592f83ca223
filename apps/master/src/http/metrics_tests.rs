//! The names of an idle master's numbers are those of a Mesos master, 1.11.0, that was as idle.

use std::{collections::BTreeSet, time::Duration};

use tepui_allocator::{AllocatorCore, Config, Input};
use tepui_consensus::Status;
use tepui_kit::Random;
use tepui_messages::{
    allocator::WorldChange,
    change::{Change, MasterRecord},
    traffic::Count,
};
use tepui_protocol::v1::{AgentId, AgentInfo};
use tepui_registrar::Numbers;
use tepui_view::{Readers, ViewConfig, World};

use super::*;

/// One name a line.
const OF_MESOS: &str = include_str!("metrics_of_mesos.txt");
const SECOND: Duration = Duration::from_secs(1);

/// Of a master that leads nothing yet.
pub(super) fn of_view() -> Bytes {
    let mut world = World::default();
    world.apply(&Change::Elected(Arc::new(MasterRecord {
        info: MasterInfo::default(),
        cluster: None,
        started_at: 0,
        elected_at: 0,
        roles: None,
        kept: Default::default(),
    })));
    let config = ViewConfig::default();
    tepui_view::answer(&world, &config, Readers::default(), &Question::Metrics).unwrap()
}

/// Two agents came one after the other.
pub(super) fn of_allocator() -> Vec<(String, f64)> {
    let mut core = AllocatorCore::new(&Config::default(), Random::seeded(1)).unwrap();
    let mut now = SECOND;
    for id in ["a", "b"] {
        let info = AgentInfo {
            id: Some(AgentId {
                value: id.to_string(),
            }),
            ..AgentInfo::default()
        };
        let change = WorldChange::AgentAdded {
            info: Arc::new(info),
            total: Vec::new(),
            used: Vec::new(),
            active: true,
        };
        for input in [Input::World(change), Input::Woke] {
            core.on(now, input, &mut Vec::new());
            now += SECOND;
        }
        core.ran_for(now, SECOND);
    }
    tepui_allocator::metrics::numbers(&core)
}

/// Two writes.
pub(super) fn of_registrar() -> Vec<(String, f64)> {
    let mut numbers = Numbers::default();
    numbers.fetched(SECOND);
    for write in 1..=2 {
        numbers.begin();
        numbers.end(write * SECOND, SECOND, true);
    }
    numbers.begin();
    let status = Status {
        voters: vec![1, 2, 3],
        caught_up: true,
        ..Status::default()
    };
    numbers.all(&status)
}

async fn told(scene: &Scene) -> BTreeMap<String, f64> {
    let got = send(scene, "GET", "/metrics/snapshot", &[], b"").await;
    serde_json::from_slice(&got.body).unwrap()
}

#[actix_web::test]
async fn an_idle_master_has_the_names_of_mesos() {
    let ours: BTreeSet<String> = told(&leading()).await.into_keys().collect();
    let mesos: BTreeSet<String> = OF_MESOS.lines().map(str::to_owned).collect();
    let missing: Vec<_> = mesos.difference(&ours).collect();
    assert!(missing.is_empty(), "missing: {missing:#?}");
    let new: Vec<_> = ours.difference(&mesos).collect();
    assert!(new.is_empty(), "Mesos has not: {new:#?}");
}

#[actix_web::test]
async fn what_the_master_counted_is_told_and_added_to_what_the_view_knows() {
    use tepui_protocol::v1::{TaskState, TaskStatus, task_status::Reason};
    let scene = leading();
    let tally = &scene.door.current().traffic.clone();
    tally.tally.count(Count::KillTask);
    tally.tally.refused(&TaskStatus {
        state: TaskState::TaskError as i32,
        reason: Some(Reason::TaskInvalid as i32),
        ..TaskStatus::default()
    });
    let invalid = json!({"type": "ACKNOWLEDGE", "framework_id": {"value": "f"}, "acknowledge": {
        "agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": "bm8=",
    }});
    let json = [("Content-Type", "application/json")];
    let body = invalid.to_string();
    let path = "/api/v1/scheduler";
    let got = send(&scene, "POST", path, &json, body.as_bytes()).await;
    assert_eq!(got.status, 400, "{}", got.text());
    let told = told(&scene).await;
    for (name, value) in [
        ("master/messages_kill_task", 1.0),
        ("master/tasks_error", 1.0),
        ("master/task_error/source_master/reason_task_invalid", 1.0),
        ("master/invalid_status_update_acknowledgements", 1.0),
        ("registrar/queued_operations", 1.0),
        ("registrar/log/ensemble_size", 3.0),
        ("registrar/log/recovered", 1.0),
        ("registrar/registry_size_bytes", 567.0),
        ("registrar/state_store_ms/count", 2.0),
        ("registrar/state_store_ms/p99", 1000.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}");
    }
}
