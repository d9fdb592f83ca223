//! A whole agent against a stand-in for the master: it registers, runs a command, tells how it ended, shows the
//! output, and ends when the master says so. Needs the shim: `cargo build -p tepui-shim`, or its path in
//! `TEPUI_SHIM`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use tepui_agent::AgentSettings;
use tepui_bridge::{Bridge, Hello, Peer, Role, Router, Service, Settings};
use tepui_protocol::{
    message::Tell,
    node,
    v1::{
        AgentId, CommandInfo, FrameworkId, FrameworkInfo, Resource, TaskId, TaskInfo, TaskState,
        value,
    },
};
use tokio::sync::mpsc as channel;

/// For what takes milliseconds on a free machine.
const PATIENCE: Duration = Duration::from_secs(60);
const FRAMEWORK: &str = "F";
const TASK: &str = "hello";

enum Heard {
    Registered(Peer),
    Update(Peer, Box<node::StatusUpdate>),
}

struct Master {
    router: Arc<Router>,
}

impl Master {
    fn new(heard: channel::UnboundedSender<Heard>) -> Self {
        let updates = heard.clone();
        let router = Router::builder()
            .on_ask::<node::RegisterAgent>(move |peer, _| {
                let told = heard.send(Heard::Registered(peer.clone()));
                Box::pin(async move {
                    told.map_err(|_| "the test is over".to_owned())?;
                    Ok(node::AgentRegistration {
                        agent_id: Some(AgentId {
                            value: "S0".to_owned(),
                        }),
                        term: Some(1),
                        ..node::AgentRegistration::default()
                    })
                })
            })
            .on_tell::<node::StatusUpdate>(move |peer, update| {
                let _ = updates.send(Heard::Update(peer.clone(), Box::new(update)));
            })
            .on_tell::<node::OversubscribedResources>(|_, _| {})
            .on_tell::<node::ExecutorExited>(|_, _| {})
            .on_tell::<node::AgentLeaves>(|_, _| {})
            .build();
        Self {
            router: Arc::new(router),
        }
    }
}

impl Service for Master {
    fn hello(&self) -> Hello {
        Hello::new(Role::Master, "test", "0")
    }

    fn router(&self, _: &Peer) -> Arc<Router> {
        Arc::clone(&self.router)
    }
}

/// Answers every request with where the leader's bridge is.
fn tell_leader(bridge: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = format!(r#"{{"leader":"127.0.0.1:1","bridge":"{bridge}"}}"#);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn scalar(name: &str, amount: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value: amount }),
        ..Resource::default()
    }
}

fn run_task() -> node::RunTask {
    let framework_info = FrameworkInfo {
        user: "root".to_owned(),
        name: "test".to_owned(),
        id: Some(FrameworkId {
            value: FRAMEWORK.to_owned(),
        }),
        checkpoint: Some(true),
        ..FrameworkInfo::default()
    };
    let task = TaskInfo {
        name: TASK.to_owned(),
        task_id: TaskId {
            value: TASK.to_owned(),
        },
        agent_id: AgentId {
            value: "S0".to_owned(),
        },
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        command: Some(CommandInfo {
            value: Some("echo hello; exit 3".to_owned()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    };
    node::RunTask {
        framework_info,
        task,
        launch_executor: true,
        term: 1,
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_command_runs_and_its_end_is_told() {
    let home = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (heard, mut hearing) = channel::unbounded_channel();
    let bridge = Bridge::new(Settings::default(), Arc::new(Master::new(heard)));
    let listener = runtime
        .block_on(bridge.listen("127.0.0.1:0".parse().unwrap()))
        .unwrap();
    let port = free_port();
    // Whoever knows the path that the operator gave finds files by it.
    std::fs::create_dir(home.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", home.path().join("link")).unwrap();
    let work_dir = home.path().join("link/agent");
    let settings = AgentSettings {
        work_dir: work_dir.clone(),
        masters: vec![tell_leader(listener.address()).to_string()],
        ip: IpAddr::from([127, 0, 0, 1]),
        ip6: None,
        port,
        hostname: "localhost".to_owned(),
        hostname_lookup: false,
        resources: Some("cpus:1;mem:512;disk:512;ports:[31000-31001]".to_owned()),
        attributes: None,
        domain: None,
        lending: Default::default(),
        security: Default::default(),
        images: Default::default(),
        engine: None,
        isolation: Default::default(),
        networks: Default::default(),
        sandboxes: Default::default(),
        machine: Default::default(),
        executors: Default::default(),
        fetching: Default::default(),
        recovery: Default::default(),
        reconfiguration: Default::default(),
        log_file: None,
        verbosity: Default::default(),
    };
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(tepui_agent::run(settings)));
    let states = Mutex::new(Vec::new());
    let peer = runtime.block_on(tokio_timeout(async {
        loop {
            match hearing.recv().await.unwrap() {
                Heard::Registered(peer) => peer.tell(run_task()).unwrap(),
                Heard::Update(peer, update) => {
                    let status = update.status;
                    states.lock().unwrap().push(status.state());
                    let acknowledged = node::AcknowledgeUpdate {
                        framework_id: update.framework_id,
                        task_id: status.task_id.clone(),
                        uuid: status.uuid.clone().unwrap(),
                        term: 1,
                    };
                    peer.tell(acknowledged).unwrap();
                    if status.state() == TaskState::TaskFailed {
                        assert_eq!(status.message(), "Command exited with status 3");
                        return peer;
                    }
                }
            }
        }
    }));
    let states = states.into_inner().unwrap();
    let expected = [
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskFailed,
    ];
    assert_eq!(states, expected);

    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let path = format!("/frameworks/{FRAMEWORK}/executors/{TASK}/runs/latest/stdout");
    let output = get(address, &format!("/files/read?path={path}&offset=0"));
    assert!(output.contains(r#""data":"hello\n""#), "{output}");
    let configured = work_dir.display();
    let real = format!("{configured}/slaves/S0{path}");
    let output = get(address, &format!("/files/read?path={real}&offset=0"));
    assert!(output.contains(r#""data":"hello\n""#), "{output}");
    let flags = get(address, "/flags");
    assert!(
        flags.contains(&format!(r#""work_dir":"{configured}""#)),
        "{flags}"
    );
    let state = get(address, "/slave(1)/state");
    assert!(state.contains(r#""id":"S0""#), "{state}");

    let shutdown = node::ShutdownAgent {
        reason: "the test is over".to_owned(),
        term: 1,
    };
    peer.tell(shutdown).unwrap();
    end.recv_timeout(PATIENCE).expect("the agent ends").unwrap();
}

async fn tokio_timeout<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}
