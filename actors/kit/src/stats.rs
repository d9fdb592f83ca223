//! One mailbox at one moment, as people and programs read it. Made from atomics alone.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

pub use crate::probe::State;
use crate::{
    histogram::Summary,
    probe::{Probe, TypeProbe},
};

/// A snapshot of one mailbox. Waits and handling times speak of the last ten to twenty seconds in which
/// the actor was at work, and are sampled; all counts are exact and grow for ever.
#[derive(Debug, Clone, Serialize)]
pub struct MailboxStats {
    pub node: String,
    /// Unique in the node as long as it runs.
    pub id: u64,
    /// What sort of actor it is: the constant `Actor::NAME`.
    pub kind: &'static str,
    /// The instance's name.
    pub actor: String,
    /// The thread it lives on; empty before its first turn.
    pub thread: String,
    pub state: State,
    /// Data messages waiting, of `capacity`.
    pub depth: u64,
    pub capacity: u64,
    /// The greatest depth since the start or the last reset.
    pub peak: u64,
    /// Control messages waiting.
    pub control_depth: u64,
    /// `accepted = finished + lost + depth + control_depth + (1 while one is handled)`.
    pub accepted: u64,
    pub finished: u64,
    /// Turned away at the bound.
    pub refused: u64,
    /// Accepted, never handled.
    pub lost: u64,
    pub oldest_age_ms: u64,
    pub wait_p50_us: f64,
    pub wait_p99_us: f64,
    pub handle_p50_us: f64,
    pub handle_p99_us: f64,
    /// The share of time spent in turns, over the last ten to twenty seconds.
    pub busy_percent: f64,
    pub handling_now: Option<HandlingNow>,
    pub restarts: u32,
    pub last_panic: Option<String>,
    /// Timers set and futures awaited.
    pub timers: u64,
    pub futures: u64,
    /// By message type, in the order of the names.
    pub per_message: Vec<MessageStats>,
}

/// What the actor is doing.
#[derive(Debug, Clone, Serialize)]
pub struct HandlingNow {
    pub message: String,
    pub since_ms: u64,
}

/// One message type at one actor. Timers count under the message they bring.
#[derive(Debug, Clone, Serialize)]
pub struct MessageStats {
    pub message: String,
    pub count: u64,
    pub wait_p50_us: f64,
    pub wait_p99_us: f64,
    pub handle_p50_us: f64,
    pub handle_p99_us: f64,
}

const NANOS_PER_MS: u64 = 1_000_000;

impl MailboxStats {
    /// Every message accepted is somewhere. Holds whenever the actor and its senders are at rest.
    pub fn adds_up(&self) -> bool {
        let handling = u64::from(self.handling_now.is_some());
        let whereabouts = self.finished + self.lost + self.depth + self.control_depth + handling;
        self.accepted == whereabouts && self.depth <= self.capacity && self.peak <= self.capacity
    }

    pub(crate) fn read(node: &str, probe: &Probe) -> Self {
        let now = probe.clock.nanos();
        let types = probe.types();
        let handling_now = handling(probe, now, &types);
        let mut wait = Summary::new();
        let mut handle = Summary::new();
        let mut per_message: Vec<_> = types
            .iter()
            .map(|message| {
                wait.add(&message.wait);
                handle.add(&message.handle);
                MessageStats::read(message)
            })
            .collect();
        per_message.sort_by(|left, right| left.message.cmp(&right.message));

        let state = probe.state();
        let finished = probe.done.finished.load(Relaxed);
        let accepted = probe.sent.accepted.load(Relaxed) + probe.control_accepted.load(Relaxed);
        let (depth, control_depth, lost) = if state.is_over() {
            (0, 0, accepted.saturating_sub(finished))
        } else {
            let control = probe.control_waiting.load(Relaxed) as u64;
            (probe.depth(), control, probe.lost.load(Relaxed))
        };
        Self {
            node: node.to_owned(),
            id: probe.id,
            kind: probe.kind,
            actor: probe.name.clone(),
            thread: probe.thread.get().cloned().unwrap_or_default(),
            state,
            depth,
            capacity: probe.capacity,
            peak: probe.sent.peak.load(Relaxed),
            control_depth,
            accepted,
            finished,
            refused: probe.sent.refused.load(Relaxed),
            lost,
            oldest_age_ms: if depth == 0 {
                0
            } else {
                probe.oldest_age_nanos(now) / NANOS_PER_MS
            },
            wait_p50_us: wait.quantile_us(500),
            wait_p99_us: wait.quantile_us(990),
            handle_p50_us: handle.quantile_us(500),
            handle_p99_us: handle.quantile_us(990),
            busy_percent: busy_percent(probe, now),
            handling_now,
            restarts: probe.restarts.load(Relaxed),
            last_panic: probe.last_panic(),
            timers: probe.done.timers.load(Relaxed) as u64,
            futures: probe.done.futures.load(Relaxed) as u64,
            per_message,
        }
    }
}

impl MessageStats {
    fn read(probe: &TypeProbe) -> Self {
        let mut wait = Summary::new();
        wait.add(&probe.wait);
        let mut handle = Summary::new();
        handle.add(&probe.handle);
        Self {
            message: probe.name.clone(),
            count: probe.count.load(Relaxed),
            wait_p50_us: wait.quantile_us(500),
            wait_p99_us: wait.quantile_us(990),
            handle_p50_us: handle.quantile_us(500),
            handle_p99_us: handle.quantile_us(990),
        }
    }
}

fn handling(probe: &Probe, now: u64, types: &[std::sync::Arc<TypeProbe>]) -> Option<HandlingNow> {
    let index = probe.done.handling.load(Relaxed).checked_sub(1)? as usize;
    let since = probe.done.handling_since.load(Relaxed);
    Some(HandlingNow {
        message: types.get(index)?.name.clone(),
        since_ms: now.saturating_sub(since) / NANOS_PER_MS,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn busy_percent(probe: &Probe, now: u64) -> f64 {
    let done = &probe.done;
    let window_since = done.window_since.load(Relaxed);
    let window = now.saturating_sub(window_since);
    if window == 0 {
        return 0.0;
    }
    let turns = done
        .busy_nanos
        .load(Relaxed)
        .saturating_sub(done.busy_at_window.load(Relaxed));
    let running = done
        .turn_since
        .load(Relaxed)
        .checked_sub(1)
        .map_or(0, |since| now.saturating_sub(since.max(window_since)));
    let share = (turns + running) as f64 / window as f64;
    (share * 100.0).min(100.0)
}
