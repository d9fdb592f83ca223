//! Owns moving bytes between a command that an engine runs and the clients that attach to it: what the shim does for
//! containers of the agent's own, with the same socket, words and bounds ([`crate::switchboard`]).
//!
//! Output is read only when every client has taken the last of it, so nothing is kept but one piece of it.

use super::parts::Parts;
use super::session::ExecTerminal;
use crate::switchboard::{Decoder, Greeting, Kind, MAX_FRAME_BYTES, WindowSize, frame};
use rustix::io::Errno;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Clients at one time.
const MAX_CLIENTS: usize = 16;
/// How long one client may hold up the command: a person may look at a page of it for a while.
const PATIENCE: Duration = Duration::from_mins(15);
/// A session whose client does not come ends.
const CLIENT_DEADLINE: Duration = Duration::from_secs(30);
/// Who has connected says soon what for.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// For the last words to clients that write.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a session is served no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The command has.
    Over,
    /// The client it was begun for is gone, or never came.
    Left,
}

/// The streams of a command.
pub(super) struct Pipes<R, W> {
    pub(super) output: R,
    pub(super) input: W,
    pub(super) parts: Parts,
    /// `None`: it has none.
    pub(super) terminal: Option<ExecTerminal>,
}

/// Clients that read.
#[derive(Default)]
struct Readers {
    all: Vec<(u64, OwnedWriteHalf)>,
    /// Numbers are not given twice.
    next: u64,
    /// The one that the session is for, once it has come.
    owner: Option<u64>,
}

/// See [`super::Session::serve`].
pub(super) async fn serve<R, W>(
    listener: UnixListener,
    pipes: Pipes<R, W>,
    over: impl Future<Output = ()>,
) -> SessionEnd
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let Pipes {
        mut output,
        input,
        mut parts,
        terminal,
    } = pipes;
    let input = Arc::new(Mutex::new(Some(input)));
    let (came, mut newcomers) = mpsc::channel(MAX_CLIENTS);
    let (leave, mut gone) = mpsc::channel(MAX_CLIENTS);
    let (end, ended) = watch::channel(false);
    let (mut clients, mut writers) = (JoinSet::new(), JoinSet::new());
    let mut readers = Readers::default();
    let mut chunk = vec![0; MAX_FRAME_BYTES];
    let (mut over, mut deadline) = (pin!(over), pin!(sleep(CLIENT_DEADLINE)));
    let why = loop {
        while clients.try_join_next().is_some() || writers.try_join_next().is_some() {}
        let is_awaited = readers.owner.is_none();
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                // One too many finds its connection closed.
                if clients.len() + writers.len() < MAX_CLIENTS {
                    clients.spawn(greeted(stream, came.clone()));
                }
            }
            Some((greeting, stream)) = newcomers.recv() => match greeting {
                Greeting::Input => {
                    let (input, terminal) = (Arc::clone(&input), terminal.clone());
                    writers.spawn(write_in(stream, input, terminal, ended.clone()));
                }
                Greeting::Output | Greeting::Session => {
                    let (number, reading) = readers.add(stream, greeting == Greeting::Session);
                    clients.spawn(watched(reading, number, leave.clone()));
                }
            },
            Some(number) = gone.recv() => {
                if readers.lose(number) {
                    break SessionEnd::Left;
                }
            }
            read = output.read(&mut chunk), if !is_awaited => match read {
                Ok(0) | Err(_) => break SessionEnd::Over,
                Ok(length) => {
                    let Some(framed) = parts.framed(&chunk[..length]) else {
                        break SessionEnd::Over;
                    };
                    if readers.deliver(&framed, &mut gone).await {
                        break SessionEnd::Left;
                    }
                }
            },
            () = &mut over, if !is_awaited => break SessionEnd::Over,
            () = &mut deadline, if is_awaited => break SessionEnd::Left,
        }
    };
    // Whoever reads sees the end of it; whoever writes is told.
    drop(readers);
    let _ = end.send(true);
    let farewell = async { while writers.join_next().await.is_some() {} };
    let _ = timeout(FAREWELL, farewell).await;
    why
}

impl Readers {
    fn add(&mut self, stream: UnixStream, is_owner: bool) -> (u64, OwnedReadHalf) {
        let (reading, writing) = stream.into_split();
        let number = self.next;
        self.next += 1;
        self.all.push((number, writing));
        if is_owner {
            self.owner.get_or_insert(number);
        }
        (number, reading)
    }

    /// Whether it was the one that all is for.
    fn lose(&mut self, number: u64) -> bool {
        self.all.retain(|(it, _)| *it != number);
        self.owner == Some(number)
    }

    /// Gives all clients what was said. Returns whether the one that all is for went meanwhile.
    async fn deliver(&mut self, framed: &[u8], gone: &mut mpsc::Receiver<u64>) -> bool {
        let mut lost = Vec::new();
        let owner = self.owner;
        {
            let mut deliver = pin!(give(&mut self.all, framed));
            loop {
                tokio::select! {
                    failed = &mut deliver => {
                        lost.extend(failed);
                        break;
                    }
                    Some(number) = gone.recv() => {
                        if owner == Some(number) {
                            return true;
                        }
                        lost.push(number);
                    }
                }
            }
        }
        self.all.retain(|(number, _)| !lost.contains(number));
        owner.is_some_and(|owner| lost.contains(&owner))
    }
}

/// Returns those that did not take it.
async fn give(readers: &mut [(u64, OwnedWriteHalf)], framed: &[u8]) -> Vec<u64> {
    let mut failed = Vec::new();
    for (number, stream) in readers {
        let given = timeout(PATIENCE, stream.write_all(framed)).await;
        if !matches!(given, Ok(Ok(()))) {
            failed.push(*number);
        }
    }
    failed
}

/// Waits for a client's first byte.
async fn greeted(mut stream: UnixStream, came: mpsc::Sender<(Greeting, UnixStream)>) {
    let mut byte = [0];
    let read = timeout(GREETING_TIMEOUT, stream.read_exact(&mut byte)).await;
    if let (Ok(Ok(_)), Some(greeting)) = (read, Greeting::from_byte(byte[0])) {
        let _ = came.send((greeting, stream)).await;
    }
}

/// Tells when a client that reads is gone. It has nothing to say: one that speaks is no client of ours.
async fn watched(mut reading: OwnedReadHalf, number: u64, leave: mpsc::Sender<u64>) {
    let mut byte = [0];
    let _ = reading.read(&mut byte).await;
    let _ = leave.send(number).await;
}

/// Serves a client that writes, and says at last what became of it.
async fn write_in<W: AsyncWrite + Unpin>(
    stream: UnixStream,
    input: Arc<Mutex<Option<W>>>,
    terminal: Option<ExecTerminal>,
    mut ended: watch::Receiver<bool>,
) {
    let (mut reading, mut writing) = stream.into_split();
    let answer = match input.try_lock() {
        Err(_) => Some(frame(Kind::Busy, &[])),
        Ok(mut input) => tokio::select! {
            answer = take(&mut reading, &mut input, terminal.as_ref()) => answer,
            _ = ended.wait_for(|ended| *ended) => Some(frame(Kind::Done, &[])),
        },
    };
    if let Some(answer) = answer {
        let _ = writing.write_all(&answer).await;
    }
}

fn failed(kind: Kind, errno: Errno) -> Option<Vec<u8>> {
    Some(frame(kind, &errno.raw_os_error().to_le_bytes()))
}

/// Does what the client says. Returns the last it is told; `None`: it is no client of ours.
async fn take<W: AsyncWrite + Unpin>(
    reading: &mut OwnedReadHalf,
    input: &mut Option<W>,
    terminal: Option<&ExecTerminal>,
) -> Option<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; MAX_FRAME_BYTES];
    loop {
        while let Some((kind, bytes)) = decoder.take().ok()? {
            match kind {
                // The end of a terminal's input is a character, which clients send.
                Kind::Stdin if bytes.is_empty() => {
                    if terminal.is_none()
                        && let Some(mut input) = input.take()
                    {
                        let _ = input.shutdown().await;
                    }
                }
                Kind::Stdin => {
                    let Some(open) = input.as_mut() else {
                        return failed(Kind::Broken, Errno::PIPE);
                    };
                    if open.write_all(&bytes).await.is_err() {
                        *input = None;
                        return failed(Kind::Broken, Errno::PIPE);
                    }
                }
                Kind::Window => {
                    let Some(size) = WindowSize::from_bytes(&bytes) else {
                        return failed(Kind::Unsized, Errno::INVAL);
                    };
                    let Some(terminal) = terminal else {
                        return failed(Kind::Unsized, Errno::NOTTY);
                    };
                    if terminal.resize(size).await.is_err() {
                        return failed(Kind::Unsized, Errno::IO);
                    }
                }
                _ => return None,
            }
        }
        match reading.read(&mut chunk).await {
            Ok(0) => return Some(frame(Kind::Done, &[])),
            Ok(length) => decoder.feed(&chunk[..length]),
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
