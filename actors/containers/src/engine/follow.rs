//! Owns bringing a container's output from its engine into its sandbox, for as long as it runs and to the last word.

use super::api::Engine;
use super::error::EngineError;
use super::frames::{Frame, Frames, since};
use super::position::Position;
use super::sink::Sink;
use http::Method;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

/// Between two tries while the engine is not there.
const PAUSE: Duration = Duration::from_secs(1);
/// Reading what is left after the end: tries, and for how long each.
const LAST_TRIES: u32 = 5;
const LAST_TIMEOUT: Duration = Duration::from_secs(30);

/// A container whose output is brought.
#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    name: String,
    /// Written to on other threads. Whoever has its lock has it until it is written: a pass may be dropped meanwhile, and the
    /// next must not begin before what that one writes.
    sink: Arc<Mutex<Sink>>,
    ended: watch::Receiver<bool>,
}

impl Follower {
    /// `ended` tells whether the container has; where its sender is gone nobody waits for the output.
    pub fn new(engine: Engine, name: String, sink: Sink, ended: watch::Receiver<bool>) -> Self {
        Self {
            engine,
            name,
            sink: Arc::new(Mutex::new(sink)),
            ended,
        }
    }

    /// Returns when all output of a container that has ended is in its sandbox, or cannot be had.
    ///
    /// # Errors
    /// What cannot be had, or written.
    pub async fn run(self) -> Result<(), EngineError> {
        let mut ended = self.ended.clone();
        while !*ended.borrow() {
            let mut over = ended.clone();
            tokio::select! {
                biased;
                // What went wrong goes wrong again at the end, where it is told.
                _ = self.pass(true) => {}
                over = over.wait_for(|ended| *ended) => {
                    if over.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
            let paused = timeout(PAUSE, ended.wait_for(|ended| *ended)).await;
            if matches!(paused, Ok(Err(_))) {
                return Ok(());
            }
        }
        // A pass that was dropped may have read further than it wrote: the next begins where the files end.
        let mut last = Ok(());
        for _ in 0..LAST_TRIES {
            last = match timeout(LAST_TIMEOUT, self.pass(false)).await {
                Ok(passed) => passed,
                Err(_) => Err(self.engine.silent("its output".to_owned(), LAST_TIMEOUT)),
            };
            match &last {
                Ok(()) => break,
                // It is removed, and its output with it.
                Err(error) if error.is_not_found() => break,
                Err(_) => sleep(PAUSE).await,
            }
        }
        last
    }

    /// Reads from where the files end: with `follow` until the container has ended.
    async fn pass(&self, follow: bool) -> Result<(), EngineError> {
        let position = *self.sink.lock().await.position();
        let from = since(position.from.at_ns);
        let path = format!(
            "/containers/{}/logs?stdout=1&stderr=1&timestamps=1&follow={}&since={from}",
            self.name,
            u8::from(follow)
        );
        let opened = self.engine.open(Method::GET, &path, None).await?;
        let mut body = opened.into_body();
        let mut fresh = Fresh::after(position);
        while let Some(data) = body.frame().await {
            let data = data.map_err(|error| EngineError::Broken(error.to_string()))?;
            let data = data.into_data().unwrap_or_default();
            let frames = fresh.feed(&data)?;
            if !frames.is_empty() {
                self.write(frames).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, frames: Vec<Frame>) -> Result<(), EngineError> {
        let mut sink = Arc::clone(&self.sink).lock_owned().await;
        let written = tokio::task::spawn_blocking(move || sink.write(&frames));
        written
            .await
            .unwrap_or_else(|error| Err(EngineError::Broken(error.to_string())))
    }
}

/// Frames that are not written yet: an engine tells again those since the time it is asked to begin at.
#[derive(Debug)]
pub(super) struct Fresh {
    frames: Frames,
    position: Position,
    seen: u64,
}

impl Fresh {
    pub(super) fn after(position: Position) -> Self {
        Self {
            frames: Frames::default(),
            position,
            seen: 0,
        }
    }

    pub(super) fn feed(&mut self, data: &[u8]) -> Result<Vec<Frame>, EngineError> {
        self.frames.feed(data);
        let mut new = Vec::new();
        while let Some(frame) = self.frames.next()? {
            if !self.position.has(frame.at_ns, &mut self.seen) {
                new.push(frame);
            }
        }
        Ok(new)
    }
}
