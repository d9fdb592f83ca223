//! Accepts connections over TCP, within bounds, and keeps the list of those that are open.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    connection::{Bridge, Greeted},
    error::Error,
    peer::{Peer, PeerId},
    stats::PeerStats,
};

/// Pause after the system could not accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    loop {
        match socket.accept().await {
            Ok((stream, address)) => match Slot::take(&open, address.ip(), &bridge) {
                Ok(slot) => {
                    tokio::spawn(serve(stream, address, bridge.clone(), slot));
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

async fn serve(stream: TcpStream, address: SocketAddr, bridge: Bridge, slot: Slot) {
    // Without it a small message would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, "cannot set TCP_NODELAY: {error}");
    }
    let greeted = match bridge.accept(stream, Some(address)).await {
        Ok(greeted) => greeted,
        Err(error) => return bridge.service.on_failed(Some(address), &error),
    };
    let Some(place) = bridge.service.place(&greeted.remote) else {
        return attend(greeted, address, bridge, slot).await;
    };
    match greeted.move_to(&place) {
        Ok(greeted) => drop(place.spawn(attend(greeted, address, bridge, slot))),
        Err(error) => bridge.service.on_failed(Some(address), &error),
    }
}

async fn attend(greeted: Greeted<TcpStream>, address: SocketAddr, bridge: Bridge, mut slot: Slot) {
    let connection = bridge.open(greeted, Some(address));
    let peer = connection.peer();
    if !slot.enter(peer) {
        peer.close("this side is closing");
    }
    connection.run().await;
}

/// The connections of one listener.
#[derive(Default)]
struct Open {
    state: Mutex<OpenState>,
}

#[derive(Default)]
struct OpenState {
    closed: bool,
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
    peer: Option<PeerId>,
}

impl Slot {
    fn take(open: &Arc<Open>, ip: IpAddr, bridge: &Bridge) -> Result<Slot, Error> {
        let settings = &bridge.settings;
        let mut state = open.lock();
        if state.total >= settings.max_connections {
            return Err(Error::TooMany {
                limit: settings.max_connections,
                setting: "max_connections",
            });
        }
        let from_ip = state.per_ip.entry(ip).or_default();
        if *from_ip >= settings.max_connections_per_ip && !ip.is_loopback() {
            return Err(Error::TooMany {
                limit: settings.max_connections_per_ip,
                setting: "max_connections_per_ip",
            });
        }
        *from_ip += 1;
        state.total += 1;
        drop(state);
        Ok(Slot {
            open: open.clone(),
            ip,
            peer: None,
        })
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
        state.total -= 1;
        if let Some(count) = state.per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                state.per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
