//! Owns moving bytes between a command's standard streams, the files of its sandbox and the clients that attach to it.
//! Never blocks on a client, and never keeps more than one frame for each.
//!
//! Output is read only when every client has taken the last of it. So a client that reads loses nothing, one that is
//! slow makes the command wait as a full pipe would, and one that holds it up for longer than its patience is cut.

use crate::sys;
use crate::terminal::{self, ShimEnds, Source};
use crate::waking::{Also, time_until};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};
use tepui_containers::switchboard::{
    Decoder, Greeting, Kind, MAX_FRAME_BYTES, Outbox, WindowSize, frame,
};

/// Clients at one time; each may have one frame of 16 KiB waiting.
const MAX_CLIENTS: usize = 16;
/// How long one client may hold up a container that is there for others too.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the client of a session may hold up that session: a person may look at a page of it for a while.
const SESSION_PATIENCE: Duration = Duration::from_mins(15);
/// A session whose client does not come ends.
const SESSION_CLIENT_DEADLINE: Duration = Duration::from_secs(30);
/// What a command said last is waited for so long after its end.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause between two passes of killing a session without its client.
const KILL_PAUSE: Duration = Duration::from_millis(50);

/// The streams of one container and who is attached to them.
pub(crate) struct Board {
    is_terminal: bool,
    /// `None`: closed by a client, or nobody reads it.
    stdin: Option<OwnedFd>,
    sources: Vec<Source>,
    listener: UnixListener,
    children: OwnedFd,
    /// Connected, not greeted yet.
    newcomers: Vec<UnixStream>,
    outputs: Vec<Reader>,
    input: Option<Writer>,
    /// Read from a client, not taken by the command yet; at most one frame.
    to_stdin: Vec<u8>,
    session: Option<Session>,
    chunk: Vec<u8>,
}

/// One client that reads.
struct Reader {
    stream: UnixStream,
    outbox: Outbox,
    owns_session: bool,
}

/// The client that writes.
struct Writer {
    stream: UnixStream,
    decoder: Decoder,
    /// It says no more.
    is_over: bool,
}

#[derive(Clone, Copy)]
enum Session {
    Awaited(Instant),
    Attached,
    Left,
}

/// What a descriptor of one poll stands for.
#[derive(Clone, Copy)]
enum Place {
    Children,
    Listener,
    Stdin,
    Source(usize),
    Newcomer(usize),
    Output(usize),
    Input,
    /// The caller's.
    Other,
}

impl Board {
    /// `children` tells of SIGCHLD.
    pub(crate) fn new(ends: ShimEnds, is_session: bool, children: OwnedFd) -> Self {
        Self {
            is_terminal: ends.is_terminal,
            stdin: Some(ends.stdin),
            sources: ends.sources,
            listener: ends.listener,
            children,
            newcomers: Vec::new(),
            outputs: Vec::new(),
            input: None,
            to_stdin: Vec::new(),
            session: is_session.then(|| Session::Awaited(Instant::now() + SESSION_CLIENT_DEADLINE)),
            chunk: vec![0; MAX_FRAME_BYTES],
        }
    }

    /// Moves what can be moved, waiting for a change or a deadline of its own. Says whether the container is to be
    /// killed because the client it was for is gone.
    pub(crate) fn turn(&mut self, also: Also<'_>) -> bool {
        let now = Instant::now();
        let is_forsaken = self.is_forsaken(now);
        let wake = is_forsaken.then(|| now + KILL_PAUSE);
        let wake = wake.or_else(|| self.next_deadline());
        self.pass(also.by(wake));
        is_forsaken
    }

    /// After the command's end: until all it said has been taken, or for [`FAREWELL`].
    pub(crate) fn finish(mut self) {
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && !self.is_finished() {
            self.pass(Also::at(deadline));
        }
        if let Some(writer) = self.input.take() {
            writer.answer(&frame(Kind::Done, &[]));
        }
    }

    fn is_finished(&self) -> bool {
        let awaits_client = matches!(self.session, Some(Session::Awaited(_)));
        let all_taken = self.outputs.iter().all(|reader| reader.outbox.is_empty());
        self.sources.is_empty() && all_taken && !awaits_client && self.newcomers.is_empty()
    }

    fn is_forsaken(&self, now: Instant) -> bool {
        match self.session {
            Some(Session::Awaited(deadline)) => deadline <= now,
            Some(Session::Left) => true,
            Some(Session::Attached) | None => false,
        }
    }

    fn patience(&self) -> Duration {
        match self.session {
            Some(_) => SESSION_PATIENCE,
            None => PATIENCE,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let awaited = match self.session {
            Some(Session::Awaited(deadline)) => Some(deadline),
            _ => None,
        };
        let patience = self.patience();
        let cuts = self.outputs.iter();
        let cuts = cuts.filter_map(|reader| reader.outbox.cut_at(patience));
        cuts.chain(awaited).min()
    }

    /// Whether all clients have taken the last output, and the one that must be there is.
    fn may_read(&self) -> bool {
        let awaits_client = matches!(self.session, Some(Session::Awaited(_)));
        !awaits_client && self.outputs.iter().all(|reader| reader.outbox.is_empty())
    }

    /// One poll, and all it found.
    fn pass(&mut self, also: Also<'_>) {
        let (places, ready) = {
            let mut watched = self.watched();
            let more = also.descriptors();
            watched.extend(more.map(|it| (Place::Other, it, PollFlags::IN)));
            let mut polled: Vec<PollFd<'_>> = watched
                .iter()
                .map(|(_, descriptor, flags)| PollFd::from_borrowed_fd(*descriptor, *flags))
                .collect();
            let left = also.at.map(time_until);
            if poll(&mut polled, left.as_ref()).is_err() {
                return;
            }
            let places: Vec<Place> = watched.iter().map(|(place, ..)| *place).collect();
            let ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
            (places, ready)
        };
        // Backwards, so that what is removed does not move what comes.
        for (place, flags) in places.into_iter().zip(ready).rev() {
            if !flags.is_empty() {
                self.on_ready(place, flags);
            }
        }
        self.sources.retain(|source| !source.has_ended);
        self.cut_the_slow(Instant::now());
    }

    fn watched(&self) -> Vec<(Place, BorrowedFd<'_>, PollFlags)> {
        let mut watched = vec![
            (Place::Children, self.children.as_fd(), PollFlags::IN),
            (Place::Listener, self.listener.as_fd(), PollFlags::IN),
        ];
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.to_stdin.is_empty()) {
            watched.push((Place::Stdin, stdin.as_fd(), PollFlags::OUT));
        }
        // One that is not to be read is left out: its end would be told again and again.
        if self.may_read() {
            // Taken up backwards, so that standard output comes first.
            let sources = self.sources.iter().enumerate().rev();
            watched.extend(
                sources.map(|(at, it)| (Place::Source(at), it.stream.as_fd(), PollFlags::IN)),
            );
        }
        let newcomers = self.newcomers.iter().enumerate();
        watched.extend(newcomers.map(|(at, it)| (Place::Newcomer(at), it.as_fd(), PollFlags::IN)));
        for (at, reader) in self.outputs.iter().enumerate() {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !reader.outbox.is_empty());
            watched.push((Place::Output(at), reader.stream.as_fd(), flags));
        }
        if let Some(writer) = &self.input {
            // Without a flag only that it is gone is told.
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, self.to_stdin.is_empty() && !writer.is_over);
            watched.push((Place::Input, writer.stream.as_fd(), flags));
        }
        watched
    }

    fn on_ready(&mut self, place: Place, flags: PollFlags) {
        match place {
            Place::Children => sys::take_child_signal(&self.children),
            Place::Listener => self.accept(),
            Place::Stdin => {
                self.write_stdin();
                self.take_frames();
            }
            Place::Source(at) => self.read_source(at),
            Place::Newcomer(at) => self.greeted(at),
            Place::Output(at) => self.serve_output(at, flags),
            Place::Input => self.read_input(flags),
            Place::Other => {}
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        // One too many finds its connection closed.
        let clients = self.newcomers.len() + self.outputs.len();
        if clients < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
            self.newcomers.push(stream);
        }
    }

    fn greeted(&mut self, at: usize) {
        let mut stream = self.newcomers.remove(at);
        let mut byte = [0];
        let greeting = match stream.read(&mut byte) {
            Ok(1) => Greeting::from_byte(byte[0]),
            _ => None,
        };
        let Some(greeting) = greeting else { return };
        if greeting == Greeting::Input {
            let writer = Writer {
                stream,
                decoder: Decoder::default(),
                is_over: false,
            };
            if self.input.is_some() {
                writer.answer(&frame(Kind::Busy, &[]));
            } else {
                self.input = Some(writer);
            }
            return;
        }
        let owns_session =
            greeting == Greeting::Session && matches!(self.session, Some(Session::Awaited(_)));
        if owns_session {
            self.session = Some(Session::Attached);
        }
        self.outputs.push(Reader {
            stream,
            outbox: Outbox::default(),
            owns_session,
        });
    }

    fn read_source(&mut self, at: usize) {
        // Clients may have come to hold something since the poll.
        if !self.may_read() {
            return;
        }
        let source = &mut self.sources[at];
        let length = match rustix::io::read(&source.stream, &mut self.chunk[..]) {
            Err(Errno::INTR | Errno::AGAIN) => return,
            // A terminal that nobody has open any more answers EIO.
            Ok(0) | Err(_) => {
                source.has_ended = true;
                return;
            }
            Ok(length) => length,
        };
        let said = &self.chunk[..length];
        if let Some(copy) = &mut source.copy {
            copy.append(said);
        }
        if self.outputs.is_empty() {
            return;
        }
        let framed = frame(source.kind, said);
        let now = Instant::now();
        let mut gone = Vec::new();
        for (at, reader) in self.outputs.iter_mut().enumerate() {
            match write_some(&mut reader.stream, &framed) {
                Ok(taken) => reader.outbox.keep(&framed[taken..], now),
                Err(_) => gone.push(at),
            }
        }
        gone.into_iter().rev().for_each(|at| self.lose_output(at));
    }

    fn serve_output(&mut self, at: usize, flags: PollFlags) {
        let reader = &mut self.outputs[at];
        if flags.contains(PollFlags::OUT) {
            match write_some(&mut reader.stream, reader.outbox.pending()) {
                Ok(taken) => reader.outbox.took(taken),
                Err(_) => return self.lose_output(at),
            }
        }
        // It has nothing to say: either it is gone, or it is no client of ours.
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.lose_output(at);
        }
    }

    fn lose_output(&mut self, at: usize) {
        let reader = self.outputs.remove(at);
        if reader.owns_session {
            self.session = Some(Session::Left);
        }
    }

    fn cut_the_slow(&mut self, now: Instant) {
        let patience = self.patience();
        for at in (0..self.outputs.len()).rev() {
            let cut_at = self.outputs[at].outbox.cut_at(patience);
            if cut_at.is_some_and(|cut_at| cut_at <= now) {
                self.lose_output(at);
            }
        }
    }

    fn read_input(&mut self, flags: PollFlags) {
        let Some(writer) = &mut self.input else {
            return;
        };
        if !self.to_stdin.is_empty() || writer.is_over {
            if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
                self.input = None;
            }
            return;
        }
        match writer.stream.read(&mut self.chunk) {
            Ok(0) => writer.is_over = true,
            Ok(length) => writer.decoder.feed(&self.chunk[..length]),
            Err(error) if is_later(&error) => return,
            Err(_) => {
                self.input = None;
                return;
            }
        }
        self.take_frames();
    }

    /// Does what the writer says, up to what the command has to take first.
    fn take_frames(&mut self) {
        while self.to_stdin.is_empty() {
            let Some(writer) = &mut self.input else {
                return;
            };
            match writer.decoder.take() {
                Ok(Some((Kind::Stdin, bytes))) if bytes.is_empty() => {
                    // The end of a terminal's input is a character, which clients send.
                    if !self.is_terminal {
                        self.stdin = None;
                    }
                }
                Ok(Some((Kind::Stdin, bytes))) => {
                    self.to_stdin = bytes;
                    self.write_stdin();
                }
                Ok(Some((Kind::Window, bytes))) => self.resize(&bytes),
                Ok(None) if writer.is_over => return self.end_input(&frame(Kind::Done, &[])),
                Ok(None) => return,
                Ok(Some(_)) | Err(_) => self.input = None,
            }
        }
    }

    fn resize(&mut self, bytes: &[u8]) {
        let terminal = self.stdin.as_ref().filter(|_| self.is_terminal);
        let resized = match (WindowSize::from_bytes(bytes), terminal) {
            (Some(size), Some(terminal)) => terminal::resize(terminal, size),
            (None, _) => Err(Errno::INVAL),
            (_, None) => Err(Errno::NOTTY),
        };
        if let Err(errno) = resized {
            let errno = errno.raw_os_error().to_le_bytes();
            self.end_input(&frame(Kind::Unsized, &errno));
        }
    }

    fn write_stdin(&mut self) {
        let written = match &self.stdin {
            Some(stdin) => rustix::io::write(stdin, &self.to_stdin),
            None => Err(Errno::PIPE),
        };
        match written {
            Ok(taken) => {
                self.to_stdin.drain(..taken);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => {
                self.stdin = None;
                self.to_stdin.clear();
                let errno = errno.raw_os_error().to_le_bytes();
                self.end_input(&frame(Kind::Broken, &errno));
            }
        }
    }

    fn end_input(&mut self, answer: &[u8]) {
        if let Some(writer) = self.input.take() {
            writer.answer(answer);
        }
    }
}

impl Writer {
    /// The last it hears. An empty socket takes so little at once.
    fn answer(mut self, framed: &[u8]) {
        let _ = self.stream.write(framed);
    }
}

/// How much of it was taken now.
fn write_some(stream: &mut UnixStream, bytes: &[u8]) -> std::io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if is_later(&error) => Ok(0),
        written => written,
    }
}

fn is_later(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}
