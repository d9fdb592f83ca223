use std::sync::Arc;

use serde::de::DeserializeOwned;
use tepui_protocol::{acls::Acls, v1::MasterInfo};
use tepui_registry::{MachineRecord, Maintenance};

use super::*;

fn message<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn subject(acls: &str) -> Subject {
    Subject {
        acls: Arc::new(Acls::from_json(acls).unwrap()),
        principal: Some("ops".to_string()),
    }
}

fn info(id: &str) -> Bytes {
    let amount = |value: f64| json!({"value": value});
    let info: AgentInfo = message(json!({
        "hostname": "h", "id": {"value": id},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": amount(4.0)},
            {"name": "mem", "type": "SCALAR", "scalar": amount(64.0), "reservations": [{"type": "STATIC", "role": "a"}]},
        ],
    }));
    protobuf::encode(&info).into()
}

fn drain() -> Bytes {
    let drain: DrainInfo =
        message(json!({"state": "DRAINING", "config": {"max_grace_period": {"nanoseconds": 2}}}));
    protobuf::encode(&drain).into()
}

fn maintenance() -> Maintenance {
    let id = json!({"hostname": "h"});
    let unavailability = json!({"start": {"nanoseconds": 7}});
    let machine = |mode: &str| {
        let info: MachineInfo =
            message(json!({"id": id, "mode": mode, "unavailability": unavailability}));
        protobuf::encode(&info).into()
    };
    let window = json!({"machine_ids": [id], "unavailability": unavailability});
    let schedule: Schedule = message(json!({ "windows": [window] }));
    let record = |mode, name| MachineRecord {
        mode,
        info: machine(name),
    };
    Maintenance {
        schedule: Some(protobuf::encode(&schedule).into()),
        machines: [
            ("h/".to_string(), record(MachineMode::Down, "DOWN")),
            ("i/".to_string(), record(MachineMode::Up, "UP")),
        ]
        .into(),
    }
}

fn full() -> Registry {
    let quota: QuotaConfig = message(json!({"role": "a", "limits": {"cpus": {"value": 2.0}}}));
    let mut registry = Registry {
        gone: [("S5".to_string(), 60), ("S6".to_string(), 50)].into(),
        weights: [("a".to_string(), 2.5), ("b".to_string(), 1.5)].into(),
        quotas: [("a".to_string(), protobuf::encode(&quota).into())].into(),
        maintenance: maintenance(),
        minimum_capabilities: ["AGENT_DRAINING".to_string(), "QUOTA_V2".to_string()].into(),
        ..Registry::default()
    };
    for (id, drain) in [("S0", None), ("S1", Some(drain()))] {
        let agent = AdmittedAgent {
            info: info(id),
            deactivated: drain.is_some(),
            drain,
        };
        registry.agents.insert(id.to_string(), agent);
    }
    for (id, at_nanos, drain) in [("S2", 40, None), ("S3", 30, Some(drain()))] {
        let agent = UnreachableAgent {
            at_nanos,
            deactivated: drain.is_some(),
            drain,
        };
        registry.unreachable.insert(id.to_string(), agent);
    }
    registry
}

fn shown(registry: &Registry, acls: &str) -> Value {
    told(registry, json!({"id": "m"}), &subject(acls))
}

#[test]
fn all_that_mesos_would_keep_is_told_in_its_names() {
    let told = shown(&full(), "{}");
    let draining = json!({"config": {"mark_gone": false, "max_grace_period": {"nanoseconds": 2}}, "state": "DRAINING"});
    let away = json!({"start": {"nanoseconds": 7}});
    assert_eq!(told["master"], json!({"info": {"id": "m"}}));
    let agents = told["slaves"]["slaves"].as_array().unwrap();
    assert_eq!(agents[0]["info"]["id"]["value"], "S0");
    let defaults = (&agents[0]["info"]["port"], &agents[0]["info"]["checkpoint"]);
    assert_eq!(defaults, (&json!(5051), &json!(false)));
    assert_eq!(agents[0]["deactivated"], false);
    assert_eq!(agents[0].get("drain_info"), None);
    assert_eq!(agents[1]["deactivated"], true);
    assert_eq!(agents[1]["drain_info"], draining);
    let expected = json!({"slaves": [
        {"id": {"value": "S3"}, "timestamp": {"nanoseconds": 30}, "drain_info": draining, "deactivated": true},
        {"id": {"value": "S2"}, "timestamp": {"nanoseconds": 40}, "deactivated": false},
    ]});
    assert_eq!(told["unreachable"], expected);
    let expected = json!({"slaves": [
        {"id": {"value": "S6"}, "timestamp": {"nanoseconds": 50}},
        {"id": {"value": "S5"}, "timestamp": {"nanoseconds": 60}},
    ]});
    assert_eq!(told["gone"], expected);
    let down = json!({"info": {"id": {"hostname": "h"}, "mode": "DOWN", "unavailability": away}});
    assert_eq!(told["machines"], json!({ "machines": [down] }));
    let window = json!({"machine_ids": [{"hostname": "h"}], "unavailability": away});
    assert_eq!(told["schedules"], json!([{ "windows": [window] }]));
    let quota = json!([{"role": "a", "limits": {"cpus": {"value": 2.0}}}]);
    assert_eq!(told["quota_configs"], quota);
    let weights =
        json!([{"info": {"role": "a", "weight": 2.5}}, {"info": {"role": "b", "weight": 1.5}}]);
    assert_eq!(told["weights"], weights);
    let capabilities = json!([{"capability": "AGENT_DRAINING"}, {"capability": "QUOTA_V2"}]);
    assert_eq!(told["minimum_capabilities"], capabilities);
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert!(keys.is_sorted() && keys.len() == 9, "{keys:?}");
}

/// The form from before reservations could be refined, as it was recorded.
#[test]
fn resources_are_told_in_the_oldest_form() {
    let told = shown(&full(), "{}");
    let resources = told["slaves"]["slaves"][0]["info"]["resources"].clone();
    let expected = json!([
        {"name": "cpus", "role": "*", "scalar": {"value": 4.0}, "type": "SCALAR"},
        {"name": "mem", "role": "a", "scalar": {"value": 64.0}, "type": "SCALAR"},
    ]);
    assert_eq!(resources, expected);
}

#[test]
fn of_what_there_is_none_there_is_nothing() {
    let master = unversioned::master_info(&MasterInfo::default());
    let told = told(&Registry::default(), master.clone(), &subject("{}"));
    assert_eq!(told, json!({"master": {"info": master}, "slaves": {}}));
}

#[test]
fn what_the_lists_keep_from_who_asks_is_left_out() {
    let nobody = |list: &str, objects: &str| {
        let acl =
            format!(r#"{{"principals": {{"type": "ANY"}}, "{objects}": {{"type": "NONE"}}}}"#);
        format!(r#"{{"{list}": [{acl}]}}"#)
    };
    let told = shown(&full(), &nobody("view_roles", "roles"));
    let resources = told["slaves"]["slaves"][0]["info"]["resources"].clone();
    assert_eq!(resources.as_array().map(Vec::len), Some(1));
    assert_eq!(told.get("weights"), None);
    for (list, objects, name) in [
        ("get_quotas", "roles", "quota_configs"),
        ("get_maintenance_schedules", "machines", "schedules"),
        ("get_maintenance_statuses", "machines", "machines"),
    ] {
        let told = shown(&full(), &nobody(list, objects));
        assert_eq!(told.get(name), None, "{list}");
        assert_eq!(told.as_object().unwrap().len(), 8, "{list}");
    }
}
