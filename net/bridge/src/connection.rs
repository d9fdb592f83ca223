//! From a byte stream to a [`Peer`]: the handshake over I/O, then a reader and a writer until the end.
//!
//! Generic over the stream, so that TCP, TLS, memory and a simulated network take the same way.

use std::{future::Future, net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf},
    net::TcpStream,
    runtime::Handle,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    direct::Direct,
    error::{Disconnect, Error, Reason},
    frame::{self, Decoder, Frame, FrameError, FrameType},
    handshake::{self, Hello, Identity, MAX_HANDSHAKE_BYTES, Welcome},
    intake::fill,
    peer::Peer,
    reader,
    router::Router,
    settings::Settings,
    writer,
};

/// Room of an in-memory stream, per direction.
const MEMORY_BYTES: usize = 64 << 10;

/// A byte stream that can carry a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// What a program does with its connections. All methods are called on the connections' tasks and must not block.
/// `on_connect` comes before the first message of a peer is routed, `on_disconnect` after the last, each once.
pub trait Service: Send + Sync + 'static {
    /// How this side presents itself; asked for at each handshake, since a cluster id may be learned late.
    fn hello(&self) -> Hello;

    /// What this peer may say. Asked once a connection: the place to give each role its own table.
    fn router(&self, peer: &Peer) -> Arc<Router>;

    /// Whether the accepting side takes this peer: the place to check role and credentials.
    ///
    /// # Errors
    /// The text of the refusal, which the peer is told.
    fn admit(&self, _theirs: &Hello, _address: Option<SocketAddr>) -> Result<(), String> {
        Ok(())
    }

    /// Whether the connecting side takes whom it reached: the place to check that it is who was looked for.
    ///
    /// # Errors
    /// The text of the refusal; the other side sees the connection end.
    fn recognise(&self, _theirs: &Identity) -> Result<(), String> {
        Ok(())
    }

    /// On which runtime the accepting side serves this peer, if not on that of its listener. For those whose messages
    /// all go to one thread.
    fn place(&self, _theirs: &Identity) -> Option<Handle> {
        None
    }

    fn on_connect(&self, _peer: &Peer) {}

    fn on_disconnect(&self, _peer: &Peer, _end: &Disconnect) {}

    /// No connection came about, on either side.
    fn on_failed(&self, address: Option<SocketAddr>, error: &Error) {
        tracing::warn!(?address, "no bridge: {error}");
    }
}

/// One side of connections: its settings and its service. Clones are cheap.
#[derive(Clone)]
pub struct Bridge {
    pub(crate) settings: Arc<Settings>,
    pub(crate) service: Arc<dyn Service>,
}

impl Bridge {
    pub fn new(settings: Settings, service: Arc<dyn Service>) -> Self {
        Bridge {
            settings: Arc::new(settings),
            service,
        }
    }

    /// Connects over TCP, once; see [`Connector`](crate::Connector) for keeping at it.
    ///
    /// # Errors
    /// [`Error`]: unreachable, refused (with the other side's words), no bridge at that address.
    pub async fn connect(&self, address: SocketAddr) -> Result<Peer, Error> {
        let stream = self.dial(address, TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        self.connect_stream(stream, Some(address)).await
    }

    /// Awaits `stream` for at most `connect_deadline`.
    pub(crate) async fn dial<S>(
        &self,
        address: SocketAddr,
        stream: impl Future<Output = std::io::Result<S>>,
    ) -> Result<S, Error> {
        let deadline = self.settings.connect_deadline;
        match timeout(deadline, stream).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(source)) => Err(Error::Unreachable { address, source }),
            Err(_) => Err(Error::NoAnswer { address, deadline }),
        }
    }

    /// Greets over an open stream (TLS, memory, simulated). The connection runs on a task of its own.
    ///
    /// # Errors
    /// [`Error`] of the handshake.
    pub async fn connect_stream<S>(
        &self,
        stream: S,
        address: Option<SocketAddr>,
    ) -> Result<Peer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = self.within_deadline(self.greet(stream, address)).await?;
        Ok(connection.spawn())
    }

    /// Awaits a greeting on an open stream. The connection runs on a task of its own.
    ///
    /// # Errors
    /// [`Error`] of the handshake.
    pub async fn accept_stream<S>(
        &self,
        stream: S,
        address: Option<SocketAddr>,
    ) -> Result<Peer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let greeted = self.accept(stream, address, |_| Ok(())).await?;
        Ok(self.open(greeted, address).spawn())
    }

    /// `admit` is asked last whether there is a place for this side, and keeps it.
    pub(crate) async fn accept<S: Stream>(
        &self,
        stream: S,
        address: Option<SocketAddr>,
        admit: impl FnOnce(&Identity) -> Result<(), Error>,
    ) -> Result<Greeted<S>, Error> {
        self.within_deadline(self.be_greeted(stream, address, admit))
            .await
    }

    async fn within_deadline<T>(
        &self,
        handshake: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = self.settings.handshake_deadline;
        timeout(deadline, handshake)
            .await
            .unwrap_or(Err(Error::Deadline(deadline)))
    }

    async fn greet<S: Stream>(
        &self,
        mut stream: S,
        address: Option<SocketAddr>,
    ) -> Result<Connection<S>, Error> {
        let hello = self.service.hello();
        send(&mut stream, FrameType::Hello, &hello.encode()?).await?;
        let mut decoder = Decoder::new(MAX_HANDSHAKE_BYTES);
        let frame = receive(&mut stream, &mut decoder).await?;
        match frame.frame_type {
            FrameType::Welcome => {}
            FrameType::Refusal => return Err(Error::RefusedThere(frame.text())),
            other => return Err(FrameError::Misplaced(other).into()),
        }
        let welcome = Welcome::decode(&frame.body)?;
        welcome.check(&hello)?;
        self.service
            .recognise(&welcome.identity)
            .map_err(Error::RefusedHere)?;
        let Welcome { version, identity } = welcome;
        let greeted = Greeted {
            stream,
            decoder,
            remote: identity,
            version,
        };
        Ok(self.open(greeted, address))
    }

    async fn be_greeted<S: Stream>(
        &self,
        mut stream: S,
        address: Option<SocketAddr>,
        admit: impl FnOnce(&Identity) -> Result<(), Error>,
    ) -> Result<Greeted<S>, Error> {
        let mut decoder = Decoder::new(MAX_HANDSHAKE_BYTES);
        let frame = receive(&mut stream, &mut decoder).await?;
        if frame.frame_type != FrameType::Hello {
            return Err(FrameError::Misplaced(frame.frame_type).into());
        }
        let ours = self.service.hello();
        let judged = Hello::decode(&frame.body)
            .map_err(|error| Error::RefusedHere(error.to_string()))
            .and_then(|theirs| {
                let welcome = handshake::judge(&ours, &theirs).map_err(Error::RefusedHere)?;
                let admitted = self.service.admit(&theirs, address);
                admitted.map_err(Error::RefusedHere)?;
                admit(&theirs.identity)?;
                Ok((welcome, theirs))
            });
        match judged {
            Ok((welcome, theirs)) => {
                send(&mut stream, FrameType::Welcome, &welcome.encode()?).await?;
                Ok(Greeted {
                    stream,
                    decoder,
                    remote: theirs.identity,
                    version: welcome.version,
                })
            }
            Err(error) => {
                let text = match &error {
                    Error::RefusedHere(text) => text.clone(),
                    other => other.to_string(),
                };
                send(&mut stream, FrameType::Refusal, text.as_bytes()).await?;
                // The refusal counts, not how the stream ends.
                let _ = stream.shutdown().await;
                Err(error)
            }
        }
    }

    /// Must be called where the connection is to run.
    pub(crate) fn open<S: Stream>(
        &self,
        greeted: Greeted<S>,
        address: Option<SocketAddr>,
    ) -> Connection<S> {
        let Greeted {
            stream,
            mut decoder,
            remote,
            version,
        } = greeted;
        decoder.set_limit(self.settings.frame_bytes);
        let peer = Peer::new(remote, version, address, self.settings.clone());
        let router = self.service.router(&peer);
        if self.settings.write_through {
            peer.shared.outbox.open_direct(Direct::of(&stream));
        }
        let (read, write) = tokio::io::split(stream);
        let running = Running {
            service: self.service.clone(),
            writer: tokio::spawn(writer::run(write, peer.clone())),
            reason: Reason::Aborted,
            peer,
        };
        self.service.on_connect(&running.peer);
        Connection {
            read,
            decoder,
            router,
            running,
        }
    }
}

/// Both sides know each other.
pub(crate) struct Greeted<S> {
    stream: S,
    decoder: Decoder,
    pub(crate) remote: Identity,
    version: u16,
}

impl Greeted<TcpStream> {
    /// Moves the stream to another runtime.
    pub(crate) fn move_to(self, place: &Handle) -> Result<Self, Error> {
        let stream = self.stream.into_std()?;
        let _entered = place.enter();
        let stream = TcpStream::from_std(stream)?;
        Ok(Greeted { stream, ..self })
    }
}

/// A connection past its handshake.
pub(crate) struct Connection<S> {
    read: ReadHalf<S>,
    decoder: Decoder,
    router: Arc<Router>,
    running: Running,
}

impl<S: Stream> Connection<S> {
    pub(crate) fn peer(&self) -> &Peer {
        &self.running.peer
    }

    /// Runs to the end.
    pub(crate) async fn run(self) {
        let Connection {
            read,
            decoder,
            router,
            mut running,
        } = self;
        running.reason = tokio::select! {
            biased;
            ended = &mut running.writer => ended.unwrap_or(Reason::Aborted),
            reason = reader::run(read, decoder, &running.peer, &router) => reason,
        };
    }

    fn spawn(self) -> Peer {
        let peer = self.running.peer.clone();
        tokio::spawn(self.run());
        peer
    }
}

/// Makes the end known exactly once, however it comes: a reason, a panic of a closure, a runtime that stops.
struct Running {
    peer: Peer,
    service: Arc<dyn Service>,
    writer: JoinHandle<Reason>,
    reason: Reason,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.writer.abort();
        let end = Disconnect {
            peer: self.peer.id(),
            reason: self.reason.clone(),
        };
        self.peer.shut();
        self.service.on_disconnect(&self.peer, &end);
        self.peer.finish(end);
    }
}

async fn send<S: Stream>(stream: &mut S, frame_type: FrameType, body: &[u8]) -> Result<(), Error> {
    let mut buffer = BytesMut::new();
    frame::put(&mut buffer, frame_type, 0, 0, body);
    stream.write_all_buf(&mut buffer).await?;
    Ok(stream.flush().await?)
}

async fn receive<S: Stream>(stream: &mut S, decoder: &mut Decoder) -> Result<Frame, Error> {
    loop {
        if let Some(frame) = decoder.next_frame()? {
            return Ok(frame);
        }
        if fill(stream, decoder).await? == 0 {
            return Err(Error::Eof);
        }
    }
}

/// Two peers over memory, with all that a network connection has: `connecting` greets `accepting`.
/// The first is the connecting side's handle, the second the accepting side's.
///
/// # Errors
/// [`Error`] of the handshake, the connecting side's view first.
pub async fn memory_pair(connecting: &Bridge, accepting: &Bridge) -> Result<(Peer, Peer), Error> {
    let (near, far) = tokio::io::duplex(MEMORY_BYTES);
    let (greeted, taken) = tokio::join!(
        connecting.connect_stream(near, None),
        accepting.accept_stream(far, None),
    );
    Ok((greeted?, taken?))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
