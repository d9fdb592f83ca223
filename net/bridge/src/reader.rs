//! The reading half of one connection: frames in, closures called, answers queued, silence noticed.

use std::{pin::pin, sync::atomic::Ordering::Relaxed};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tepui_protocol::message::AskError;
use tokio::{
    io::AsyncRead,
    time::{Instant, sleep},
};

use crate::{
    error::Reason,
    frame::{Decoder, Frame, FrameError, FrameType},
    intake::fill,
    outbox::Body,
    peer::Peer,
    router::{Answer, Router, Unroutable},
    stats::add,
};

/// KIND and correlation of a question, with what becomes of it.
type Answered = (u16, u64, Answer);

struct Reader<'a> {
    peer: &'a Peer,
    router: &'a Router,
    questions: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// The first unroutable message is a warning, the others are only counted.
    warned: bool,
}

/// Runs until the connection ends, and says why.
pub(crate) async fn run<R: AsyncRead + Unpin>(
    mut io: R,
    mut decoder: Decoder,
    peer: &Peer,
    router: &Router,
) -> Reason {
    let silent_after = peer.shared.settings.silent_after;
    let mut reader = Reader {
        peer,
        router,
        questions: FuturesUnordered::new(),
        warned: false,
    };
    let mut heard = Instant::now();
    let mut silence = pin!(sleep(silent_after));
    loop {
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(reason) = reader.take(frame) {
                        return reason;
                    }
                }
                Ok(None) => break,
                Err(error) => return Reason::Garbage(error),
            }
        }
        tokio::select! {
            biased;
            Some(answered) = reader.questions.next(), if !reader.questions.is_empty() => {
                reader.answer(answered);
            }
            // Before the silence: what lies in the socket while we ourselves were held up counts.
            read = fill(&mut io, &mut decoder) => match read {
                Ok(0) => return Reason::Lost("the peer closed it without a farewell".to_owned()),
                Ok(count) => {
                    heard = Instant::now();
                    peer.shared.stats.heard_ms.store(peer.elapsed_ms(), Relaxed);
                    add(&peer.shared.stats.bytes_in, count);
                }
                Err(error) => return Reason::Lost(error.to_string()),
            },
            () = silence.as_mut() => {
                let due = heard + silent_after;
                if Instant::now() >= due {
                    return Reason::Silent(silent_after);
                }
                silence.as_mut().reset(due);
            }
        }
    }
}

impl Reader<'_> {
    fn take(&mut self, frame: Frame) -> Result<(), Reason> {
        add(&self.peer.shared.stats.frames_in, 1);
        let pending = &self.peer.shared.pending;
        match frame.frame_type {
            FrameType::Tell => {
                if let Err(error) = self.router.tell(self.peer, frame.kind, &frame.body) {
                    self.note_unroutable(&error);
                }
            }
            FrameType::Ask => self.take_question(&frame),
            FrameType::Answer => pending.resolve(frame.correlation, Ok(frame.body)),
            FrameType::Failure => {
                let refused = Err(AskError::Refused(frame.text()));
                pending.resolve(frame.correlation, refused);
            }
            FrameType::Heartbeat => {}
            FrameType::Farewell => return Err(Reason::ClosedThere(frame.text())),
            FrameType::Hello | FrameType::Welcome | FrameType::Refusal => {
                return Err(Reason::Garbage(FrameError::Misplaced(frame.frame_type)));
            }
        }
        Ok(())
    }

    fn take_question(&mut self, frame: &Frame) {
        let (kind, correlation) = (frame.kind, frame.correlation);
        let limit = self.peer.shared.settings.asks_in;
        if self.questions.len() >= limit {
            let text = format!("{limit} questions are being answered already: ask again later");
            self.answer((kind, correlation, Err(text)));
            return;
        }
        match self.router.ask(self.peer, kind, &frame.body) {
            Ok(answer) => self
                .questions
                .push(Box::pin(async move { (kind, correlation, answer.await) })),
            Err(error) => {
                self.note_unroutable(&error);
                self.answer((kind, correlation, Err(error.to_string())));
            }
        }
    }

    /// An answer that finds the queue full or closed is lost; the asker's deadline tells it.
    fn answer(&self, (kind, correlation, answer): Answered) {
        let _ = match answer {
            Ok(reply) => self.peer.push(FrameType::Answer, kind, correlation, reply),
            Err(text) => {
                let body = Body::Text(text);
                self.peer
                    .push_body(FrameType::Failure, kind, correlation, body)
            }
        };
    }

    fn note_unroutable(&mut self, error: &Unroutable) {
        let stats = &self.peer.shared.stats;
        match error {
            Unroutable::Unknown(_) => add(&stats.unknown_kind, 1),
            Unroutable::Undecodable { .. } => add(&stats.undecodable, 1),
        }
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(peer = ?self.peer, "ignored, more of the kind are only counted: {error}");
        }
    }
}
