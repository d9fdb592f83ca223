use std::{path::PathBuf, sync::Arc};

use actix_web::{App, dev::Service, http::Method, test};
use tepui_messages::agent::NodePhase;
use tepui_protocol::v1::{
    DiscoveryInfo, ExecutorId, FrameworkId, FrameworkInfo, Label, Labels, Port, Ports, Resource,
    Task, TaskId, TaskState, TaskStatus, value,
};

use super::*;
use crate::http::{
    Api,
    tests::{idle, showing},
};

async fn got(api: Api, method: &str, path: &str) -> (u16, String) {
    let app = test::init_service(App::new().configure(api.configure())).await;
    let request =
        test::TestRequest::with_uri(path).method(Method::from_bytes(method.as_bytes()).unwrap());
    let response = app.call(request.to_request()).await.unwrap();
    let status = response.status().as_u16();
    let body = test::read_body(response).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn labels_of(text: &str) -> Option<Labels> {
    let label = |key: &str, value: &str| Label {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    };
    Some(Labels {
        labels: vec![label("is", text), label("bar", "baz")],
    })
}

fn executor(id: &str, phase: ExecutorPhase, pid: Option<u32>) -> ExecutorState {
    let task = Task {
        task_id: TaskId {
            value: format!("task-{id}"),
        },
        framework_id: framework_id(),
        state: TaskState::TaskRunning as i32,
        labels: labels_of("task"),
        discovery: Some(DiscoveryInfo {
            name: Some("mytask".to_owned()),
            environment: Some("mytest".to_owned()),
            location: Some("mylocation".to_owned()),
            version: Some("v0.1.1".to_owned()),
            ports: Some(Ports {
                ports: vec![Port {
                    number: 8888,
                    name: Some("myport".to_owned()),
                    protocol: Some("tcp".to_owned()),
                    ..Port::default()
                }],
            }),
            ..DiscoveryInfo::default()
        }),
        statuses: vec![TaskStatus {
            state: TaskState::TaskRunning as i32,
            labels: labels_of("status"),
            container_status: Some(ContainerStatus {
                container_id: Some(ContainerId {
                    value: format!("container-{id}"),
                    parent: None,
                }),
                executor_pid: pid,
                ..ContainerStatus::default()
            }),
            ..TaskStatus::default()
        }],
        ..Task::default()
    };
    ExecutorState {
        info: Arc::new(ExecutorInfo {
            executor_id: ExecutorId {
                value: id.to_owned(),
            },
            labels: labels_of("executor"),
            ..ExecutorInfo::default()
        }),
        command_task: false,
        phase,
        container_id: ContainerId {
            value: format!("container-{id}"),
            parent: None,
        },
        sandbox: PathBuf::new(),
        pid,
        queued_tasks: Vec::new(),
        launched_tasks: vec![Arc::new(task)],
        terminated_tasks: Vec::new(),
        completed_tasks: Vec::new(),
        nested: Vec::new(),
    }
}

fn framework_id() -> FrameworkId {
    FrameworkId {
        value: "f".to_owned(),
    }
}

fn node(executors: Vec<ExecutorState>) -> NodeState {
    let mut node = (*idle()).clone();
    node.frameworks = vec![FrameworkState {
        info: Arc::new(FrameworkInfo {
            id: Some(framework_id()),
            ..FrameworkInfo::default()
        }),
        executors,
        completed_executors: Vec::new(),
    }];
    node
}

#[test]
async fn an_agent_that_does_not_remember_yet_asks_to_come_again() {
    let mut recovering = (*idle()).clone();
    recovering.phase = NodePhase::Recovering;
    for (method, path) in [
        ("GET", "/state"),
        ("GET", "/containers"),
        ("GET", "/monitor/statistics"),
        ("POST", "/api/v1"),
    ] {
        let told = got(showing(recovering.clone()), method, path).await;
        let expected = (503, "Agent has not finished recovery".to_owned());
        assert_eq!(told, expected, "{path}");
    }
    // Whoever only wants to know that it lives is told so.
    assert_eq!(got(showing(recovering), "GET", "/health").await.0, 200);
}

#[test]
async fn labels_discovery_and_containers_of_what_runs_are_shown() {
    let running = executor("e", ExecutorPhase::Running, Some(42));
    let (status, body) = got(showing(node(vec![running])), "GET", "/state").await;
    assert_eq!(status, 200);
    let state: Value = serde_json::from_str(&body).unwrap();
    let executor = &state["frameworks"][0]["executors"][0];
    let task = &executor["tasks"][0];
    let expected = |text| json!([{"key": "is", "value": text}, {"key": "bar", "value": "baz"}]);
    assert_eq!(executor["labels"], expected("executor"));
    assert_eq!(task["labels"], expected("task"));
    assert_eq!(task["statuses"][0]["labels"], expected("status"));
    assert_eq!(
        task["statuses"][0]["container_status"],
        json!({"container_id": {"value": "container-e"}})
    );
    let discovery = &task["discovery"];
    let named = ["name", "environment", "location", "version"].map(|it| &discovery[it]);
    assert_eq!(named, ["mytask", "mytest", "mylocation", "v0.1.1"]);
    assert_eq!(
        discovery["ports"],
        json!({"ports": [{"number": 8888, "name": "myport", "protocol": "tcp"}]})
    );
}

#[test]
async fn what_is_on_its_way_is_pending() {
    let (pending, runs) = (ExecutorPhase::Registering, ExecutorPhase::Running);
    let of = |executors| got(showing(node(executors)), "GET", "/containerizer/debug");
    let executors = vec![
        executor("late", pending, None),
        executor("e", runs, Some(42)),
    ];
    let expected =
        r#"{"pending":[{"operation":"launch","args":{"containerId":"container-late"}}]}"#;
    assert_eq!(of(executors).await, (200, expected.to_owned()));
    // Tasks that wait for it are shown too.
    let mut late = executor("late", pending, None);
    late.queued_tasks = std::mem::take(&mut late.launched_tasks);
    let (status, body) = got(showing(node(vec![late])), "GET", "/state").await;
    let state: Value = serde_json::from_str(&body).unwrap();
    let queued = &state["frameworks"][0]["executors"][0]["queued_tasks"];
    assert_eq!((status, &queued[0]["name"]), (200, &json!("")));
    let executors = vec![executor("e", runs, Some(42))];
    assert_eq!(of(executors).await, (200, r#"{"pending":[]}"#.to_owned()));
}

#[test]
async fn whose_end_hangs_is_pending_with_what_holds_it() {
    let api = showing(node(vec![executor("e", ExecutorPhase::Running, Some(42))]));
    let unfinished = &api.facts.launch_errors.unfinished;
    unfinished.hangs("container-e", Step::Destroy, "it waits");
    unfinished.hangs("gone", Step::Cleanup, "it is busy");
    let errors = Arc::clone(&api.facts.launch_errors);
    let (status, body) = got(api, "GET", "/containerizer/debug").await;
    let of = |operation: &str, id: &str, why: &str| json!({"operation": operation, "args": {"containerId": id, "stuckSeconds": 0, "reason": why}});
    let expected = json!({"pending": [
        of("destroy", "container-e", "it waits"),
        of("cleanup", "gone", "it is busy"),
    ]});
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, shown), (200, expected));
    let counted = [Step::Destroy, Step::Cleanup].map(|step| errors.unfinished.count(step));
    assert_eq!(counted, [1, 1]);
}

#[test]
async fn containers_are_chosen_by_their_ids() {
    let record = |container: &str, executor: &str| ContainerUsageRecord {
        framework_id: framework_id(),
        info: Arc::new(ExecutorInfo {
            executor_id: ExecutorId {
                value: executor.to_owned(),
            },
            ..ExecutorInfo::default()
        }),
        container_id: ContainerId {
            value: container.to_owned(),
            parent: None,
        },
        pid: Some(7),
        networks: Vec::new(),
        statistics: None,
    };
    let records = vec![record("c1", "e1"), record("c2", "e2")];
    let all = measured(records, &node(Vec::new()));
    // Without figures there are none to show, and nothing fails for that.
    assert_eq!(statistics(&all), json!([]));
    let shown = |query: &str| {
        let request = test::TestRequest::with_uri(&format!("/containers?{query}"));
        let request = Incoming::head(&request.to_http_request()).unwrap();
        let chosen = Chosen::of(&request).map_err(|it| it.status())?;
        let chosen = all.iter().filter(|it| chosen.is(it));
        Ok(chosen
            .map(|it| it.record.container_id.value.clone())
            .collect::<Vec<_>>())
    };
    let ids = |ids: &[&str]| Ok(ids.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    for (query, expected) in [
        ("", ids(&["c1", "c2"])),
        ("container_id=c2", ids(&["c2"])),
        ("framework_id=f", ids(&["c1", "c2"])),
        ("framework_id=g", ids(&[])),
        ("framework_id=f&executor_id=e1", ids(&["c1"])),
        ("executor_id=e1", Err(400)),
        ("container_id=c1&framework_id=f", Err(400)),
    ] {
        assert_eq!(shown(query), expected, "{query}");
    }
}

#[test]
async fn only_limits_that_somebody_asked_for_are_shown() {
    let scalar = |name: &str, value: f64| Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    };
    let shown = |resources: Vec<Resource>, known: ResourceStatistics| {
        let mut it = executor("e", ExecutorPhase::Running, Some(7));
        let record = ContainerUsageRecord {
            framework_id: framework_id(),
            info: Arc::clone(&it.info),
            container_id: it.container_id.clone(),
            pid: it.pid,
            networks: Vec::new(),
            statistics: Some(known),
        };
        Arc::make_mut(&mut it.info).resources = resources;
        let all = measured(vec![record], &node(vec![it]));
        statistics(&all)[0]["statistics"].clone()
    };
    let told = ResourceStatistics {
        cpus_limit: Some(2.0),
        mem_limit_bytes: Some(7 << 20),
        ..ResourceStatistics::default()
    };
    let asked = || vec![scalar("cpus", 0.5), scalar("mem", 2.0)];
    for (resources, known, expected) in [
        (
            Vec::new(),
            ResourceStatistics::default(),
            json!({"timestamp": 0.0}),
        ),
        (
            asked(),
            ResourceStatistics::default(),
            json!({
                "timestamp": 0.0,
                "cpus_soft_limit": 0.5,
                "mem_soft_limit_bytes": 2 << 20,
                "mem_limit_bytes": 2 << 20,
            }),
        ),
        (
            asked(),
            told,
            json!({
                "timestamp": 0.0,
                "cpus_soft_limit": 0.5,
                "cpus_limit": 2.0,
                "mem_soft_limit_bytes": 2 << 20,
                "mem_limit_bytes": 7 << 20,
            }),
        ),
    ] {
        assert_eq!(shown(resources, known), expected);
    }
}
