//! I11: a framework without its scheduler lives for its `failover_timeout`, whatever masters do, and no longer.

use std::{collections::BTreeMap, time::Duration};

use crate::history::{Check, ensure};

/// Delays of links, writes and elections.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Failover {
    frameworks: BTreeMap<String, Framework>,
}

struct Framework {
    timeout: Duration,
    /// When its scheduler last had a stream.
    connected: Duration,
    removed: bool,
}

impl Failover {
    /// The scheduler of `id` has a stream at this moment.
    pub fn connected(&mut self, id: &str, timeout: Duration, now: Duration) {
        let removed = self.frameworks.get(id).is_some_and(|known| known.removed);
        let framework = Framework {
            timeout,
            connected: now,
            removed,
        };
        self.frameworks.insert(id.to_owned(), framework);
    }

    /// A master removes it.
    pub fn removed(&mut self, id: &str, now: Duration) -> Check {
        let Some(known) = self.frameworks.get_mut(id) else {
            return Ok(());
        };
        known.removed = true;
        let since = known.connected;
        ensure("I11", now + SLACK >= since + known.timeout, || {
            format!("{id} is removed at {now:?}; its scheduler was there until {since:?}")
        })
    }

    /// At the end, long after the last fault: whoever stayed away too long is removed. `slack` holds the faults.
    pub fn overdue(&self, now: Duration, slack: Duration) -> Check {
        for (id, known) in &self.frameworks {
            let due = known.connected + known.timeout + slack;
            ensure("I11", known.removed || now <= due, || {
                format!("{id} should have been removed by {due:?} and is still there")
            })?;
        }
        Ok(())
    }
}
