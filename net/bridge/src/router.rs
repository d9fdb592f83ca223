//! From a KIND to a closure.
//!
//! Owns decoding by KIND. Never knows what stands behind a closure. A closure runs on the connection's reader
//! task: it hands the message on (to a link, which is bounded) and returns; what takes time belongs into the
//! future of an ask. Closures are called in the order of the frames.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tepui_protocol::{
    codec::{Limits, msgpack},
    message::Wire,
};

use crate::{outbox::Encode, peer::Peer};

/// The reply, ready to be encoded, or the text of a failure.
pub(crate) type Answer = Result<Box<dyn Encode>, String>;

type TellRoute = Box<dyn Fn(&Peer, &[u8]) -> Result<(), msgpack::Error> + Send + Sync>;
type AskRoute =
    Box<dyn Fn(&Peer, &[u8]) -> Result<BoxFuture<'static, Answer>, msgpack::Error> + Send + Sync>;

/// Why a message reached no closure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unroutable {
    #[error("message {0} is not known here: upgrade this side, or do without")]
    Unknown(u16),
    #[error("message {kind} cannot be read: {source}")]
    Undecodable { kind: u16, source: msgpack::Error },
}

/// What one side understands; shared by many connections, or made per peer (by its role, say).
#[derive(Default)]
pub struct Router {
    tells: BTreeMap<u16, TellRoute>,
    asks: BTreeMap<u16, AskRoute>,
}

impl Router {
    pub fn builder() -> RouterBuilder {
        RouterBuilder::default()
    }

    pub(crate) fn tell(&self, peer: &Peer, kind: u16, body: &[u8]) -> Result<(), Unroutable> {
        let route = self.tells.get(&kind).ok_or(Unroutable::Unknown(kind))?;
        route(peer, body).map_err(|source| Unroutable::Undecodable { kind, source })
    }

    pub(crate) fn ask(
        &self,
        peer: &Peer,
        kind: u16,
        body: &[u8],
    ) -> Result<BoxFuture<'static, Answer>, Unroutable> {
        let route = self.asks.get(&kind).ok_or(Unroutable::Unknown(kind))?;
        route(peer, body).map_err(|source| Unroutable::Undecodable { kind, source })
    }
}

/// Collects routes.
#[derive(Default)]
pub struct RouterBuilder {
    router: Router,
}

impl RouterBuilder {
    /// `handle` takes each told `M`.
    ///
    /// # Panics
    /// Where `M` has such a route already: a mistake in the wiring.
    #[must_use]
    pub fn on_tell<M: Wire>(mut self, handle: impl Fn(&Peer, M) + Send + Sync + 'static) -> Self {
        let route: TellRoute = Box::new(move |peer, body| {
            handle(peer, msgpack::decode(body, &Limits::BRIDGE)?);
            Ok(())
        });
        let earlier = self.router.tells.insert(M::KIND, route);
        assert!(earlier.is_none(), "message {} is routed twice", M::KIND);
        self
    }

    /// `handle` takes each asked `M` at once, in order; its future, run beside those of other questions and dropped
    /// with the connection, gives the reply or the text that the asker sees.
    ///
    /// # Panics
    /// Where `M` has such a route already: a mistake in the wiring.
    #[must_use]
    pub fn on_ask<M: Wire>(
        mut self,
        handle: impl Fn(&Peer, M) -> BoxFuture<'static, Result<M::Reply, String>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let route: AskRoute = Box::new(move |peer, body| {
            let reply = handle(peer, msgpack::decode(body, &Limits::BRIDGE)?);
            Ok(Box::pin(async move {
                Ok(Box::new(reply.await?) as Box<dyn Encode>)
            }))
        });
        let earlier = self.router.asks.insert(M::KIND, route);
        assert!(earlier.is_none(), "question {} is routed twice", M::KIND);
        self
    }

    pub fn build(self) -> Router {
        self.router
    }
}
