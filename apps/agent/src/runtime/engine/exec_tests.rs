use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tepui_containers::{engine::Engine, images::access::Logins, switchboard::Greeting};
use tepui_messages::containers::RecoveredContainer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::super::Keeping;
use super::*;

const SESSION: &str = "c.session";

/// An engine that runs one command, which it does not tell of before it was asked some times.
struct Fake {
    dir: tempfile::TempDir,
    /// Its number; `None`: one that ended at once.
    command: Option<u32>,
    has_ended: Arc<AtomicBool>,
    is_silent: AtomicBool,
    untold: Mutex<u32>,
    looks: Mutex<u32>,
}

impl Fake {
    fn new(command: Option<&mut Command>, untold: u32) -> Arc<Self> {
        let mut command = command.map(|it| it.spawn().unwrap());
        let number = command.as_ref().map(|it| it.id());
        let has_ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&has_ended);
        std::thread::spawn(move || {
            command.as_mut().map(|it| it.wait().unwrap());
            end.store(true, Ordering::SeqCst);
        });
        let fake = Arc::new(Self {
            dir: tempfile::tempdir().unwrap(),
            command: number,
            has_ended,
            is_silent: AtomicBool::new(false),
            untold: Mutex::new(untold),
            looks: Mutex::default(),
        });
        let listener = UnixListener::bind(fake.dir.path().join("s")).unwrap();
        let this = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&this).answer(stream));
            }
        });
        fake
    }

    /// One that has run for long, or of which nothing is told for some looks.
    fn of_sleep(untold: u32) -> Arc<Self> {
        Self::new(Some(Command::new("sleep").arg("1000")), untold)
    }

    fn containers(&self) -> EngineContainers {
        let engine = Engine::new(self.dir.path().join("s"), Logins::default());
        let keeping = Keeping {
            stop_timeout: Duration::ZERO,
            remove_delay: Duration::ZERO,
            kill_orphans: true,
        };
        let runtime_dir = self.dir.path().join("run");
        EngineContainers::new(engine, runtime_dir, self.dir.path(), keeping)
    }

    async fn answer(self: Arc<Self>, mut stream: UnixStream) {
        let mut request = vec![0; 1 << 16];
        let length = stream.read(&mut request).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        if self.is_silent.load(Ordering::SeqCst) {
            return;
        }
        let body = if request.starts_with("GET /exec/e/json ") {
            self.told()
        } else if request.starts_with("POST /containers/mesos-c/exec ") {
            r#"{"Id": "e"}"#.to_owned()
        } else {
            assert!(request.starts_with("POST /exec/e/start "), "{request}");
            let head = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            // Until the agent leaves: the command says nothing.
            while stream.read(&mut [0; 64]).await.is_ok_and(|it| it > 0) {}
            return;
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 200 x\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn told(&self) -> String {
        *self.looks.lock().unwrap() += 1;
        let mut untold = self.untold.lock().unwrap();
        if *untold > 0 {
            *untold -= 1;
            // The words of Docker and of Podman.
            let status = if untold.is_multiple_of(2) {
                "null"
            } else {
                "0"
            };
            return format!(r#"{{"Running": false, "ExitCode": {status}, "Pid": 0}}"#);
        }
        match self.runs() {
            Some(pid) => format!(r#"{{"Running": true, "ExitCode": null, "Pid": {pid}}}"#),
            None => r#"{"Running": false, "ExitCode": 137, "Pid": 0}"#.to_owned(),
        }
    }

    /// The command's number, while it runs.
    fn runs(&self) -> Option<u32> {
        self.command
            .filter(|_| !self.has_ended.load(Ordering::SeqCst))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let process = self.runs().and_then(|pid| ProcessId::of(pid).ok());
        super::super::send(process, SIGKILL);
    }
}

fn order() -> LaunchOrder {
    LaunchOrder {
        container_id: SESSION.to_owned(),
        program: "sleep".to_owned(),
        view_of: Some("c".to_owned()),
        switchboard: Some(Switchboard {
            terminal: None,
            is_session: true,
        }),
        ..LaunchOrder::default()
    }
}

/// A session and its client.
async fn begun(containers: &EngineContainers) -> (RunningContainer, UnixStream) {
    let running = containers.launch_beside(order()).await.unwrap();
    let client = attach::connect(&containers.dir(SESSION), Greeting::Session).await;
    (running, client.unwrap().unwrap())
}

/// What an agent leaves that ends before it knows the process.
fn left(containers: &EngineContainers) -> std::path::PathBuf {
    let dir = containers.dir(SESSION);
    Record::of_session(Some("e"), None).write(&dir).unwrap();
    dir
}

#[tokio::test]
async fn a_session_that_takes_its_time_to_run_ends_with_its_client() {
    let fake = Fake::of_sleep(22);
    let containers = fake.containers();
    let (running, client) = begun(&containers).await;
    // It is gone before the engine tells what there is to be killed.
    drop(client);
    let exit = running.exited.await;
    assert_eq!(fake.runs(), None);
    assert_eq!(exit.status, Some(137 << 8));
}

#[tokio::test]
async fn a_session_that_ended_at_once_is_not_waited_for() {
    let fake = Fake::new(None, 0);
    let launched = fake.containers().launch_beside(order()).await;
    assert_eq!(launched.unwrap().pid, 0);
    assert_eq!(*fake.looks.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_session_is_killed_also_before_its_process_is_known() {
    let fake = Fake::of_sleep(22);
    let containers = fake.containers();
    let (running, client) = begun(&containers).await;
    assert_eq!(containers.signal(SESSION, SIGKILL).await, Ok(()));
    assert_eq!(fake.runs(), None);
    drop(client);
    assert_eq!(running.exited.await.status, Some(137 << 8));
}

#[tokio::test]
async fn the_next_agent_ends_what_is_left_of_a_session_whose_process_was_not_known_yet() {
    let fake = Fake::of_sleep(0);
    let containers = fake.containers();
    let dir = left(&containers);
    let recovered = containers.recover(SESSION).await;
    assert!(matches!(recovered, RecoveredContainer::Gone));
    assert_eq!((fake.runs(), dir.exists()), (None, false));
}

#[tokio::test]
async fn what_is_left_of_a_session_is_kept_in_mind_until_its_engine_answers() {
    let fake = Fake::of_sleep(0);
    let containers = fake.containers();
    let dir = left(&containers);
    fake.is_silent.store(true, Ordering::SeqCst);
    let recovered = containers.recover(SESSION).await;
    assert!(matches!(recovered, RecoveredContainer::Gone));
    assert!(fake.runs().is_some() && record::exists(&dir));
    fake.is_silent.store(false, Ordering::SeqCst);
    while record::exists(&dir) {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fake.runs(), None);
}
