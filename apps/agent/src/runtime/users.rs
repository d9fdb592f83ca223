//! Users' names, to numbers. A launch asks for its user at each of its steps, and a burst of them asks for the same one:
//! name services, which may read many files or ask another machine, are asked once a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tepui_containers::{Credentials, user};
use tepui_messages::containers::UserNumbers;

use super::told;

/// How long an answer counts. Who is put into a group, or made anew, waits no longer for it to take effect.
const FRESH: Duration = Duration::from_secs(1);
/// Names that are remembered at one time.
const MAX_KNOWN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Users(Mutex<Known>);

/// What name services answered lately. Pure.
#[derive(Debug, Default)]
struct Known(BTreeMap<String, (Instant, Credentials)>);

impl Known {
    fn get(&self, name: &str, now: Instant) -> Option<&Credentials> {
        let (since, credentials) = self.0.get(name)?;
        (now.saturating_duration_since(*since) < FRESH).then_some(credentials)
    }

    fn put(&mut self, name: &str, credentials: Credentials, now: Instant) {
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), (now, credentials));
    }
}

impl Users {
    /// Whom a name of this machine, or a text of numbers, stands for; `None`: the agent's own user.
    pub(super) fn credentials(&self, user: Option<&str>) -> Result<Option<Credentials>, String> {
        let Some(user) = user else { return Ok(None) };
        let credentials = match UserNumbers::parse(user) {
            Some(UserNumbers { uid, gid, groups }) => Credentials { uid, gid, groups },
            None => self.named(user)?,
        };
        Ok(user::switch_to(credentials))
    }

    /// Nobody waits at the lock for a name service.
    fn named(&self, name: &str) -> Result<Credentials, String> {
        let asked = Instant::now();
        if let Some(known) = self.known(|known| known.get(name, asked).cloned()) {
            return Ok(known);
        }
        let found = user::lookup(name).map_err(|error| told(&error))?;
        self.known(|known| known.put(name, found.clone(), asked));
        Ok(found)
    }

    fn known<T>(&self, with: impl FnOnce(&mut Known) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
