//! Keeps one connection open to one of several addresses: looks them up, tries them in order, waits, repeats.
//!
//! Owns the persistence of the connecting side. Never knows how addresses are found: that is a closure, such as
//! one that asks the masters over HTTP where their bridge is and who leads.

use std::{convert::Infallible, future::Future, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{backoff::Backoff, connection::Bridge, error::Error, peer::Peer};

/// Addresses tried of one look-up.
const MAX_ADDRESSES: usize = 16;

/// See the module. The service's `on_connect` and `on_disconnect` tell of each connection, `on_failed` of each attempt.
pub struct Connector {
    bridge: Bridge,
    backoff: Backoff,
}

impl Connector {
    /// `seed` spreads the attempts of many agents: give each another.
    pub fn new(bridge: Bridge, seed: u64) -> Self {
        Connector {
            bridge,
            backoff: Backoff::new(seed),
        }
    }

    /// Other delays than those of [`Backoff::new`].
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Runs over TCP until dropped, which closes the connection. `addresses` has `handshake_deadline` to answer; an
    /// empty list means "try again later".
    pub async fn run<A, Found>(self, addresses: A) -> Infallible
    where
        A: Fn() -> Found,
        Found: Future<Output = Vec<SocketAddr>>,
    {
        self.run_with(addresses, |address| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .await
    }

    /// Like [`Connector::run`] over streams that `open` makes: TLS, memory, a simulated network.
    pub async fn run_with<A, Found, O, Opened, S>(mut self, addresses: A, open: O) -> Infallible
    where
        A: Fn() -> Found,
        Found: Future<Output = Vec<SocketAddr>>,
        O: Fn(SocketAddr) -> Opened,
        Opened: Future<Output = io::Result<S>>,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let lookup_deadline = self.bridge.settings.handshake_deadline;
        loop {
            let found = timeout(lookup_deadline, addresses()).await;
            for address in found.unwrap_or_default().into_iter().take(MAX_ADDRESSES) {
                match self.try_one(address, &open).await {
                    Ok(peer) => {
                        self.stay(peer).await;
                        break;
                    }
                    Err(error) => self.bridge.service.on_failed(Some(address), &error),
                }
            }
            sleep(self.backoff.next_delay()).await;
        }
    }

    async fn try_one<O, Opened, S>(&self, address: SocketAddr, open: &O) -> Result<Peer, Error>
    where
        O: Fn(SocketAddr) -> Opened,
        Opened: Future<Output = io::Result<S>>,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = self.bridge.dial(address, open(address)).await?;
        self.bridge.connect_stream(stream, Some(address)).await
    }

    /// Waits for the end of the connection. One that ends at once counts as a failed attempt.
    async fn stay(&mut self, peer: Peer) {
        let began = Instant::now();
        let connected = CloseOnDrop(peer);
        connected.0.closed().await;
        if began.elapsed() >= self.backoff.cap() {
            self.backoff.reset();
        }
    }
}

struct CloseOnDrop(Peer);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close("the connector was stopped");
    }
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
