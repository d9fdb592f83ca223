//! The rules of the endpoint: sessions, reads, watches. Without I/O, clock and random numbers.
//!
//! A session owns nothing here: there are no nodes of clients, and watches belong to the connection. So a session is no more
//! than an id and the password that follows from it, and *any* endpoint takes it over from one that died, as an ensemble of
//! ZooKeepers would. Its client then sets its watches again ([`Request::SetWatches`](crate::request::Request::SetWatches)). States of two endpoints do not
//! compare, so a client that comes from another one is told of every node it watches: at worst it reads once in vain.

#[cfg(test)]
mod property_tests;
mod requests;
#[cfg(test)]
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    members::Members,
    reply::{Outgoing, PASSWORD_BYTES},
    request::{ConnectRequest, Numbered},
    settings::Settings,
    tree::Tree,
    watches::{Fired, Watches},
    words,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since some fixed time; never goes back.
    pub monotonic: Duration,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection was accepted; `peer` is shown to people.
    Opened {
        connection: ConnectionId,
        peer: String,
    },
    /// `fresh` is random, for the id of a new session.
    Connect {
        connection: ConnectionId,
        request: ConnectRequest,
        fresh: u64,
    },
    Request {
        connection: ConnectionId,
        numbered: Numbered,
    },
    /// A command of four letters.
    Word {
        connection: ConnectionId,
        word: [u8; 4],
    },
    /// The connection is gone.
    Closed {
        connection: ConnectionId,
    },
    Members(Members),
    /// The time asked for with [`Effect::WakeAt`] has come.
    Woke,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Send {
        connection: ConnectionId,
        outgoing: Outgoing,
    },
    /// After all that was sent to it before.
    Close { connection: ConnectionId },
    /// In terms of [`Now::monotonic`]; replaces the one before.
    WakeAt(Duration),
}

#[derive(Debug)]
struct Connection {
    peer: String,
    /// 0 before there is one.
    session: i64,
    /// Silence for longer than this cuts it.
    patience: Duration,
    deadline: Duration,
    received: u64,
    sent: u64,
}

/// State and rules; see the module.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    tree: Tree,
    watches: Watches,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Which connection has a session.
    attached: BTreeMap<i64, ConnectionId>,
    deadlines: BTreeSet<(Duration, ConnectionId)>,
    wakes_at: Option<Duration>,
    received: u64,
    sent: u64,
}

impl Core {
    /// `origin` is random: it tells this endpoint's states from those of others.
    pub fn new(settings: Settings, origin: u16, now: Now) -> Core {
        Core {
            // A client that has seen nothing says 0.
            tree: Tree::new(&settings.base, origin.max(1), now.unix_ms),
            watches: Watches::new(settings.max_watches),
            settings,
            connections: BTreeMap::new(),
            attached: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            wakes_at: None,
            received: 0,
            sent: 0,
        }
    }

    pub fn on(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Opened { connection, peer } => self.open(now, connection, peer),
            Input::Connect {
                connection,
                request,
                fresh,
            } => {
                if self.touch(now, connection) {
                    self.connect(now, connection, &request, fresh, effects);
                }
            }
            Input::Request {
                connection,
                numbered,
            } => {
                if self.touch(now, connection) {
                    self.request(connection, numbered, effects);
                }
            }
            Input::Word { connection, word } => {
                if self.touch(now, connection) {
                    let text = words::answer(word, &self.facts());
                    self.send(connection, Outgoing::Text(text), effects);
                    self.close(connection, effects);
                }
            }
            Input::Closed { connection } => self.forget(connection),
            Input::Members(members) => {
                for change in self.tree.show(&members, now.unix_ms) {
                    let fired = self.watches.fire(&change);
                    self.tell(fired, effects);
                }
            }
            Input::Woke => {
                self.wakes_at = None;
                self.cut_silent(now, effects);
            }
        }
        self.arm(effects);
        debug_assert!(self.is_sound(), "the endpoint's tables disagree");
    }

    fn open(&mut self, now: Now, connection: ConnectionId, peer: String) {
        let patience = self.settings.connect_deadline;
        let deadline = now.monotonic + patience;
        let opened = Connection {
            peer,
            session: 0,
            patience,
            deadline,
            received: 0,
            sent: 0,
        };
        self.deadlines.insert((deadline, connection));
        self.connections.insert(connection, opened);
    }

    /// Notes that a connection spoke. False where it was closed meanwhile.
    fn touch(&mut self, now: Now, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        connection.received += 1;
        self.received += 1;
        self.deadlines.remove(&(connection.deadline, id));
        connection.deadline = now.monotonic + connection.patience;
        self.deadlines.insert((connection.deadline, id));
        true
    }

    fn arm(&mut self, effects: &mut Vec<Effect>) {
        if let Some((first, _)) = self.deadlines.first()
            && self.wakes_at.is_none_or(|at| *first < at)
        {
            self.wakes_at = Some(*first);
            effects.push(Effect::WakeAt(*first));
        }
    }

    fn cut_silent(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((deadline, connection)) = self.deadlines.first().copied()
            && deadline <= now.monotonic
        {
            self.close(connection, effects);
        }
    }

    fn connect(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: &ConnectRequest,
        fresh: u64,
        effects: &mut Vec<Effect>,
    ) {
        if self.session(id) != 0 {
            return self.close(id, effects);
        }
        let tells_mode = request.read_only.is_some();
        let session = match request.session {
            // Positive, and not the number that means none.
            0 => (fresh & i64::MAX as u64).max(1) as i64,
            session => session,
        };
        if request.session != 0 && request.password != password(session) {
            let refusal = Outgoing::Connected {
                timeout_ms: 0,
                session: 0,
                password: [0; PASSWORD_BYTES],
                tells_mode,
            };
            self.send(id, refusal, effects);
            return self.close(id, effects);
        }
        if let Some(before) = self.attached.insert(session, id) {
            self.close(before, effects);
        }
        let timeout = self.timeout(request.timeout_ms);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.session = session;
            connection.patience = timeout;
            self.deadlines.remove(&(connection.deadline, id));
            connection.deadline = now.monotonic + timeout;
            self.deadlines.insert((connection.deadline, id));
        }
        let answer = Outgoing::Connected {
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            session,
            password: password(session),
            tells_mode,
        };
        self.send(id, answer, effects);
    }

    /// 0 where it has none.
    fn session(&self, id: ConnectionId) -> i64 {
        self.connections.get(&id).map_or(0, |each| each.session)
    }

    fn timeout(&self, wished_ms: i32) -> Duration {
        let wished = Duration::from_millis(u64::try_from(wished_ms).unwrap_or_default());
        let (least, most) = self.settings.session_timeout;
        wished.min(most).max(least)
    }

    fn tell(&mut self, fired: Vec<Fired>, effects: &mut Vec<Effect>) {
        for Fired {
            connection,
            kind,
            path,
        } in fired
        {
            self.send(connection, Outgoing::Event { kind, path }, effects);
        }
    }

    fn send(&mut self, id: ConnectionId, outgoing: Outgoing, effects: &mut Vec<Effect>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.sent += 1;
            self.sent += 1;
            effects.push(Effect::Send {
                connection: id,
                outgoing,
            });
        }
    }

    fn close(&mut self, id: ConnectionId, effects: &mut Vec<Effect>) {
        if self.connections.contains_key(&id) {
            self.forget(id);
            effects.push(Effect::Close { connection: id });
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.deadlines.remove(&(connection.deadline, id));
            if self.attached.get(&connection.session) == Some(&id) {
                self.attached.remove(&connection.session);
            }
            self.watches.forget(id);
        }
    }

    fn facts(&self) -> words::Facts {
        let connections = self.connections.values();
        words::Facts {
            received: self.received,
            sent: self.sent,
            zxid: self.tree.zxid(),
            nodes: self.tree.len(),
            connections: connections
                .map(|each| (each.peer.clone(), each.received, each.sent))
                .collect(),
        }
    }

    /// Every table speaks of the same connections, and the lowest master is the leader.
    pub(crate) fn is_sound(&self) -> bool {
        let deadlines = self
            .connections
            .iter()
            .map(|(id, each)| (each.deadline, *id));
        let attached = self
            .connections
            .iter()
            .filter(|(_, each)| each.session != 0);
        deadlines.collect::<BTreeSet<_>>() == self.deadlines
            && attached
                .map(|(id, each)| (each.session, *id))
                .collect::<BTreeMap<_, _>>()
                == self.attached
            && self
                .watches
                .is_sound(|id| self.connections.contains_key(id))
            && self.tree.is_sound()
    }
}

/// Follows from the id, so that any endpoint knows it. It protects no more than the id does, which cannot be guessed: whoever
/// has both could end the other's connection.
fn password(session: i64) -> [u8; PASSWORD_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"tepui zookeeper session");
    hash.update(session.to_be_bytes());
    let mut password = [0; PASSWORD_BYTES];
    password.copy_from_slice(&hash.finalize()[..PASSWORD_BYTES]);
    password
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
