//! Who changed what, and who was refused: lines of the log under the target `audit`.
//!
//! Owns the bound of refusals, which anybody can cause.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpRequest, http::header::AUTHORIZATION};
use tokio::time::Instant;

use crate::{Incoming, Reply, credentials};

/// Refusals that are told within a period; of further ones only how many there were.
const MAX_TOLD: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);
/// So much of a call is told.
const MAX_ABOUT_CHARS: usize = 512;
const FORBIDDEN: u16 = 403;

/// Tells of an operator's call that changes something, and of its answer. `about` is what tells it from others of its kind; it must
/// hold no secret.
pub fn change(request: &Incoming, kind: &str, about: &str, answer: &Result<Reply, Reply>) {
    let (Ok(reply) | Err(reply)) = answer;
    let status = reply.status();
    let principal = request.principal.as_deref();
    let peer = request.peer.map(tracing::field::display);
    let about: String = about.chars().take(MAX_ABOUT_CHARS).collect();
    tracing::info!(target: "audit", kind, principal, peer, status, about, "an operator called");
}

/// Tells of refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Refusals {
    /// Tells of one, if few were told lately.
    pub(crate) fn note(&self, request: &HttpRequest, status: u16) {
        let Some(untold) = self.turn(Instant::now()) else {
            return;
        };
        let untold = Some(untold).filter(|untold| *untold > 0);
        // Proven here alone; elsewhere it could be a secret in the wrong place.
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .filter(|_| status == FORBIDDEN);
        let given = given.and_then(|it| credentials::given(it.as_bytes()));
        let principal = given.map(|(principal, _)| principal);
        let peer = request.peer_addr().map(tracing::field::display);
        let (method, path) = (request.method().as_str(), request.path());
        tracing::warn!(target: "audit", method, path, principal, peer, status, untold, "a request was refused");
    }

    /// `None`: too many were told. Else how many were not since the last one that was.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| now >= since + PERIOD) {
            window.since = Some(now);
            window.told = 0;
        }
        if window.told == MAX_TOLD {
            window.untold += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.untold))
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
