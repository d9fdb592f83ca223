use serde_json::{Value, json};
use tepui_messages::{
    change::{AgentRecord, Change},
    view::{Encoding, Question},
};
use tepui_protocol::{
    acls::Acls,
    v1::{
        AgentId, AgentInfo, CommandInfo, ExecutorId, FrameworkId, MachineId, MachineInfo, TaskId,
        Unavailability, machine_info, maintenance::Window, master::call,
    },
};

use super::*;
use crate::{Readers, ViewConfig, answer, api, scene};

/// Who may do each of these only to the objects named with it.
fn viewer(lists: &[(&str, &str, &[&str])]) -> Subject {
    let mut acls = json!({});
    for (list, key, objects) in lists {
        let mut rules = json!([{"principals": {"type": "ANY"}}, {"principals": {"type": "ANY"}}]);
        rules[0][*key] = json!({ "values": objects });
        rules[1][*key] = json!({"type": "NONE"});
        acls[*list] = rules;
    }
    subject(&acls)
}

/// Who may do none of these.
fn blind(lists: &[(&str, &str)]) -> Subject {
    let mut acls = json!({});
    for (list, key) in lists {
        acls[*list] = json!([{"principals": {"type": "ANY"}, *key: {"type": "NONE"}}]);
    }
    subject(&acls)
}

fn subject(acls: &Value) -> Subject {
    Subject {
        acls: Arc::new(Acls::from_json(&acls.to_string()).unwrap()),
        principal: None,
    }
}

fn framework(name: &str, user: &str, role: &str) -> Change {
    let mut record = (*scene::framework(name, &[role])).clone();
    record.info.user = user.to_string();
    Change::FrameworkAdded(Arc::new(record))
}

fn task(framework: &str, id: &str, user: Option<&str>, role: &str) -> Arc<Task> {
    let resources = Resources::parse("cpus:1", "*").unwrap().allocated(role);
    Arc::new(Task {
        name: id.to_string(),
        task_id: TaskId {
            value: id.to_string(),
        },
        framework_id: FrameworkId {
            value: framework.to_string(),
        },
        agent_id: agent_id(),
        state: tepui_protocol::v1::TaskState::TaskRunning as i32,
        resources: resources.to_proto(),
        user: user.map(str::to_string),
        ..Task::default()
    })
}

fn agent_id() -> AgentId {
    AgentId {
        value: "S0".to_string(),
    }
}

fn agent() -> Arc<AgentRecord> {
    let total = Resources::parse("cpus(secret):2;cpus(open):2;cpus:4", "*").unwrap();
    Arc::new(AgentRecord {
        shortcoming: None,
        info: AgentInfo {
            hostname: "host".into(),
            id: Some(agent_id()),
            resources: total.to_proto(),
            ..AgentInfo::default()
        }
        .into(),
        pid: "slave(1)@127.0.0.1:5051".into(),
        version: "1.11.0".into(),
        capabilities: Vec::new(),
        connected: true,
        active: true,
        deactivated: false,
        registered_at: 1,
        reregistered_at: None,
        total: total.to_proto(),
        drain_info: None,
        drain_started_at: None,
    })
}

fn executor(framework: &str, id: &str, user: Option<&str>) -> Change {
    Change::ExecutorAdded {
        framework_id: FrameworkId {
            value: framework.to_string(),
        },
        agent_id: agent_id(),
        executor: Arc::new(ExecutorInfo {
            executor_id: ExecutorId {
                value: id.to_string(),
            },
            command: Some(CommandInfo {
                user: user.map(str::to_string),
                ..CommandInfo::default()
            }),
            ..ExecutorInfo::default()
        }),
    }
}

/// Framework `hidden` of user root in role `secret`, framework `shown` of user web in role `open`.
fn world() -> World {
    let machine = MachineId {
        hostname: Some("host".to_string()),
        ip: None,
    };
    let mut maintenance = MaintenanceRecord::default();
    maintenance.schedule.windows.push(Window {
        machine_ids: vec![machine.clone()],
        unavailability: Unavailability::default(),
    });
    maintenance.machines.push(MachineInfo {
        id: machine,
        mode: Some(machine_info::Mode::Draining as i32),
        unavailability: None,
    });
    let quota = |role: &str| tepui_protocol::v1::quota::QuotaConfig {
        role: role.to_string(),
        ..Default::default()
    };
    let weights = [("secret", 2.0), ("open", 3.0)];
    scene::world([
        Change::AgentAdded(agent()),
        framework("hidden", "root", "secret"),
        framework("shown", "web", "open"),
        Change::TaskAdded(task("hidden", "canary", None, "secret")),
        Change::TaskAdded(task("shown", "plain", None, "open")),
        Change::TaskAdded(task("shown", "of-root", Some("root"), "open")),
        executor("shown", "exec-web", None),
        executor("shown", "exec-root", Some("root")),
        Change::Quota(Arc::new(vec![quota("secret"), quota("open")])),
        Change::Weights(Arc::new(
            weights
                .map(|(role, weight)| (role.to_string(), weight))
                .into(),
        )),
        Change::Maintenance(Arc::new(maintenance)),
    ])
}

fn ask(world: &World, question: Question) -> String {
    let config = ViewConfig {
        flags: [("secret_flag".to_string(), "1".to_string())].into(),
        ..ViewConfig::default()
    };
    let body = answer(world, &config, Readers::default(), &question).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn read(kind: call::Type) -> Question {
    Question::Call {
        kind,
        encoding: Encoding::Json,
    }
}

/// Every question that tells of frameworks, tasks or roles.
fn questions() -> Vec<Question> {
    let all = Question::Tasks {
        framework_id: None,
        task_id: None,
        limit: 100,
        offset: 0,
        ascending: true,
    };
    let mut questions = vec![
        Question::State,
        Question::StateSummary,
        Question::Slaves { slave_id: None },
        Question::Frameworks { framework_id: None },
        Question::Frameworks {
            framework_id: Some("hidden".to_string()),
        },
        all,
        Question::Roles,
        Question::Weights,
        Question::Quota,
    ];
    questions.extend(
        [
            call::Type::GetState,
            call::Type::GetAgents,
            call::Type::GetFrameworks,
            call::Type::GetExecutors,
            call::Type::GetOperations,
            call::Type::GetTasks,
            call::Type::GetRoles,
            call::Type::GetWeights,
            call::Type::GetQuota,
        ]
        .map(read),
    );
    questions
}

#[test]
fn a_framework_that_may_not_be_viewed_is_nowhere() {
    let seen = world().seen_by(&viewer(&[("view_frameworks", "users", &["web"])]));
    for question in questions() {
        let body = ask(&seen, question.clone());
        for canary in ["hidden", "canary"] {
            assert!(!body.contains(canary), "{question:?}: {body}");
        }
    }
    let summary: Value = serde_json::from_str(&ask(&seen, Question::StateSummary)).unwrap();
    assert_eq!(summary["slaves"][0]["TASK_RUNNING"], 2);
    assert_eq!(summary["slaves"][0]["framework_ids"], json!(["shown"]));
    let all = ask(&world(), Question::State);
    assert!(all.contains("hidden") && all.contains("canary"));
}

#[test]
fn tasks_and_executors_are_those_of_users_that_may_be_viewed() {
    let lists: [(&str, &str, &[&str]); 2] = [
        ("view_tasks", "users", &["web"]),
        ("view_executors", "users", &["web"]),
    ];
    let seen = world().seen_by(&viewer(&lists));
    for question in questions() {
        let body = ask(&seen, question.clone());
        for canary in ["of-root", "exec-root", "canary"] {
            assert!(!body.contains(canary), "{question:?}: {body}");
        }
    }
    let state = ask(&seen, Question::State);
    for there in ["hidden", "plain", "exec-web"] {
        assert!(state.contains(there), "{there}");
    }
    let summary: Value = serde_json::from_str(&ask(&seen, Question::StateSummary)).unwrap();
    assert_eq!(
        summary["slaves"][0]["TASK_RUNNING"], 1,
        "what is hidden is not counted"
    );
}

#[test]
fn roles_that_may_not_be_viewed_are_left_out_with_what_is_reserved_for_them() {
    let seen = world().seen_by(&viewer(&[("view_roles", "roles", &["open"])]));
    for question in [
        Question::Slaves { slave_id: None },
        Question::StateSummary,
        Question::Roles,
        Question::Weights,
        read(call::Type::GetAgents),
        read(call::Type::GetRoles),
        read(call::Type::GetWeights),
    ] {
        let body = ask(&seen, question.clone());
        assert!(!body.contains("secret"), "{question:?}: {body}");
        assert!(body.contains("open"), "{question:?}: {body}");
    }
}

#[test]
fn quota_flags_and_maintenance_have_lists_of_their_own() {
    let seen = world().seen_by(&viewer(&[("get_quotas", "roles", &["open"])]));
    for question in [Question::Quota, read(call::Type::GetQuota)] {
        let body = ask(&seen, question);
        assert!(body.contains("open") && !body.contains("secret"), "{body}");
    }
    let seen = world().seen_by(&blind(&[("view_flags", "flags")]));
    assert!(!ask(&seen, Question::State).contains("flag"));
    let schedules = blind(&[("get_maintenance_schedules", "machines")]);
    let statuses = blind(&[("get_maintenance_statuses", "machines")]);
    let (schedule, status) = (Question::MaintenanceSchedule, Question::MaintenanceStatus);
    let seen = world().seen_by(&schedules);
    assert_eq!(ask(&seen, schedule.clone()), "{}");
    assert!(ask(&seen, status.clone()).contains("host"));
    let seen = world().seen_by(&statuses);
    assert!(ask(&seen, schedule).contains("host"));
    assert_eq!(ask(&seen, status), "{}");
}

#[test]
fn who_may_view_everything_reads_the_same() {
    let all = world();
    let seen = all.seen_by(&subject(&json!({})));
    for question in questions() {
        assert_eq!(
            ask(&seen, question.clone()),
            ask(&all, question.clone()),
            "{question:?}"
        );
    }
}

#[test]
fn events_of_what_may_not_be_viewed_are_not_told() {
    let world = world();
    let web = viewer(&[
        ("view_frameworks", "users", &["web"]),
        ("view_tasks", "users", &["web"]),
        ("view_roles", "roles", &["open"]),
    ]);
    let told = |change: &Change| api::event_for(&web, &world, change).is_some();
    let status = Arc::new(tepui_protocol::v1::TaskStatus::default());
    let updated = |task: Arc<Task>| Change::TaskUpdated {
        task,
        status: Arc::clone(&status),
        is_news: true,
    };
    for (framework, id, user, expected) in [
        ("hidden", "canary", None, false),
        ("shown", "plain", None, true),
        ("shown", "of-root", Some("root"), false),
    ] {
        let task = task(framework, id, user, "open");
        assert_eq!(
            told(&Change::TaskAdded(Arc::clone(&task))),
            expected,
            "{id}"
        );
        assert_eq!(told(&updated(task)), expected, "{id}");
    }
    assert!(!told(&framework("hidden", "root", "secret")));
    let added = api::event_for(&web, &world, &framework("shown", "web", "open"));
    assert!(added.unwrap().framework_added.is_some());
    let added = api::event_for(&web, &world, &Change::AgentAdded(agent())).unwrap();
    let shown = serde_json::to_string(&added).unwrap();
    assert!(
        shown.contains("open") && !shown.contains("secret"),
        "{shown}"
    );
}
