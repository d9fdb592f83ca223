//! Keeps a connection open to each other master, on a thread of its own: a busy bridge to agents must not delay
//! heartbeats of Raft.

use std::{
    collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, thread::JoinHandle,
    time::Duration,
};

use tepui_bridge::{
    Backoff, Bridge, Connector, Disconnect, Error, Hello, Identity, Peer, Router, Service, Settings,
};
use tokio::{
    net::lookup_host,
    sync::oneshot,
    task::{LocalSet, spawn_local},
    time::sleep,
};

use crate::group::Group;

/// After a restart of another master it is back in the group within this and a handshake.
const BACKOFF_START: Duration = Duration::from_millis(20);
const BACKOFF_CAP: Duration = Duration::from_millis(500);
/// The other side beats at least every [`crate::ground::BEAT`]: a network that came back is noticed within this.
const SILENT_AFTER: Duration = Duration::from_secs(6);
/// Messages for one master that may wait; beyond it they are lost, and Raft sends anew.
const QUEUE_MESSAGES: usize = 4_096;
/// The same in bytes; all parts of a snapshot are queued at once.
const QUEUE_BYTES: usize = 64 << 20;

/// A master that was added is dialled within this.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The thread; ends when dropped.
pub(crate) struct Dialers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Dialers {
    pub(crate) fn start(group: &Arc<Group>) -> std::io::Result<Dialers> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let group = Arc::clone(group);
        let thread = std::thread::Builder::new()
            .name("tepui-peers".to_owned())
            .spawn(move || {
                LocalSet::new().block_on(&runtime, async {
                    tokio::select! {
                        _ = stopped => {}
                        never = keep(&group) => match never {},
                    }
                });
            })?;
        Ok(Dialers {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Dialers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was logged by its own hook; nothing is left to be saved.
            let _ = thread.join();
        }
    }
}

/// Dials whoever belongs to the group, for as long as it does.
async fn keep(group: &Arc<Group>) -> Infallible {
    let mut ways: BTreeMap<u64, tokio::task::JoinHandle<()>> = BTreeMap::new();
    loop {
        let wanted = group.refresh();
        ways.retain(|id, way| {
            let stays = wanted.contains(id);
            if !stays {
                way.abort();
            }
            stays
        });
        for id in wanted {
            let start = || spawn_local(dial(Arc::clone(group), id));
            ways.entry(id).or_insert_with(start);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn dial(group: Arc<Group>, id: u64) {
    let service = Dial {
        group: Arc::clone(&group),
        id,
        router: Arc::default(),
    };
    let settings = Settings {
        silent_after: SILENT_AFTER,
        queue_messages: QUEUE_MESSAGES,
        queue_bytes: QUEUE_BYTES,
        // Consensus itself writes what it says: who waits for it waits for one thread less.
        write_through: true,
        ..Settings::default()
    };
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    let connector = Connector::new(Bridge::new(settings, Arc::new(service)), seed)
        .with_backoff(Backoff::between(BACKOFF_START, BACKOFF_CAP, seed));
    let never = connector.run(|| look_up(&group, id)).await;
    match never {}
}

async fn look_up(group: &Group, id: u64) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in group.addresses(id) {
        match lookup_host(&address).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => {
                let text = format!("'{address}' cannot be looked up: {error}");
                group.trouble(id, true, text);
            }
        }
    }
    found
}

/// The connecting side towards one other master.
struct Dial {
    group: Arc<Group>,
    id: u64,
    /// It only speaks on this connection.
    router: Arc<Router>,
}

impl Service for Dial {
    fn hello(&self) -> Hello {
        self.group.hello()
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        Arc::clone(&self.router)
    }

    fn recognise(&self, theirs: &Identity) -> Result<(), String> {
        let id = self.group.check(theirs)?;
        if id == self.id {
            return Ok(());
        }
        Err(format!(
            "another master, {}, answers there; correct the address in --peers, or add it with the address it has: `tepui \
             cluster add NAME=ADDRESS --replace`",
            theirs.name
        ))
    }

    fn on_connect(&self, peer: &Peer) {
        self.group.dialled(self.id, peer);
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        self.group.lost(self.id, peer, &end.reason.to_string());
    }

    fn on_failed(&self, _address: Option<SocketAddr>, error: &Error) {
        let refused = matches!(error, Error::RefusedHere(_) | Error::RefusedThere(_));
        self.group.trouble(self.id, !refused, error.to_string());
    }
}
