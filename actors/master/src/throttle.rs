//! How fast calls of frameworks are taken, principal by principal (Mesos: `--rate_limits`; it limits the calls of its
//! old drivers so, and leaves HTTP alone). A call above the rate waits, and so does its answer, which slows a
//! scheduler down; one that finds too many waiting is dropped, and its framework hears an ERROR and is cut off. One
//! that waited longer than its caller does has no effect: it may have been asked again, or for something else.
//!
//! Owns the rates and the calls that wait. SUBSCRIBE is not limited: a scheduler must be able to come back.

use std::collections::{BTreeMap, VecDeque};

use tepui_messages::{UnixNanos, master::Answer};
use tepui_protocol::v1::{
    self,
    scheduler::{Call, call::Type},
};

use crate::{
    core::{MasterCore, Token, Turn},
    subscriptions::refuse,
    timers::Timer,
};

/// Calls that may wait where the operator sets no bound.
const MAX_WAITING: u64 = 10_000;
/// No call waits longer: its caller over HTTP is told after 30 s that nothing is known of it.
const PATIENCE: UnixNanos = 25_000_000_000;
const SECOND: f64 = 1e9;

/// How fast calls are taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateLimits {
    /// Principals that are named; without a rate they are not limited.
    named: BTreeMap<String, Option<Rate>>,
    /// All others share this one.
    others: Option<Rate>,
}

/// One rate, and how many calls may wait for it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    qps: f64,
    capacity: u64,
}

impl Rate {
    fn new(qps: f64, capacity: Option<u64>) -> Result<Rate, String> {
        if !(qps.is_finite() && qps > 0.0) {
            return Err(format!("a qps is {qps}; expected a number above 0"));
        }
        Ok(Rate {
            qps,
            capacity: capacity.unwrap_or(MAX_WAITING),
        })
    }

    /// Nanoseconds between two calls.
    fn spacing(self) -> i64 {
        (SECOND / self.qps) as i64
    }
}

impl TryFrom<v1::RateLimits> for RateLimits {
    type Error = String;

    fn try_from(given: v1::RateLimits) -> Result<RateLimits, String> {
        let mut limits = RateLimits::default();
        for limit in given.limits {
            let rate = limit.qps.map(|qps| Rate::new(qps, limit.capacity));
            let before = limits
                .named
                .insert(limit.principal.clone(), rate.transpose()?);
            if before.is_some() {
                let principal = limit.principal;
                return Err(format!("the principal {principal} is limited twice"));
            }
        }
        let others = given.aggregate_default_qps;
        let others = others.map(|qps| Rate::new(qps, given.aggregate_default_capacity));
        limits.others = others.transpose()?;
        Ok(limits)
    }
}

/// Who shares a rate: a principal, or all that are not named.
pub(crate) type Lane = Option<String>;

/// A call whose turn has not come.
#[derive(Debug)]
struct Waiting {
    token: Token,
    since: UnixNanos,
    stream_id: Option<String>,
    call: Box<Call>,
}

#[derive(Debug, Default)]
struct Queue {
    /// When the next call may be taken.
    next: UnixNanos,
    waiting: VecDeque<Waiting>,
}

impl Queue {
    /// How long a further call waits at least.
    fn wait(&self, rate: Rate, now: UnixNanos) -> UnixNanos {
        let before = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        let before = before.saturating_mul(rate.spacing());
        self.next.saturating_sub(now).saturating_add(before)
    }
}

/// As many queues as rates.
#[derive(Debug, Default)]
pub(crate) struct Throttle(BTreeMap<Lane, Queue>);

impl RateLimits {
    fn of(&self, principal: Option<&str>) -> Option<(Lane, Rate)> {
        match principal.and_then(|principal| self.named.get_key_value(principal)) {
            Some((principal, rate)) => rate.map(|rate| (Some(principal.clone()), rate)),
            None => self.others.map(|rate| (None, rate)),
        }
    }

    fn rate(&self, lane: &Lane) -> Option<Rate> {
        match lane {
            Some(principal) => self.named.get(principal).copied().flatten(),
            None => self.others,
        }
    }
}

impl MasterCore {
    /// A scheduler calls. Who may not call at all is refused before anything is counted.
    pub(crate) fn scheduler_calls(
        &mut self,
        token: Token,
        stream_id: Option<String>,
        principal: Option<&str>,
        call: Box<Call>,
        turn: &mut Turn<'_>,
    ) {
        let id = call.framework_id.clone().unwrap_or_default().value;
        let checked = self
            .check_principal(&id, principal)
            .and_then(|()| self.check_caller(&id, stream_id.as_deref()));
        if let Err(refused) = checked {
            return turn.answer(token, refused);
        }
        let framework = &self.frameworks[&id];
        if let Some(counts) = &framework.traffic {
            counts.receive();
        }
        let principal = framework.info().principal.as_deref();
        let Some((lane, rate)) = self.config.rate_limits.of(principal) else {
            return self.take_call(token, &id, stream_id.as_deref(), *call, turn);
        };
        let queue = self.throttle.0.entry(lane.clone()).or_default();
        if queue.waiting.is_empty() && queue.next <= turn.now {
            queue.next = turn.now.saturating_add(rate.spacing());
            return self.take_call(token, &id, stream_id.as_deref(), *call, turn);
        }
        if queue.waiting.len() as u64 >= rate.capacity {
            return self.drop_call(token, &id, &call, rate.capacity, turn);
        }
        let wait = queue.wait(rate, turn.now);
        if wait > PATIENCE {
            let seconds = wait / 1_000_000_000;
            let text = format!(
                "{} calls wait before this one, which would take {seconds} seconds; call more slowly",
                queue.waiting.len()
            );
            return turn.answer(token, Answer::refused(429, text));
        }
        queue.waiting.push_back(Waiting {
            token,
            since: turn.now,
            stream_id,
            call,
        });
        let next = queue.next;
        let timer = Timer::Throttled { lane };
        if self.timers.due(&timer).is_none() {
            self.timers.set(next, timer);
        }
    }

    /// The turn of the call that has waited longest.
    pub(crate) fn take_throttled(&mut self, lane: Lane, turn: &mut Turn<'_>) {
        let Some(rate) = self.config.rate_limits.rate(&lane) else {
            return;
        };
        let Some(queue) = self.throttle.0.get_mut(&lane) else {
            return;
        };
        let late = |waiting: &Waiting| turn.now.saturating_sub(waiting.since) > PATIENCE;
        let late: Vec<Token> = std::iter::from_fn(|| queue.waiting.pop_front_if(|it| late(it)))
            .map(|waiting| waiting.token)
            .collect();
        for token in late {
            let text = "this call waited too long for its turn and had no effect; try again";
            turn.answer(token, Answer::refused(503, text));
        }
        let Some(waiting) = queue.waiting.pop_front() else {
            return;
        };
        queue.next = turn.now.saturating_add(rate.spacing());
        if !queue.waiting.is_empty() {
            let next = queue.next;
            self.timers.set(next, Timer::Throttled { lane });
        }
        let Waiting {
            token,
            stream_id,
            call,
            ..
        } = waiting;
        let id = call.framework_id.clone().unwrap_or_default().value;
        // Its scheduler may have gone meanwhile.
        match self.check_caller(&id, stream_id.as_deref()) {
            Ok(()) => self.take_call(token, &id, stream_id.as_deref(), *call, turn),
            Err(refused) => turn.answer(token, refused),
        }
    }

    fn take_call(
        &mut self,
        token: Token,
        id: &str,
        stream_id: Option<&str>,
        call: Call,
        turn: &mut Turn<'_>,
    ) {
        if let Some(counts) = &self.frameworks[id].traffic {
            counts.process();
        }
        self.count_request(id, call.r#type());
        self.scheduler_call(token, id, stream_id, call, turn);
    }

    /// As Mesos, which aborts the driver so; the words are its own.
    fn drop_call(
        &mut self,
        token: Token,
        id: &str,
        call: &Call,
        capacity: u64,
        turn: &mut Turn<'_>,
    ) {
        let kind = Type::try_from(call.r#type.unwrap_or_default()).unwrap_or(Type::Unknown);
        let kind = kind.as_str_name();
        let text = format!("Message {kind} dropped: capacity({capacity}) exceeded");
        tracing::warn!(
            framework = id,
            kind,
            capacity,
            "a call above the rate limit was dropped"
        );
        turn.answer(token, Answer::refused(429, text.clone()));
        let Some(stream_id) = self.frameworks[id].stream_id.clone() else {
            return;
        };
        refuse(&stream_id, text, turn);
        self.streams.remove(&stream_id);
        self.disconnect(id, turn);
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
