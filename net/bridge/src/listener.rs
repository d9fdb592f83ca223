//! Accepts connections over TCP, within bounds, and keeps the list of those that are open.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    connection::{Bridge, Greeted},
    error::Error,
    handshake::{Identity, Role},
    peer::{Peer, PeerId},
    settings::Settings,
    stats::PeerStats,
};

/// Pause after the system could not accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One address has this part of the handshakes.
const HANDSHAKES_PART: usize = 4;

/// A listening address and its connections; dropping it closes them.
pub struct Listener {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    open: Arc<Open>,
    close_deadline: Duration,
}

impl Bridge {
    /// Listens on TCP; port 0 picks a free one.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn listen(&self, address: SocketAddr) -> Result<Listener, Error> {
        let failed = |source| Error::Listen { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let open = Arc::new(Open::default());
        Ok(Listener {
            address,
            accepting: tokio::spawn(accept_all(socket, self.clone(), open.clone())),
            open,
            close_deadline: self.settings.close_deadline,
        })
    }
}

impl Listener {
    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The peers that are connected, in the order in which they came.
    pub fn peers(&self) -> Vec<Peer> {
        self.open.lock().peers.values().cloned().collect()
    }

    pub fn stats(&self) -> Vec<PeerStats> {
        self.peers().iter().map(Peer::stats).collect()
    }

    /// Accepts no more, tells every peer `reason`, and waits until all are gone (for little more than `close_deadline`).
    pub async fn close(self, reason: &str) {
        self.accepting.abort();
        let peers = self.open.shut();
        for peer in &peers {
            peer.close(reason);
        }
        let all_gone = async {
            for peer in &peers {
                peer.closed().await;
            }
        };
        // Each writer keeps the deadline by itself; the factor is for a machine that is busy.
        let _ = timeout(self.close_deadline * 2, all_gone).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
        for peer in self.open.shut() {
            peer.close("the listener was closed");
        }
    }
}

async fn accept_all(socket: TcpListener, bridge: Bridge, open: Arc<Open>) {
    let handshakes = Arc::new(Semaphore::new(bridge.settings.max_handshakes));
    // The semaphore is never closed.
    while let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await {
        match socket.accept().await {
            Ok((stream, address)) => match Slot::take(&open, address.ip(), &bridge.settings) {
                Ok(slot) => {
                    let bridge = bridge.clone();
                    tokio::spawn(serve(stream, address, bridge, slot, handshake));
                }
                Err(error) => bridge.service.on_failed(Some(address), &error),
            },
            Err(error) => {
                tracing::warn!("cannot accept, trying again in {ACCEPT_PAUSE:?}: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    bridge: Bridge,
    mut slot: Slot,
    handshake: OwnedSemaphorePermit,
) {
    // Without it a small message would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, "cannot set TCP_NODELAY: {error}");
    }
    let admit = |theirs: &Identity| slot.settle(theirs.role, &bridge.settings);
    // What it needs goes when it is over: a task keeps the room of its largest part for as long as it lives.
    let greeted = match Box::pin(bridge.accept(stream, Some(address), admit)).await {
        Ok(greeted) => greeted,
        Err(error) => return bridge.service.on_failed(Some(address), &error),
    };
    drop(handshake);
    let Some(place) = bridge.service.place(&greeted.remote) else {
        return attend(greeted, address, &bridge, slot);
    };
    match greeted.move_to(&place) {
        Ok(greeted) => drop(place.spawn(async move { attend(greeted, address, &bridge, slot) })),
        Err(error) => bridge.service.on_failed(Some(address), &error),
    }
}

/// Lets the connection run on a task of its own, which holds its slot.
fn attend(greeted: Greeted<TcpStream>, address: SocketAddr, bridge: &Bridge, mut slot: Slot) {
    let connection = bridge.open(greeted, Some(address));
    let peer = connection.peer();
    if !slot.enter(peer) {
        peer.close("this side is closing");
    }
    tokio::spawn(async move {
        connection.run().await;
        drop(slot);
    });
}

/// The connections of one listener.
#[derive(Default)]
struct Open {
    state: Mutex<OpenState>,
}

#[derive(Default)]
struct OpenState {
    closed: bool,
    /// In their handshake.
    greeting: BTreeMap<IpAddr, usize>,
    masters: usize,
    /// All others that are open.
    total: usize,
    per_ip: BTreeMap<IpAddr, usize>,
    peers: BTreeMap<PeerId, Peer>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, OpenState> {
        self.state
            .lock()
            .expect("nothing panics while it holds the list of peers")
    }

    fn shut(&self) -> Vec<Peer> {
        let mut state = self.lock();
        state.closed = true;
        state.peers.values().cloned().collect()
    }
}

/// The right to one connection, given back when dropped.
struct Slot {
    open: Arc<Open>,
    ip: IpAddr,
    /// Unknown until it has greeted.
    role: Option<Role>,
    peer: Option<PeerId>,
}

impl Slot {
    /// For a handshake.
    fn take(open: &Arc<Open>, ip: IpAddr, settings: &Settings) -> Result<Slot, Error> {
        let mut state = open.lock();
        let limit = (settings.max_handshakes / HANDSHAKES_PART).max(1);
        room_of(&state.greeting, ip, limit, "max_handshakes")?;
        *state.greeting.entry(ip).or_default() += 1;
        drop(state);
        Ok(Slot {
            open: open.clone(),
            ip,
            role: None,
            peer: None,
        })
    }

    /// It has said what it is, and takes its place among those.
    fn settle(&mut self, role: Role, settings: &Settings) -> Result<(), Error> {
        let mut state = self.open.lock();
        match role {
            Role::Master => {
                room(state.masters, settings.max_masters, "max_masters")?;
                state.masters += 1;
            }
            Role::Agent => {
                room(state.total, settings.max_connections, "max_connections")?;
                let limit = settings.max_connections_per_ip;
                room_of(&state.per_ip, self.ip, limit, "max_connections_per_ip")?;
                state.total += 1;
                *state.per_ip.entry(self.ip).or_default() += 1;
            }
        }
        give_back(&mut state.greeting, self.ip);
        self.role = Some(role);
        Ok(())
    }

    /// Lists the peer. False where the listener has closed meanwhile.
    fn enter(&mut self, peer: &Peer) -> bool {
        let mut state = self.open.lock();
        state.peers.insert(peer.id(), peer.clone());
        self.peer = Some(peer.id());
        !state.closed
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.open.lock();
        if let Some(peer) = self.peer {
            state.peers.remove(&peer);
        }
        match self.role {
            None => give_back(&mut state.greeting, self.ip),
            Some(Role::Master) => state.masters -= 1,
            Some(Role::Agent) => {
                state.total -= 1;
                give_back(&mut state.per_ip, self.ip);
            }
        }
    }
}

fn room(taken: usize, limit: usize, setting: &'static str) -> Result<(), Error> {
    match taken < limit {
        true => Ok(()),
        false => Err(Error::TooMany { limit, setting }),
    }
}

fn room_of(
    taken: &BTreeMap<IpAddr, usize>,
    ip: IpAddr,
    limit: usize,
    setting: &'static str,
) -> Result<(), Error> {
    match ip.is_loopback() {
        true => Ok(()),
        false => room(taken.get(&ip).copied().unwrap_or(0), limit, setting),
    }
}

fn give_back(taken: &mut BTreeMap<IpAddr, usize>, ip: IpAddr) {
    if let Some(count) = taken.get_mut(&ip) {
        *count -= 1;
        if *count == 0 {
            taken.remove(&ip);
        }
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
