//! The endpoint over TCP: one task, the hub, owns the core; each connection has a task of its own.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    connection::Task,
    core::{ConnectionId, Core, Effect, Input, Now},
    error::Error,
    members::Members,
    reply::Outgoing,
    settings::Settings,
};

/// Inputs of all connections that wait for the hub; a connection waits for room.
const INPUTS: usize = 1_024;
/// Pause after the system could not accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A serving endpoint; dropping it closes its connections.
#[derive(Debug)]
pub struct ZooKeeperEndpoint {
    address: SocketAddr,
    hub: JoinHandle<()>,
}

impl ZooKeeperEndpoint {
    /// Serves on `listener` what `members` says, until dropped or until the sender of `members` is gone.
    ///
    /// # Errors
    /// [`Error::Base`] for a path that is none; [`Error::Listener`].
    pub fn serve(
        listener: TcpListener,
        members: watch::Receiver<Members>,
        settings: Settings,
    ) -> Result<ZooKeeperEndpoint, Error> {
        if !is_path(&settings.base) {
            return Err(Error::Base(settings.base));
        }
        let address = listener.local_addr()?;
        let hub = tokio::spawn(Hub::new(settings).run(listener, members));
        Ok(ZooKeeperEndpoint { address, hub })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ZooKeeperEndpoint {
    fn drop(&mut self) {
        self.hub.abort();
    }
}

fn is_path(base: &str) -> bool {
    let mut names = base.split('/');
    base == "/"
        || names.next() == Some("")
            && names.clone().count() > 0
            && names.all(|name| !name.is_empty())
}

/// The hub's side of a connection.
struct Open {
    outgoing: mpsc::Sender<Outgoing>,
    ip: IpAddr,
}

struct Hub {
    settings: Settings,
    core: Core,
    started: Instant,
    open: BTreeMap<ConnectionId, Open>,
    /// Ends with the hub, and every connection with it.
    tasks: JoinSet<()>,
    last: u64,
    /// One line a crowd.
    refusing: bool,
    wakes_at: Option<Instant>,
}

impl Hub {
    fn new(settings: Settings) -> Hub {
        let started = Instant::now();
        let origin = uuid::Uuid::new_v4().as_u64_pair().1 as u16;
        Hub {
            core: Core::new(settings.clone(), origin, now(started)),
            settings,
            started,
            open: BTreeMap::new(),
            tasks: JoinSet::new(),
            last: 0,
            refusing: false,
            wakes_at: None,
        }
    }

    async fn run(mut self, listener: TcpListener, mut members: watch::Receiver<Members>) {
        let (sender, mut inputs) = mpsc::channel(INPUTS);
        let first = members.borrow_and_update().clone();
        self.feed(Input::Members(first));
        let accepting = accept(&listener);
        tokio::pin!(accepting);
        loop {
            let wakes_at = self.wakes_at.unwrap_or_else(far_off);
            tokio::select! {
                changed = members.changed() => match changed {
                    Ok(()) => {
                        let shown = members.borrow_and_update().clone();
                        self.feed(Input::Members(shown));
                    }
                    Err(_) => return,
                },
                () = sleep_until(wakes_at) => {
                    self.wakes_at = None;
                    self.feed(Input::Woke);
                }
                input = inputs.recv() => {
                    // `sender` lives as long as this loop.
                    if let Some(input) = input {
                        self.take(input);
                    }
                }
                Some(_) = self.tasks.join_next() => {}
                (stream, peer) = &mut accepting => {
                    self.admit(stream, peer, &sender);
                    accepting.set(accept(&listener));
                }
            }
        }
    }

    /// Beyond the bounds a connection is dropped at once, as ZooKeeper does.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, inputs: &mpsc::Sender<Input>) {
        let ip = peer.ip();
        let from_ip = self.open.values().filter(|open| open.ip == ip).count();
        let (all, each) = (
            self.settings.max_connections,
            self.settings.max_connections_per_ip,
        );
        if self.tasks.len() >= all || from_ip >= each && !ip.is_loopback() {
            if !std::mem::replace(&mut self.refusing, true) {
                tracing::warn!(%peer, "refused a ZooKeeper client: at most {all} may be connected, {each} of one address");
            }
            return;
        }
        self.refusing = false;
        self.last += 1;
        let connection = ConnectionId(self.last);
        // Whoever fills this took no answer for as many watches as it may have.
        let room = self.settings.max_requests + self.settings.max_watches;
        let (sender, outgoing) = mpsc::channel(room);
        let open = Open {
            outgoing: sender,
            ip,
        };
        self.open.insert(connection, open);
        self.feed(Input::Opened {
            connection,
            peer: peer.to_string(),
        });
        let task = Task {
            id: connection,
            inputs: inputs.clone(),
            outgoing,
            max_requests: self.settings.max_requests,
            write_deadline: self.settings.write_deadline,
        };
        self.tasks.spawn(task.run(stream));
    }

    fn take(&mut self, input: Input) {
        if let Input::Closed { connection } = &input {
            self.open.remove(connection);
        }
        self.feed(input);
    }

    fn feed(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.on(now(self.started), input, &mut effects);
        let mut overrun = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send {
                    connection,
                    outgoing,
                } => {
                    let Some(open) = self.open.get(&connection) else {
                        continue;
                    };
                    match open.outgoing.try_send(outgoing) {
                        Err(TrySendError::Full(_)) => overrun.push(connection),
                        // It ends by itself, and says so.
                        Ok(()) | Err(TrySendError::Closed(_)) => {}
                    }
                }
                Effect::Close { connection } => {
                    self.open.remove(&connection);
                }
                Effect::WakeAt(at) => self.wakes_at = Some(self.started + at),
            }
        }
        for connection in overrun {
            if self.open.remove(&connection).is_some() {
                tracing::warn!(
                    connection = connection.0,
                    "cut a ZooKeeper client that does not read its events"
                );
                self.feed(Input::Closed { connection });
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(
                    "cannot accept a ZooKeeper client, trying again in {ACCEPT_PAUSE:?}: {error}"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn now(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    Now {
        monotonic: started.elapsed(),
        unix_ms: unix.map_or(0, |unix| {
            i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
        }),
    }
}

/// As good as never.
fn far_off() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
