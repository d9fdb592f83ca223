//! The connections of a server while no request is under way on them. Mesos lets a client be silent for as long as it likes, and
//! its libraries count on it: they open a connection for calls together with that of their subscription, and begin anew when
//! either is lost. So a silent connection stays, until its place is needed; one on which a request was begun does not.
//!
//! Owns a second handle of each socket. Never reads or writes: it looks whether bytes came, and cuts.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    os::fd::{AsFd, AsRawFd},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::Extensions,
};
use bytes::Bytes;
use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
    time::{Instant, sleep},
};

/// A peer that is gone without a word is found out within two minutes, in seconds: the first look, the next ones, how many.
const KEEP_ALIVE_SECS: (u32, u32, u32) = (60, 15, 4);

/// What is allowed to silent connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// From the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// Between two looks at all of them.
    pub(crate) pause: Duration,
    /// So many may be open before those go that are silent the longest.
    pub(crate) open: usize,
}

/// All connections of one server. Clones are handles.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Inner>);

struct Inner {
    began: Instant,
    all: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

/// One, as long as the server holds it.
struct Place {
    id: u64,
    connection: Arc<Connection>,
    inner: Weak<Inner>,
}

struct Connection {
    socket: Socket,
    /// Requests that came, and those of them that are answered in full.
    begun: AtomicU64,
    ended: AtomicU64,
    /// Since it is silent, in milliseconds of the server's time.
    silent_ms: AtomicU64,
    watched: Mutex<Watched>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the last look saw.
#[derive(Debug, Default)]
struct Watched {
    begun: u64,
    /// Bytes came that are no whole head yet.
    head_since: Option<Instant>,
}

impl Connections {
    /// Looks after them in the background, until the last handle is gone.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn watched(allowed: Allowed) -> Self {
        let inner = Arc::new(Inner {
            began: Instant::now(),
            all: Mutex::default(),
            next: AtomicU64::new(0),
        });
        tokio::spawn(watch(Arc::downgrade(&inner), allowed));
        Self(inner)
    }

    /// For [`actix_web::HttpServer::on_connect`].
    pub(crate) fn take_in(&self, io: &dyn Any, extensions: &mut Extensions) {
        match Socket::second(io) {
            Ok(socket) => drop(extensions.insert(self.0.place(socket))),
            Err(error) => tracing::debug!(%error, "nobody looks after a connection"),
        }
    }
}

impl Socket {
    /// A second handle of a stream. The kernel asks from now on whether a peer over TCP is there.
    fn second(io: &dyn Any) -> io::Result<Self> {
        if let Some(stream) = io.downcast_ref::<TcpStream>() {
            let (first, next, count) = KEEP_ALIVE_SECS;
            setsockopt(stream, sockopt::KeepAlive, &true)?;
            setsockopt(stream, sockopt::TcpKeepIdle, &first)?;
            setsockopt(stream, sockopt::TcpKeepInterval, &next)?;
            setsockopt(stream, sockopt::TcpKeepCount, &count)?;
            let second = stream.as_fd().try_clone_to_owned()?;
            return TcpStream::from_std(second.into()).map(Self::Tcp);
        }
        let stream = io.downcast_ref::<UnixStream>();
        let stream = stream.ok_or(io::ErrorKind::Unsupported)?;
        let second = stream.as_fd().try_clone_to_owned()?;
        UnixStream::from_std(second.into()).map(Self::Unix)
    }

    /// Whether bytes came since it was asked last.
    fn bytes_came(&self) -> bool {
        let mut came = false;
        // What is tried finds nothing to read, and so clears what the runtime noted.
        let look = || {
            came = true;
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        };
        let _ = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, look),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, look),
        };
        came
    }

    fn shut(&self) {
        let socket = match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        };
        // One that is gone is shut.
        let _ = shutdown(socket, Shutdown::Both);
    }
}

impl Inner {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn place(self: &Arc<Self>, socket: Socket) -> Place {
        let connection = Arc::new(Connection {
            socket,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            silent_ms: AtomicU64::new(self.now_ms()),
            watched: Mutex::default(),
        });
        let id = self.next.fetch_add(1, Relaxed);
        self.all().insert(id, Arc::clone(&connection));
        Place {
            id,
            connection,
            inner: Arc::downgrade(self),
        }
    }

    /// One look at all.
    fn look(&self, allowed: Allowed) {
        let mut silent = Vec::new();
        let open = {
            let all = self.all();
            for connection in all.values().filter(|it| it.is_silent()) {
                if connection.takes_too_long(allowed.head) {
                    connection.socket.shut();
                } else {
                    silent.push(Arc::clone(connection));
                }
            }
            all.len()
        };
        let too_many = open.saturating_sub(allowed.open);
        if too_many == 0 {
            return;
        }
        // Those first that never asked anything.
        silent.sort_by_key(|it| (it.begun.load(Relaxed) > 0, it.silent_ms.load(Relaxed)));
        silent.iter().take(too_many).for_each(|it| it.socket.shut());
        let cut = too_many.min(silent.len());
        tracing::warn!(
            open,
            cut,
            "so many HTTP connections are open that the silent ones are closed"
        );
    }
}

impl Connection {
    fn is_silent(&self) -> bool {
        self.ended.load(Relaxed) == self.begun.load(Relaxed)
    }

    /// Whether bytes came, that long ago, since the last request.
    fn takes_too_long(&self, head: Duration) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.begun.load(Relaxed);
        if watched.begun != begun {
            *watched = Watched {
                begun,
                head_since: None,
            };
        }
        if self.socket.bytes_came() {
            watched.head_since.get_or_insert_with(Instant::now);
        }
        watched.head_since.is_some_and(|it| it.elapsed() >= head)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.all().remove(&self.id);
        }
    }
}

async fn watch(inner: Weak<Inner>, allowed: Allowed) {
    loop {
        sleep(allowed.pause).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.look(allowed);
    }
}

/// A request that is under way, until it is dropped.
pub(crate) struct UnderWay {
    connection: Arc<Connection>,
    inner: Weak<Inner>,
}

impl UnderWay {
    /// `None` where nobody looks after the connection.
    pub(crate) fn begin(request: &HttpRequest) -> Option<Self> {
        let place: &Place = request.conn_data()?;
        place.connection.begun.fetch_add(1, Relaxed);
        Some(Self {
            connection: Arc::clone(&place.connection),
            inner: Weak::clone(&place.inner),
        })
    }

    /// Keeps it so until the last of a stream is sent. What is whole already needs nothing more.
    pub(crate) fn with(self, body: BoxBody) -> BoxBody {
        match body.size() {
            BodySize::Stream => BoxBody::new(Sending { body, _until: self }),
            BodySize::None | BodySize::Sized(_) => body,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            self.connection.silent_ms.store(inner.now_ms(), Relaxed);
        }
        // What came until now was of this request.
        self.connection.socket.bytes_came();
        self.connection.ended.fetch_add(1, Relaxed);
    }
}

struct Sending {
    body: BoxBody,
    _until: UnderWay,
}

impl MessageBody for Sending {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
