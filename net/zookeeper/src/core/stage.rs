//! For tests: a core with a clock, and what it sent.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::*;
use crate::{
    members::Master,
    reply::{Body, Code, EventKind, Found},
    request::{Read, ReadKind, Request},
};

pub(super) fn master(name: &str) -> Master {
    Master::new(name.to_owned())
}

pub(super) fn members(term: u64, leader: Option<&str>, followers: &[&str]) -> Members {
    Members {
        term,
        leader: leader.map(master),
        followers: followers.iter().map(|name| master(name)).collect(),
    }
}

/// A core with a clock and what it sent to each connection.
pub(super) struct Stage {
    pub(super) core: Core,
    pub(super) now: Duration,
    pub(super) sent: BTreeMap<ConnectionId, VecDeque<Outgoing>>,
    pub(super) closed: BTreeSet<ConnectionId>,
    pub(super) wakes_at: Option<Duration>,
    pub(super) last: u64,
}

impl Stage {
    pub(super) fn new(origin: u16) -> Stage {
        let now = Now {
            monotonic: Duration::ZERO,
            unix_ms: 1_000,
        };
        let settings = Settings {
            max_watches: 5,
            max_path_bytes: 64,
            ..Settings::default()
        };
        Stage {
            core: Core::new(settings, origin, now),
            now: Duration::ZERO,
            sent: BTreeMap::new(),
            closed: BTreeSet::new(),
            wakes_at: None,
            last: 0,
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        let now = Now {
            monotonic: self.now,
            unix_ms: 1_000 + self.now.as_millis() as i64,
        };
        let mut effects = Vec::new();
        self.core.on(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send {
                    connection,
                    outgoing,
                } => {
                    assert!(
                        !self.closed.contains(&connection),
                        "sent to a connection that is closed"
                    );
                    self.sent.entry(connection).or_default().push_back(outgoing);
                }
                Effect::Close { connection } => {
                    assert!(self.closed.insert(connection), "closed twice")
                }
                Effect::WakeAt(at) => self.wakes_at = Some(at),
            }
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        while let Some(at) = self.wakes_at.filter(|at| *at <= self.now) {
            self.wakes_at = None;
            self.feed(Input::Woke);
            assert!(self.wakes_at.is_none_or(|next| next > at));
        }
    }

    pub(super) fn open(&mut self) -> ConnectionId {
        self.last += 1;
        let connection = ConnectionId(self.last);
        self.feed(Input::Opened {
            connection,
            peer: "peer".to_owned(),
        });
        connection
    }

    /// A new connection with a new session, or with that one; the answer's timeout, session and password.
    pub(super) fn connect(
        &mut self,
        session: i64,
        password: &[u8],
    ) -> (ConnectionId, i32, i64, [u8; PASSWORD_BYTES]) {
        let connection = self.open();
        let request = ConnectRequest {
            last_zxid: i64::MAX,
            timeout_ms: 10_000,
            session,
            password: password.to_vec(),
            read_only: Some(false),
        };
        self.feed(Input::Connect {
            connection,
            request,
            fresh: 41 + self.last,
        });
        match self.next(connection) {
            Some(Outgoing::Connected {
                timeout_ms,
                session,
                password,
                tells_mode: true,
            }) => (connection, timeout_ms, session, password),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn client(&mut self) -> ConnectionId {
        self.connect(0, &[0; 16]).0
    }

    pub(super) fn next(&mut self, connection: ConnectionId) -> Option<Outgoing> {
        self.sent.entry(connection).or_default().pop_front()
    }

    /// The answer to `request`, with the events that came before it.
    pub(super) fn ask_all(
        &mut self,
        connection: ConnectionId,
        request: Request,
    ) -> (Vec<(EventKind, String)>, Result<Body, Code>) {
        self.feed(Input::Request {
            connection,
            numbered: Numbered { xid: 9, request },
        });
        let mut events = Vec::new();
        loop {
            match self.next(connection) {
                Some(Outgoing::Event { kind, path }) => events.push((kind, path)),
                Some(Outgoing::Reply { xid: 9, result, .. }) => return (events, result),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn ask(&mut self, connection: ConnectionId, request: Request) -> Result<Body, Code> {
        let (events, result) = self.ask_all(connection, request);
        assert_eq!(events, []);
        result
    }

    pub(super) fn events(&mut self, connection: ConnectionId) -> Vec<(EventKind, String)> {
        let sent = std::mem::take(self.sent.entry(connection).or_default());
        let event = |outgoing| match outgoing {
            Outgoing::Event { kind, path } => (kind, path),
            other => panic!("{other:?}"),
        };
        sent.into_iter().map(event).collect()
    }
}

pub(super) fn read(kind: ReadKind, path: &str, watch: bool) -> Request {
    let path = path.to_owned();
    Request::Read(Read { kind, path, watch })
}

pub(super) fn names(result: Result<Body, Code>) -> Vec<String> {
    match result {
        Ok(Body::Found(Found::Children(names) | Found::Children2(names, _))) => names,
        other => panic!("{other:?}"),
    }
}

pub(super) fn event(kind: EventKind, path: &str) -> (EventKind, String) {
    (kind, path.to_owned())
}
