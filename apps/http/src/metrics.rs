//! Numbers for those who watch: `/metrics/snapshot` and its limiter.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use tepui_protocol::durations;
use tokio::time::Instant;

use crate::{incoming::Incoming, reply::Reply, system};

/// Between two snapshots: two a second, as Mesos.
const PERIOD: Duration = Duration::from_millis(500);
/// Waiting longer than this is refused.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Lets two requests a second pass; further ones wait their turn.
#[derive(Debug, Default)]
pub struct Limiter(Mutex<Option<Instant>>);

impl Limiter {
    /// Waits for the next turn.
    ///
    /// # Errors
    /// A 429 where the queue is longer than half a minute.
    pub async fn turn(&self) -> Result<(), Reply> {
        let at = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            if at - now > MAX_WAIT {
                return Err(Reply::text(
                    429,
                    "Too many requests for '/metrics/snapshot': expected at most 2 a second",
                ));
            }
            *next = Some(at + PERIOD);
            at
        };
        tokio::time::sleep_until(at).await;
        Ok(())
    }
}

/// Checks the query of `/metrics/snapshot`; our numbers are there at once, so the timeout is not used.
///
/// # Errors
/// The 400 to answer.
pub fn check_timeout(request: &Incoming) -> Result<(), Reply> {
    let Some(timeout) = request.parameter("timeout") else {
        return Ok(());
    };
    durations::parse(timeout)
        .map(|_| ())
        .map_err(|reason| Reply::bad_request(format!("Invalid timeout '{timeout}': {reason}.\n")))
}

/// A number and its name.
pub type Number = (&'static str, f64);

/// The daemon's numbers (`own` as JSON, and `more`) with those of the machine, by name; all are doubles. What comes
/// under one name more than once is the parts of a sum.
pub fn all(own: &[u8], more: impl IntoIterator<Item = (String, f64)>) -> Map<String, Value> {
    let own: Map<String, Value> = serde_json::from_slice(own).unwrap_or_default();
    let mut names: Vec<(String, f64)> = own
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_f64()?)))
        .collect();
    names.extend(more);
    names.extend(system::metrics());
    let mut sums = BTreeMap::new();
    for (name, value) in names {
        *sums.entry(name).or_insert(0.0) += value;
    }
    sums.into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect()
}
