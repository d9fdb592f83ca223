//! Reads that wait for their confirmation. A read is granted once a majority has confirmed the leader after the
//! read arrived and the state has reached the index that was committed then. The same confirmations carry the
//! leader's lease.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::ReadError;

pub(crate) type ReadReply = oneshot::Sender<Result<u64, ReadError>>;

struct Waiting {
    reply: ReadReply,
    deadline: Instant,
}

struct Issued {
    at: Instant,
    waiting: Vec<Waiting>,
}

#[derive(Default)]
pub(crate) struct Reads {
    next_context: u64,
    queued: Vec<Waiting>,
    issued: BTreeMap<u64, Issued>,
    confirmed: Vec<(u64, Vec<Waiting>)>,
    last_issued: Option<Instant>,
    lease_until: Option<Instant>,
}

impl Reads {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        let issued: usize = self
            .issued
            .values()
            .map(|issued| issued.waiting.len())
            .sum();
        let confirmed: usize = self
            .confirmed
            .iter()
            .map(|(_, waiting)| waiting.len())
            .sum();
        self.queued.len() + issued + confirmed
    }

    pub(crate) fn queue(&mut self, reply: ReadReply, deadline: Instant) {
        self.queued.push(Waiting { reply, deadline });
    }

    /// The context to ask raft with, if reads wait or the last confirmation is older than `renew_after`.
    pub(crate) fn issue(&mut self, now: Instant, renew_after: Duration) -> Option<[u8; 8]> {
        let fresh = self
            .last_issued
            .is_some_and(|at| now.saturating_duration_since(at) < renew_after);
        if self.queued.is_empty() && fresh {
            return None;
        }
        self.last_issued = Some(now);
        self.next_context += 1;
        let issued = Issued {
            at: now,
            waiting: std::mem::take(&mut self.queued),
        };
        self.issued.insert(self.next_context, issued);
        Some(self.next_context.to_be_bytes())
    }

    /// A majority confirmed `context`; the reads behind it need the state at `index`.
    pub(crate) fn confirm(&mut self, context: &[u8], index: u64, lease: Duration) {
        let Ok(context) = <[u8; 8]>::try_from(context) else {
            return;
        };
        if let Some(issued) = self.issued.remove(&u64::from_be_bytes(context)) {
            self.lease_until = self.lease_until.max(Some(issued.at + lease));
            if !issued.waiting.is_empty() {
                self.confirmed.push((index, issued.waiting));
            }
        }
    }

    /// Grants what the state has reached; gives their number.
    pub(crate) fn grant(&mut self, applied: u64) -> u64 {
        let mut granted = 0;
        for (index, waiting) in std::mem::take(&mut self.confirmed) {
            if index > applied {
                self.confirmed.push((index, waiting));
                continue;
            }
            for read in waiting {
                granted += 1;
                // The caller may have gone; that is its right.
                let _ = read.reply.send(Ok(applied));
            }
        }
        granted
    }

    /// Fails what waited too long. Raft drops reads without a word, so each has its deadline.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) {
        expire(&mut self.queued, now);
        for issued in self.issued.values_mut() {
            expire(&mut issued.waiting, now);
        }
        self.issued
            .retain(|_, issued| !issued.waiting.is_empty() || now < issued.at + timeout);
        for (_, waiting) in &mut self.confirmed {
            expire(waiting, now);
        }
    }

    /// Fails all and gives up the lease.
    pub(crate) fn fail(&mut self, error: &ReadError) {
        let issued = std::mem::take(&mut self.issued).into_values();
        let confirmed = std::mem::take(&mut self.confirmed).into_iter();
        let all = std::mem::take(&mut self.queued)
            .into_iter()
            .chain(issued.flat_map(|issued| issued.waiting))
            .chain(confirmed.flat_map(|(_, waiting)| waiting));
        for read in all {
            let _ = read.reply.send(Err(error.clone()));
        }
        self.last_issued = None;
        self.lease_until = None;
    }

    pub(crate) fn lease_until(&self) -> Option<Instant> {
        self.lease_until
    }

    /// Gives up the lease and ignores confirmations under way, since another member is being asked to lead.
    pub(crate) fn surrender_lease(&mut self) {
        self.fail(&ReadError::LeadershipLost);
    }
}

fn expire(waiting: &mut Vec<Waiting>, now: Instant) {
    for index in (0..waiting.len()).rev() {
        if waiting[index].deadline <= now {
            let read = waiting.swap_remove(index);
            let _ = read.reply.send(Err(ReadError::TimedOut));
        }
    }
}
