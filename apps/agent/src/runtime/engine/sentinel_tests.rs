use std::sync::Arc;

use tepui_containers::patience::Presence;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::*;

const RUNNING: &str = r#"{"Id": "i", "State": {"Status": "running", "Running": true, "Pid": 1}}"#;

/// An engine of which every container runs until it is stopped; notes what it is asked to stop.
struct Fake {
    dir: tempfile::TempDir,
    stops: Mutex<Vec<String>>,
}

impl Fake {
    fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let fake = Arc::new(Self {
            dir,
            stops: Mutex::default(),
        });
        let this = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&this).answer(stream));
            }
        });
        fake
    }

    async fn answer(self: Arc<Self>, mut stream: UnixStream) {
        let mut request = vec![0; 1 << 12];
        let length = stream.read(&mut request).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let line = request.lines().next().unwrap_or_default();
        if line.starts_with("POST") {
            self.stops.lock().unwrap().push(line.to_owned());
        }
        let length = RUNNING.len();
        let answer = format!("HTTP/1.1 200 x\r\nContent-Length: {length}\r\n\r\n{RUNNING}");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn record(&self, id: &str, patience: Option<Duration>) {
        let patience = patience.map(|timeout| Patience {
            timeout,
            grace: Duration::from_secs(2),
        });
        let record = Record::new(PathBuf::new(), None, None, patience);
        record.write(&self.dir.path().join(id)).unwrap();
    }

    fn watched(&self) -> Watched {
        Watched {
            runtime_dir: self.dir.path().to_owned(),
            engine: Engine::new(self.dir.path().join("s"), Logins::default()),
        }
    }
}

#[tokio::test]
async fn containers_whose_agent_stays_away_are_asked_to_end_and_marked() {
    let fake = Fake::new();
    drop(Presence::begin(fake.dir.path()).unwrap());
    fake.record("now", Some(Duration::ZERO));
    fake.record("never", None);
    let watched = fake.watched();
    let mark = watched.mark().unwrap();
    watched.outlive(mark).await.unwrap();
    let stops = fake.stops.lock().unwrap().clone();
    assert_eq!(stops.len(), 1, "{stops:?}");
    assert!(
        stops[0].contains("/containers/mesos-now/stop?t=2 "),
        "{stops:?}"
    );
    let [now, never] = ["now", "never"].map(|id| is_forsaken(&fake.dir.path().join(id)));
    assert_eq!((now, never), (true, false));
}

#[tokio::test]
async fn an_agent_that_has_recovered_spares_them() {
    let fake = Fake::new();
    let presence = Presence::begin(fake.dir.path()).unwrap();
    fake.record("soon", Some(Duration::from_millis(10)));
    let watched = fake.watched();
    let mark = watched.mark().unwrap();
    presence.announce().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    watched.outlive(mark).await.unwrap();
    assert_eq!(*fake.stops.lock().unwrap(), [""; 0]);
}
