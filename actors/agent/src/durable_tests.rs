use tepui_engine::MemoryEngine;
use tepui_protocol::v1::{
    AgentId, DrainConfig, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo,
};

use super::*;
use crate::{effect::ExecutorKey, status::uuid_bytes};

fn status(number: u8, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: TaskId {
            value: "t".to_owned(),
        },
        state: state as i32,
        uuid: Some(uuid_bytes([number; 16])),
        ..TaskStatus::default()
    }
}

/// A framework that has ended with an executor and its task.
fn past() -> [Past; 3] {
    let framework = FrameworkInfo {
        id: Some(FrameworkId {
            value: "f2".to_owned(),
        }),
        ..FrameworkInfo::default()
    };
    let executor = ExecutorInfo {
        name: Some("e".to_owned()),
        ..ExecutorInfo::default()
    };
    let task = tepui_protocol::v1::Task {
        name: "t".to_owned(),
        ..Default::default()
    };
    [
        Past::Framework(Arc::new(framework)),
        Past::Executor(KeptContainer {
            framework_id: "f2".to_owned(),
            container_id: "c2".to_owned(),
            info: Arc::new(executor),
            sandbox: PathBuf::from("/w/c2"),
            shim: None,
            served: true,
        }),
        Past::Task {
            framework_id: "f2".to_owned(),
            container_id: "c2".to_owned(),
            task: Arc::new(task),
        },
    ]
}

#[test]
fn what_is_kept_is_remembered_and_what_is_forgotten_is_gone() {
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&tepui_engine::keys::AGENT_FAMILIES));
    let (memory, empty) = open(Arc::clone(&engine), "boot").expect("opens");
    assert_eq!(empty, Remembered::default());
    let info = AgentInfo {
        hostname: "node".to_owned(),
        id: Some(AgentId {
            value: "S0".to_owned(),
        }),
        ..AgentInfo::default()
    };
    let framework = FrameworkInfo {
        id: Some(FrameworkId {
            value: "f".to_owned(),
        }),
        ..FrameworkInfo::default()
    };
    let container = KeptContainer {
        framework_id: "f".to_owned(),
        container_id: "c".to_owned(),
        info: Arc::new(ExecutorInfo {
            executor_id: ExecutorId {
                value: "t".to_owned(),
            },
            ..ExecutorInfo::default()
        }),
        sandbox: PathBuf::from("/w/c"),
        shim: Some(ProcessMark {
            pid: 7,
            start_time_ticks: 8,
        }),
        served: true,
    };
    let task = KeptTask {
        container_id: Some("c1.n1".to_owned()),
        group: Some(3),
        kill: Some(KeptKill {
            grace: std::time::Duration::from_secs(3_600),
            is_overdue: true,
            is_unhealthy: true,
        }),
        framework_id: "f".to_owned(),
        executor_id: "t".to_owned(),
        info: Arc::new(TaskInfo {
            task_id: TaskId {
                value: "t".to_owned(),
            },
            ..TaskInfo::default()
        }),
        state: TaskState::TaskKilling,
    };
    let key = TaskKey {
        framework_id: "f".to_owned(),
        task_id: "t".to_owned(),
    };
    let reserved = Resource {
        name: "cpus".to_owned(),
        ..Resource::default()
    };
    let operation = Operation {
        uuid: tepui_protocol::v1::Uuid {
            value: vec![5; 16].into(),
        },
        ..Operation::default()
    };
    let update = |status| Keep::Update {
        framework_id: "f".to_owned(),
        status: Arc::new(status),
    };
    let starting = status(1, TaskState::TaskStarting);
    let running = status(2, TaskState::TaskRunning);
    let guest = KeptGuest {
        sandbox: PathBuf::from("/w/c/containers/g"),
        user: Some("nobody".to_owned()),
    };
    let past = past();
    let drain = Some(Draining {
        config: DrainConfig {
            mark_gone: Some(true),
            ..DrainConfig::default()
        },
        since: 1_700_000_000_000_000_000,
    });
    let changes = [
        Keep::Agent(Arc::new(info.clone())),
        Keep::Term(7),
        Keep::Drain(drain),
        Keep::Resources(vec![reserved.clone()]),
        Keep::Operation(Arc::new(operation.clone())),
        Keep::Framework(Arc::new(framework.clone())),
        Keep::Container(container.clone()),
        Keep::Task(task.clone()),
        update(starting.clone()),
        update(running.clone()),
        Keep::Guest {
            container_id: "c.g".to_owned(),
            guest: guest.clone(),
        },
        Keep::Guest {
            container_id: "c.h".to_owned(),
            guest: KeptGuest::default(),
        },
        Keep::ForgetGuest {
            container_id: "c.h".to_owned(),
        },
        Keep::Acknowledged {
            key: key.clone(),
            replaces: false,
            uuid: [1; 16],
        },
        Keep::Past(3, past[2].clone()),
        Keep::Past(2, past[1].clone()),
        Keep::Past(1, past[0].clone()),
        Keep::Past(0, Past::Framework(Arc::new(framework.clone()))),
        Keep::ForgetPast(vec!["f".to_owned()]),
    ];
    memory.commit(&changes, true).expect("kept");
    let (memory, found) = open(Arc::clone(&engine), "boot").expect("opens");
    let expected = Remembered {
        guests: [("c.g".to_owned(), guest)].into(),
        agent: Some((info, "boot".to_owned())),
        term: 7,
        drain,
        resources: vec![reserved.clone()],
        operations: vec![operation],
        frameworks: vec![framework],
        containers: vec![container],
        tasks: vec![task],
        streams: [(key.clone(), vec![(starting, true), (running, false)])].into(),
        acknowledged: BTreeMap::new(),
        past: past.into(),
    };
    assert_eq!(found, expected);

    let executor = ExecutorKey {
        framework_id: "f".to_owned(),
        executor_id: "t".to_owned(),
    };
    let forget = [
        Keep::Drain(None),
        Keep::ForgetOperation([5; 16]),
        Keep::ForgetStream(key.clone()),
        Keep::ForgetTask(key),
        Keep::ForgetContainer {
            key: executor,
            container_id: "c".to_owned(),
        },
    ];
    memory.commit(&forget, false).expect("kept");
    let (memory, found) = open(Arc::clone(&engine), "boot").expect("opens");
    assert_eq!(found.drain, None);
    assert!(found.streams.is_empty() && found.tasks.is_empty() && found.containers.is_empty());
    memory.commit(&[Keep::Drain(drain)], true).expect("kept");
    memory.commit(&[Keep::ForgetAgent], true).expect("kept");
    let (_, found) = open(engine, "boot").expect("opens");
    let expected = Remembered {
        term: 7,
        resources: vec![reserved],
        guests: found.guests.clone(),
        ..Remembered::default()
    };
    assert_eq!(found.guests.len(), 1, "they are still to be ended");
    assert_eq!(found, expected, "what was reserved outlives the agent's id");
}
