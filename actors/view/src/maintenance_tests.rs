//! What is shown of maintenance: schedule and modes are recorded in the golden answers, what frameworks say is not.

use std::sync::Arc;

use serde_json::{Value, json};
use tepui_messages::{
    change::{AgentRecord, Change, MaintenanceRecord},
    view::{Encoding, Question},
    why::{AgentExplanation, Explain, Explanation, RoleExplanation, Thousandths},
};
use tepui_protocol::v1::{
    AgentId, AgentInfo, DurationInfo, FrameworkId, InverseOffer, MachineId, MachineInfo, OfferId,
    TimeInfo, Unavailability,
    allocator::{InverseOfferStatus, inverse_offer_status::Status},
    machine_info::Mode,
    master::call,
};

use crate::{Readers, ViewConfig, World, questions, scene};

const SECOND: i64 = 1_000_000_000;

fn id<T>(value: &str, make: fn(String) -> T) -> T {
    make(value.to_owned())
}

fn agent() -> Change {
    let info = AgentInfo {
        hostname: "Host".to_owned(),
        id: Some(id("S0", |value| AgentId { value })),
        ..AgentInfo::default()
    };
    Change::AgentAdded(Arc::new(AgentRecord {
        shortcoming: None,
        info: info.into(),
        pid: "slave(1)@10.0.0.1:5051".to_owned(),
        version: String::new(),
        capabilities: Vec::new(),
        connected: true,
        active: true,
        deactivated: false,
        registered_at: 0,
        reregistered_at: None,
        total: Vec::new(),
        drain_info: None,
        drain_started_at: None,
    }))
}

fn machine(hostname: &str, ip: &str, mode: Mode) -> MachineInfo {
    MachineInfo {
        id: MachineId {
            hostname: Some(hostname.to_owned()),
            ip: Some(ip.to_owned()),
        },
        mode: Some(mode as i32),
        unavailability: Some(away()),
    }
}

fn away() -> Unavailability {
    Unavailability {
        start: TimeInfo {
            nanoseconds: 100 * SECOND,
        },
        duration: Some(DurationInfo {
            nanoseconds: 60 * SECOND,
        }),
    }
}

fn answered(status: Option<Status>) -> Change {
    let answer = |status: Status| InverseOfferStatus {
        status: status as i32,
        framework_id: id("f", |value| FrameworkId { value }),
        timestamp: TimeInfo { nanoseconds: 7 },
    };
    Change::InverseOffersAnswered {
        agent_id: id("S0", |value| AgentId { value }),
        answers: status.map(answer).into_iter().collect(),
    }
}

fn world() -> World {
    scene::world([
        Change::FrameworkAdded(scene::framework("f", &["dev"])),
        agent(),
        Change::Maintenance(Arc::new(MaintenanceRecord {
            machines: vec![
                machine("host", "10.0.0.1", Mode::Draining),
                machine("host", "10.0.0.2", Mode::Draining),
                machine("gone", "10.0.0.3", Mode::Down),
                machine("back", "10.0.0.4", Mode::Up),
            ],
            ..MaintenanceRecord::default()
        })),
    ])
}

fn asked(world: &World, question: Question) -> Value {
    let config = ViewConfig::default();
    let body = questions::answer(world, &config, Readers::default(), &question).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn answers_to_inverse_offers_stand_with_the_machine_of_their_agent() {
    let mut world = world();
    let statuses = |world: &World| {
        let told = asked(world, Question::MaintenanceStatus);
        let kind = call::Type::GetMaintenanceStatus;
        let v1 = asked(
            world,
            Question::Call {
                kind,
                encoding: Encoding::Json,
            },
        );
        let v1 = &v1["get_maintenance_status"]["status"]["draining_machines"];
        assert_eq!(v1[1].get("statuses"), None, "another machine of the name");
        assert_eq!(v1[0]["statuses"], told["draining_machines"][0]["statuses"]);
        told["draining_machines"][0]["statuses"].clone()
    };
    assert_eq!(statuses(&world), Value::Null);
    world.apply(&answered(Some(Status::Decline)));
    world.apply(&answered(Some(Status::Accept)));
    let framework_id = json!({"value": "f"});
    assert_eq!(
        statuses(&world),
        json!([{"framework_id": framework_id, "status": "ACCEPT", "timestamp": {"nanoseconds": 7}}])
    );
    world.apply(&answered(None));
    assert_eq!(statuses(&world), Value::Null);
}

#[test]
fn inverse_offers_stand_with_their_framework_until_they_end() {
    let mut world = world();
    let listed = |world: &World| {
        let kind = call::Type::GetFrameworks;
        let encoding = Encoding::Json;
        let told = asked(world, Question::Call { kind, encoding });
        told["get_frameworks"]["frameworks"][0]["inverse_offers"].clone()
    };
    let (offer_id, framework_id) = (
        id("O1", |value| OfferId { value }),
        id("f", |value| FrameworkId { value }),
    );
    world.apply(&Change::InverseOfferAdded(Arc::new(InverseOffer {
        id: offer_id.clone(),
        framework_id: framework_id.clone(),
        agent_id: Some(id("S0", |value| AgentId { value })),
        unavailability: away(),
        ..InverseOffer::default()
    })));
    assert_eq!(listed(&world)[0]["agent_id"]["value"], "S0");
    world.apply(&Change::InverseOfferRemoved {
        framework_id,
        offer_id,
    });
    assert_eq!(listed(&world).as_array().map_or(0, Vec::len), 0);
}

#[test]
fn who_asks_why_is_told_of_machines_that_are_scheduled_or_down() {
    let agent = AgentExplanation {
        agent_id: "S0".to_owned(),
        hostname: "Host".to_owned(),
        free: Thousandths::new(),
        causes: Vec::new(),
    };
    let role = RoleExplanation {
        role: "dev".to_owned(),
        bars: Vec::new(),
        takers: 1,
        ahead: None,
        counts: Default::default(),
        open: 1,
        agents: vec![agent],
    };
    let explanation = Explanation {
        question: Explain {
            framework_id: "f".to_owned(),
            role: None,
            need: Thousandths::new(),
            most: 10,
        },
        policy: "drf",
        roles: vec![role],
    };
    let question = Question::Why {
        now: 40 * SECOND,
        explanation: Box::new(explanation),
    };
    let told = asked(&world(), question);
    assert_eq!(
        told["roles"][0]["agents"][0]["maintenance"],
        json!({"begins_in_secs": 60.0, "lasts_secs": 60.0})
    );
    assert_eq!(
        told["machines_down"],
        json!([{"hostname": "gone", "ip": "10.0.0.3"}])
    );
}
