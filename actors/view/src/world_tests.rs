use proptest::prelude::*;
use serde_json::Value;
use tepui_messages::{
    change::{AgentEnd, AgentRecord, Kept, OfferEnd, TaskKept},
    view::{Encoding, Question},
};
use tepui_protocol::{
    resources::Resources,
    v1::{
        AgentId, ExecutorId, ExecutorInfo, FrameworkId, Offer, OfferId, Task, TaskId, TaskState,
        TaskStatus, agent_info, master::call,
    },
};

use super::*;
use crate::{Readers, ViewConfig, answer, scene};

const ROLES: [&str; 3] = ["dev", "ops", "dev/web"];

fn agent_id(number: u8) -> AgentId {
    AgentId {
        value: format!("agent-{number}"),
    }
}

fn framework_id(number: u8) -> FrameworkId {
    FrameworkId {
        value: format!("framework-{number}"),
    }
}

fn task_id(number: u8) -> TaskId {
    TaskId {
        value: format!("task-{number}"),
    }
}

fn offer_id(number: u8) -> OfferId {
    OfferId {
        value: format!("offer-{number}"),
    }
}

/// Ports of one agent are held once. Those of two agents may be the same, as in executors of one id.
fn resources(framework: u8, number: u8, role: usize) -> Vec<tepui_protocol::v1::Resource> {
    let (amount, port) = (
        1 + number % 8,
        100 * u32::from(framework) + u32::from(number),
    );
    let text = format!("cpus:0.{amount};mem:{amount};ports:[{port}-{port}]");
    let resources = Resources::parse(&text, "*").unwrap();
    resources.allocated(ROLES[role]).to_proto()
}

fn agent(number: u8, cpus: u8, active: bool) -> Arc<AgentRecord> {
    let total = format!("cpus(ops):{cpus};cpus:8;mem:4096;ports:[1-999]");
    let total = Resources::parse(&total, "*").unwrap();
    Arc::new(AgentRecord {
        shortcoming: None,
        info: AgentInfo {
            hostname: "host".into(),
            id: Some(agent_id(number)),
            ..AgentInfo::default()
        }
        .into(),
        pid: "slave(1)@127.0.0.1:5051".into(),
        version: "1.11.0".into(),
        capabilities: vec![agent_info::Capability::default()],
        connected: true,
        active,
        deactivated: !active,
        registered_at: 1,
        reregistered_at: None,
        total: total.to_proto(),
        drain_info: None,
        drain_started_at: None,
    })
}

fn task(framework: u8, agent: u8, number: u8, state: i32, role: usize) -> Arc<Task> {
    Arc::new(Task {
        name: "t".into(),
        task_id: task_id(number),
        framework_id: framework_id(framework),
        agent_id: agent_id(agent),
        state,
        resources: resources(framework, number, role),
        ..Task::default()
    })
}

/// Any change at all, sensible or not: the world must not lose count even of nonsense.
fn any_change() -> impl Strategy<Value = Change> {
    let agents = 0..3_u8;
    let frameworks = 0..3_u8;
    let numbers = 0..6_u8;
    let roles = 0..ROLES.len();
    let states = 0..=TaskState::TaskUnknown as i32;
    let end = prop_oneof![
        Just(AgentEnd::Unreachable),
        Just(AgentEnd::Gone),
        Just(AgentEnd::Removed)
    ];
    let kept = prop_oneof![
        Just(TaskKept::Completed),
        Just(TaskKept::Unreachable),
        Just(TaskKept::No)
    ];
    prop_oneof![
        3 => (agents.clone(), 1..4_u8, any::<bool>())
            .prop_map(|(number, cpus, active)| Change::AgentAdded(agent(number, cpus, active))),
        1 => (agents.clone(), 1..4_u8, any::<bool>())
            .prop_map(|(number, cpus, active)| Change::AgentUpdated(agent(number, cpus, active))),
        1 => (agents.clone(), end).prop_map(|(number, end)| Change::AgentRemoved {
            agent_id: agent_id(number),
            end,
            at: 7,
        }),
        3 => frameworks.clone().prop_map(|number| {
            Change::FrameworkAdded(scene::framework(&framework_id(number).value, &ROLES))
        }),
        1 => frameworks.clone().prop_map(|number| Change::FrameworkRemoved {
            framework_id: framework_id(number),
            at: 9,
        }),
        1 => frameworks.clone().prop_map(|number| Change::FrameworkCompleted {
            record: scene::framework(&framework_id(number).value, &ROLES),
            at: 9,
        }),
        2 => (frameworks.clone(), agents.clone(), numbers.clone(), roles.clone())
            .prop_map(|(f, a, number, role)| {
                Change::TaskCompleted(task(f, a, number, TaskState::TaskFinished as i32, role))
            }),
        8 => (frameworks.clone(), agents.clone(), numbers.clone(), states.clone(), roles.clone())
            .prop_map(|(f, a, number, state, role)| Change::TaskAdded(task(f, a, number, state, role))),
        8 => (frameworks.clone(), agents.clone(), numbers.clone(), states, roles.clone())
            .prop_map(|(f, a, number, state, role)| Change::TaskUpdated {
                task: task(f, a, number, state, role),
                status: Arc::new(TaskStatus::default()),
                is_news: true,
            }),
        5 => (frameworks.clone(), numbers.clone(), kept).prop_map(|(f, number, kept)| {
            Change::TaskRemoved {
                framework_id: framework_id(f),
                task_id: task_id(number),
                kept,
            }
        }),
        2 => (frameworks.clone(), agents.clone(), numbers.clone(), roles.clone())
            .prop_map(|(f, a, number, role)| Change::ExecutorAdded {
                framework_id: framework_id(f),
                agent_id: agent_id(a),
                executor: Arc::new(ExecutorInfo {
                    executor_id: ExecutorId { value: format!("executor-{number}") },
                    resources: resources(f, 50 + number, role),
                    ..ExecutorInfo::default()
                }),
            }),
        1 => (frameworks.clone(), agents.clone(), numbers.clone()).prop_map(|(f, a, number)| {
            Change::ExecutorRemoved {
                framework_id: framework_id(f),
                agent_id: agent_id(a),
                executor_id: ExecutorId { value: format!("executor-{number}") },
            }
        }),
        3 => (frameworks.clone(), agents, numbers.clone(), roles).prop_map(|(f, a, number, role)| {
            scene::offer_added(Offer {
                id: offer_id(number),
                framework_id: framework_id(f),
                agent_id: agent_id(a),
                resources: resources(f, number, role),
                ..Offer::default()
            })
        }),
        2 => (frameworks, numbers).prop_map(|(f, number)| Change::OfferRemoved {
            framework_id: framework_id(f),
            offer_id: offer_id(number),
            end: OfferEnd::Rescinded,
            at: 2,
        }),
    ]
}

fn ask(world: &World, question: Question) -> Value {
    let body = answer(world, &ViewConfig::default(), Readers::default(), &question).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn call(world: &World, kind: call::Type) -> Value {
    let encoding = Encoding::Json;
    ask(world, Question::Call { kind, encoding })
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value
        .pointer(path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The sum over `items` of the number at `path`, in thousandths.
fn sum(items: &[Value], path: &str) -> i64 {
    let amounts = items
        .iter()
        .map(|item| item.pointer(path).and_then(Value::as_f64));
    amounts
        .map(|amount| (amount.unwrap_or(0.0) * 1000.0).round() as i64)
        .sum()
}

const TASK_LISTS: [&str; 3] = ["/tasks", "/unreachable_tasks", "/completed_tasks"];

fn tasks_of(frameworks: &[Value]) -> usize {
    let lists = |framework| TASK_LISTS.map(|path| list(framework, path).len());
    frameworks.iter().flat_map(lists).sum()
}

/// What several answers say of the same thing is the same.
fn answers_agree(world: &World) {
    let state = ask(world, Question::State);
    let slaves = ask(world, Question::Slaves { slave_id: None });
    let summary = ask(world, Question::StateSummary);
    let metrics = ask(world, Question::Metrics);
    let metric = |name: &str| sum(std::slice::from_ref(&metrics[format!("master/{name}")]), "");
    let (live, ended) = (
        list(&state, "/frameworks"),
        list(&state, "/completed_frameworks"),
    );
    tasks_agree(world, live, ended);
    offers_and_agents_agree(world, &state, &slaves, metric);
    for name in ["cpus", "mem", "disk", "gpus"] {
        let used = sum(live, &format!("/used_resources/{name}"));
        assert_eq!(used, metric(&format!("{name}_used")), "used {name}");
        let total = sum(list(&slaves, "/slaves"), &format!("/resources/{name}"));
        assert_eq!(total, metric(&format!("{name}_total")), "total {name}");
        if world.usage.keys().all(|id| world.agents.contains_key(id)) {
            let on_agents = sum(list(&slaves, "/slaves"), &format!("/used_resources/{name}"));
            assert_eq!(used, on_agents, "{name} used on agents");
        }
    }
    for state in [
        "TASK_STAGING",
        "TASK_RUNNING",
        "TASK_KILLING",
        "TASK_UNREACHABLE",
    ] {
        let counted = sum(list(&summary, "/frameworks"), &format!("/{state}"));
        let name = state.to_ascii_lowercase().replace("task_", "tasks_");
        assert_eq!(counted, metric(&name), "{state}");
        let lists = live
            .iter()
            .flat_map(|f| TASK_LISTS.map(|path| list(f, path)));
        let shown = lists.flatten().filter(|task| task["state"] == state);
        assert_eq!(shown.count() as i64 * 1000, counted, "{state}");
    }
    let roles = ask(world, Question::Roles);
    let top = list(&roles, "/roles").iter();
    let top: Vec<Value> = top
        .filter(|role| role["name"] != "dev/web")
        .cloned()
        .collect();
    assert_eq!(sum(&top, "/allocated/cpus"), metric("cpus_used"), "roles");
}

fn tasks_agree(world: &World, live: &[Value], ended: &[Value]) {
    let shown = tasks_of(live) + tasks_of(ended);
    let answer = ask(
        world,
        Question::Tasks {
            framework_id: None,
            task_id: None,
            limit: usize::MAX,
            offset: 0,
            ascending: true,
        },
    );
    assert_eq!(list(&answer, "/tasks").len(), shown, "/tasks");
    let answer = call(world, call::Type::GetTasks);
    let lists = TASK_LISTS.map(|path| list(&answer["get_tasks"], path).len());
    assert_eq!(lists.iter().sum::<usize>(), shown, "GET_TASKS");
    let state = call(world, call::Type::GetState);
    let get_tasks = &state["get_state"]["get_tasks"];
    assert_eq!(*get_tasks, answer["get_tasks"], "GET_STATE");
}

fn offers_and_agents_agree(
    world: &World,
    state: &Value,
    slaves: &Value,
    metric: impl Fn(&str) -> i64,
) {
    let live = list(state, "/frameworks");
    let offers: usize = live.iter().map(|f| list(f, "/offers").len()).sum();
    assert_eq!(offers as i64 * 1000, metric("outstanding_offers"));
    let active = sum(std::slice::from_ref(state), "/activated_slaves");
    assert_eq!(active, metric("slaves_active"));
    assert_eq!(live.len() as i64 * 1000, metric("frameworks_active"));
    let answer = call(world, call::Type::GetAgents);
    let agents = list(&answer, "/get_agents/agents");
    assert_eq!(agents.len(), list(slaves, "/slaves").len());
    for (agent, slave) in agents.iter().zip(list(slaves, "/slaves")) {
        let full = |path| list(slave, path);
        assert_eq!(
            list(agent, "/allocated_resources"),
            full("/used_resources_full")
        );
        assert_eq!(
            list(agent, "/offered_resources"),
            full("/offered_resources_full")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sums_hold_and_answers_agree_whatever_happens(
        changes in proptest::collection::vec(any_change(), 1..80)
    ) {
        let world = scene::world(changes);
        answers_agree(&world);
    }
}

#[test]
fn only_so_much_of_the_past_is_remembered() {
    for most in [0, 1, 5] {
        let kept = Kept {
            frameworks: most,
            tasks: most,
            unreachable_tasks: most,
        };
        remember(kept);
    }
    remember(Kept::default());
}

/// Of one more task than there is memory for, and of one more framework.
fn remember(kept: Kept) {
    let Change::Elected(record) = scene::elected("068") else {
        unreachable!()
    };
    let record = Arc::new(MasterRecord {
        kept,
        ..MasterRecord::clone(&record)
    });
    let framework = scene::framework("framework-0", &["dev"]);
    let mut world = scene::world([Change::Elected(record), Change::FrameworkAdded(framework)]);
    end_tasks(&mut world, "done", TaskKept::Completed, kept.tasks + 1);
    end_tasks(
        &mut world,
        "away",
        TaskKept::Unreachable,
        kept.unreachable_tasks + 1,
    );
    let framework = &world.frameworks["framework-0"];
    assert_eq!(framework.completed.len(), kept.tasks);
    assert_eq!(framework.unreachable.len(), kept.unreachable_tasks);
    let oldest = framework.completed.front();
    assert!(oldest.is_none_or(|it| it.task_id.value == "done-1"));
    let counted = framework.counts.of(TaskState::TaskFinished);
    assert_eq!(counted, (kept.tasks + kept.unreachable_tasks) as u64);
    world.check().unwrap();
    for number in 0..=kept.frameworks {
        let record = scene::framework(&number.to_string(), &["dev"]);
        let framework_id = record.info.id.clone().unwrap();
        world.apply(&Change::FrameworkAdded(record));
        world.apply(&Change::FrameworkRemoved {
            framework_id,
            at: 1,
        });
    }
    assert_eq!(world.completed.len(), kept.frameworks);
    assert!(world.completed.front().is_none_or(|it| it.id() == "1"));
    world.check().unwrap();
}

fn end_tasks(world: &mut World, name: &str, kept: TaskKept, count: usize) {
    for number in 0..count {
        let mut ended = (*task(0, 0, 0, TaskState::TaskFinished as i32, 0)).clone();
        ended.task_id.value = format!("{name}-{number}");
        let task_id = ended.task_id.clone();
        world.apply(&Change::TaskAdded(Arc::new(ended)));
        world.apply(&Change::TaskRemoved {
            framework_id: framework_id(0),
            task_id,
            kept,
        });
    }
}

/// Of a framework that waits for its scheduler, and of one that has ended since or before.
#[test]
fn state_shows_what_is_unreachable_and_what_ended_before_wherever_its_framework_is() {
    let unreachable = |framework| {
        let lost = task(framework, 0, 1, TaskState::TaskUnreachable as i32, 0);
        [
            Change::TaskAdded(lost),
            Change::TaskRemoved {
                framework_id: framework_id(framework),
                task_id: task_id(1),
                kept: TaskKept::Unreachable,
            },
        ]
    };
    let add =
        |number| Change::FrameworkAdded(scene::framework(&framework_id(number).value, &ROLES));
    let finished =
        |framework| Change::TaskCompleted(task(framework, 1, 2, TaskState::TaskFinished as i32, 0));
    let mut changes = vec![
        Change::FrameworkCompleted {
            record: scene::framework(&framework_id(0).value, &ROLES),
            at: 5_000_000_000,
        },
        finished(0),
        add(1),
        add(2),
        finished(1),
    ];
    changes.extend(unreachable(1));
    changes.extend(unreachable(2));
    changes.push(Change::FrameworkRemoved {
        framework_id: framework_id(2),
        at: 9,
    });
    let world = scene::world(changes);
    answers_agree(&world);
    let state = ask(&world, Question::State);
    let ids = |framework: &Value, path: &str| -> Vec<String> {
        let tasks = list(framework, path).iter();
        tasks
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let shown = |framework: &Value| TASK_LISTS.map(|path| ids(framework, path));
    let none = Vec::<String>::new;
    let one = |id: &str| vec![id.to_owned()];
    let live = list(&state, "/frameworks");
    let ended = list(&state, "/completed_frameworks");
    assert_eq!((live.len(), ended.len()), (1, 2));
    assert_eq!(shown(&live[0]), [none(), one("task-1"), one("task-2")]);
    assert_eq!(shown(&ended[0]), [none(), none(), one("task-2")]);
    assert_eq!(ended[0]["unregistered_time"], 5.0);
    assert_eq!(shown(&ended[1]), [none(), one("task-1"), none()]);
    assert_eq!(state["orphan_tasks"], serde_json::json!([]));
}

#[test]
fn state_says_since_when_and_since_when_again_a_framework_is_registered() {
    let first = scene::framework("framework-0", &ROLES);
    let again = Arc::new(tepui_messages::change::FrameworkRecord {
        registered_at: 3_000_000_000,
        reregistered_at: Some(5_000_000_000),
        ..(*first).clone()
    });
    for (record, shown) in [(first, None), (again, Some(5.0))] {
        let world = scene::world([Change::FrameworkAdded(record)]);
        let state = ask(&world, Question::State);
        let told = state["frameworks"][0].get("reregistered_time");
        assert_eq!(told.and_then(Value::as_f64), shown);
    }
}

#[test]
fn agents_and_tasks_that_leave_are_counted_as_mesos_counts_them() {
    let mut world = World::default();
    let removed = |number, end| Change::AgentRemoved {
        agent_id: agent_id(number),
        end,
        at: 7,
    };
    let again = |number| {
        let mut record = (*agent(number, 1, true)).clone();
        record.reregistered_at = Some(2);
        Arc::new(record)
    };
    let lost = task(0, 0, 1, TaskState::TaskUnreachable as i32, 0);
    let gone = task(0, 0, 1, TaskState::TaskGoneByOperator as i32, 0);
    for change in [
        Change::FrameworkAdded(scene::framework("framework-0", &ROLES)),
        Change::AgentAdded(agent(0, 1, true)),
        // Back after a moment.
        Change::AgentUpdated(again(0)),
        Change::TaskAdded(task(0, 0, 1, TaskState::TaskRunning as i32, 0)),
        Change::TaskUpdated {
            task: lost,
            status: Arc::new(TaskStatus::default()),
            is_news: true,
        },
        Change::TaskRemoved {
            framework_id: framework_id(0),
            task_id: task_id(1),
            kept: TaskKept::Unreachable,
        },
        removed(0, AgentEnd::Unreachable),
        Change::TaskEndedAway {
            task: gone,
            status: Arc::new(TaskStatus::default()),
        },
        removed(0, AgentEnd::Gone),
        Change::AgentAdded(again(1)),
        removed(1, AgentEnd::Removed),
    ] {
        world.apply(&change);
    }
    let metrics = ask(&world, Question::Metrics);
    for (name, expected) in [
        ("slave_registrations", 1.0),
        ("slave_reregistrations", 1.0),
        ("slave_removals", 2.0),
        ("tasks_gone_by_operator", 0.0),
    ] {
        assert_eq!(metrics[format!("master/{name}")], expected, "{name}");
    }
}

#[test]
fn agents_that_are_away_are_named_whichever_leader_gave_them_up() {
    let record = agent(1, 1, true);
    let info = |number| {
        let record = agent(number, 1, true);
        Arc::clone(&record.info)
    };
    let lost = |number, at| Change::AgentRemoved {
        agent_id: agent_id(number),
        end: AgentEnd::Unreachable,
        at,
    };
    let world = scene::world([
        Change::AgentStillUnreachable {
            agent_id: agent_id(4),
            at: 1_000_000_000,
        },
        Change::AgentRecovered(info(2)),
        Change::AgentRecovered(info(3)),
        Change::AgentAdded(record),
        lost(1, 2_000_000_000),
        lost(2, 3_000_000_000),
    ]);
    let question = Question::AbsentAgents { most: 2 };
    let told = answer(
        &world,
        &ViewConfig::default(),
        Readers::default(),
        &question,
    )
    .unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let expected = serde_json::json!({
        "recovered": [{"id": "agent-3", "hostname": "host", "port": 5051}],
        "recovered_total": 1,
        "unreachable": [
            {"id": "agent-2", "hostname": "host", "since": 3.0},
            {"id": "agent-1", "hostname": "host", "since": 2.0},
        ],
        "unreachable_total": 3,
    });
    assert_eq!(told, expected);
}
