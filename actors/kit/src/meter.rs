//! The actor's side of its probe: measures turns and messages with as few clock readings as will do.
//!
//! Owns the table from message type to counters, and the choice of which messages are timed. Every
//! message is counted; one in [`SAMPLE_EVERY`] of a type is timed, fewer deep in a turn, and each one
//! while the type is slow.

use std::{
    any::{TypeId, type_name},
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::probe::{Probe, TypeProbe, bump};

/// Both are powers of two; a timed message weighs as many as it stands for.
const SAMPLE_EVERY: u64 = 16;
/// Deep in a turn messages are many and alike: the clock would cost more than they do.
const SAMPLE_EVERY_DEEP: u64 = 128;
const DEEP_AFTER: u32 = 32;
/// A message type is timed without exception while its last timed handling took longer than this.
const SLOW_NANOS: u64 = 20_000;
/// Quantiles and the busy share speak of the last one to two windows.
const WINDOW_NANOS: u64 = 10_000_000_000;

pub(crate) struct Meter {
    probe: Arc<Probe>,
    index: BTreeMap<TypeId, usize>,
    entries: Vec<Entry>,
    /// The last type looked up: messages of one type tend to come together.
    last: Option<(TypeId, usize)>,
    window: usize,
    turn_since: u64,
}

struct Entry {
    probe: Arc<TypeProbe>,
    slow: bool,
}

/// A message being handled.
pub(crate) struct Begun {
    slot: usize,
    /// Set when this one is timed, with the weight it stands for.
    timed: Option<(u64, u32)>,
}

impl Meter {
    pub(crate) fn new(probe: Arc<Probe>) -> Self {
        Self {
            probe,
            index: BTreeMap::new(),
            entries: Vec::new(),
            last: None,
            window: 0,
            turn_since: 0,
        }
    }

    pub(crate) fn turn_begins(&mut self) {
        let now = self.probe.clock.refresh();
        self.turn_since = now;
        let done = &self.probe.done;
        done.turn_since.store(now + 1, Relaxed);
        bump(&done.turns, 1);
        if now.saturating_sub(done.window_since.load(Relaxed)) >= WINDOW_NANOS {
            self.window ^= 1;
            for entry in &self.entries {
                entry.probe.wait.clear(self.window);
                entry.probe.handle.clear(self.window);
            }
            done.busy_at_window
                .store(done.busy_nanos.load(Relaxed), Relaxed);
            done.window_since.store(now, Relaxed);
        }
    }

    pub(crate) fn turn_ends(&mut self) {
        let now = self.probe.clock.refresh();
        let done = &self.probe.done;
        done.handling.store(0, Relaxed);
        done.turn_since.store(0, Relaxed);
        bump(&done.busy_nanos, now.saturating_sub(self.turn_since));
    }

    /// Notes that a message told at `told_at`, the `position`th of its turn, is handled from now on.
    #[inline]
    pub(crate) fn begin<T: 'static>(&mut self, told_at: u64, position: u32) -> Begun {
        let every = if position < DEEP_AFTER {
            SAMPLE_EVERY
        } else {
            SAMPLE_EVERY_DEEP
        };
        let slot = self.slot::<T>();
        let entry = &self.entries[slot];
        let count = entry.probe.count.load(Relaxed);
        entry.probe.count.store(count + 1, Relaxed);
        let clock = &self.probe.clock;
        let (now, timed) = if entry.slow {
            let now = clock.refresh();
            (now, Some((now, 1)))
        } else if count & (every - 1) == 0 {
            let now = clock.refresh();
            (now, Some((now, every as u32)))
        } else {
            (clock.coarse_nanos(), None)
        };
        if let Some((_, weight)) = timed {
            let waited = now.saturating_sub(told_at);
            entry.probe.wait.record(self.window, waited, weight);
        }
        let done = &self.probe.done;
        done.handling_since.store(now, Relaxed);
        done.handling.store(slot as u32 + 1, Relaxed);
        Begun { slot, timed }
    }

    /// Notes the end of what [`Meter::begin`] began.
    #[inline]
    pub(crate) fn end(&mut self, begun: Begun) {
        if let Some((since, weight)) = begun.timed {
            let took = self.probe.clock.refresh().saturating_sub(since);
            let entry = &mut self.entries[begun.slot];
            entry.slow = took > SLOW_NANOS;
            entry.probe.handle.record(self.window, took, weight);
        }
    }

    #[inline]
    fn slot<T: 'static>(&mut self) -> usize {
        let id = TypeId::of::<T>();
        match self.last {
            Some((last, slot)) if last == id => slot,
            _ => self.look_up::<T>(id),
        }
    }

    fn look_up<T: 'static>(&mut self, id: TypeId) -> usize {
        let slot = match self.index.get(&id) {
            Some(slot) => *slot,
            None => {
                let slot = self.entries.len();
                self.entries.push(Entry {
                    probe: self.probe.add_type(short_name(type_name::<T>())),
                    slow: false,
                });
                self.index.insert(id, slot);
                slot
            }
        };
        self.last = Some((id, slot));
        slot
    }
}

/// A type's name without the paths: `a::b::Call<c::D>` becomes `Call<D>`.
fn short_name(full: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for character in full.chars() {
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else if character == ':' {
            word.clear();
        } else {
            short.push_str(&word);
            word.clear();
            short.push(character);
        }
    }
    short.push_str(&word);
    short
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
