//! The rules for frameworks. Mesos keeps none in its registry: there a master that failed over learns of them
//! only when they come back, and forgets their deadlines.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::command::Outcome;
use crate::keys::{RecordKey, Touched};
use crate::state::{FrameworkRecord, Registry, RemovedFramework};
use crate::{MAX_FRAMEWORKS, MAX_REMOVED_FRAMEWORKS};

impl Registry {
    pub(crate) fn admit_framework(
        &mut self,
        id: &str,
        info: Bytes,
        suppressed: BTreeSet<String>,
        touched: &mut Touched,
    ) -> Outcome {
        if self.frameworks.contains_key(id) {
            return Outcome::refused(format!("framework {id} is registered already"));
        }
        if self.was_removed(id) {
            return Outcome::refused(format!("framework {id} has been removed"));
        }
        if self.frameworks.len() >= MAX_FRAMEWORKS {
            return Outcome::refused(format!("{MAX_FRAMEWORKS} frameworks are registered"));
        }
        let framework = FrameworkRecord {
            info,
            failover_deadline_nanos: None,
            suppressed,
            failover_ends_nanos: None,
        };
        self.frameworks.insert(id.to_owned(), framework);
        touched.insert(RecordKey::Framework(id.to_owned()));
        Outcome::CHANGED
    }

    /// Replaces a framework's record by what `change` makes of it.
    pub(crate) fn change_framework(
        &mut self,
        id: &str,
        touched: &mut Touched,
        change: impl FnOnce(&mut FrameworkRecord),
    ) -> Outcome {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return Outcome::refused(format!("framework {id} is not registered"));
        };
        let before = framework.clone();
        change(framework);
        if *framework == before {
            return Outcome::changed(false);
        }
        touched.insert(RecordKey::Framework(id.to_owned()));
        Outcome::CHANGED
    }

    /// Time went on to `now_nanos`; it never goes back.
    pub(crate) fn count_time(&mut self, now_nanos: i64, touched: &mut Touched) -> Outcome {
        if now_nanos <= self.counted_nanos {
            return Outcome::changed(false);
        }
        self.counted_nanos = now_nanos;
        touched.insert(RecordKey::CountedTime);
        Outcome::CHANGED
    }

    /// Frameworks that were removed meanwhile are left out.
    pub(crate) fn frameworks_away(
        &mut self,
        now_nanos: i64,
        deadlines: Vec<(String, i64)>,
        touched: &mut Touched,
    ) -> Outcome {
        let before = touched.len();
        self.count_time(now_nanos, touched);
        // One named twice has the last of its deadlines.
        for (id, deadline) in deadlines.into_iter().collect::<BTreeMap<_, _>>() {
            // Whoever comes back is asked about everything again.
            self.forget_refusals(&id, &[], touched);
            self.change_framework(&id, touched, |framework| {
                framework.failover_ends_nanos = Some(deadline);
            });
        }
        Outcome::changed(touched.len() > before)
    }

    pub(crate) fn remove_framework(
        &mut self,
        id: &str,
        at_nanos: i64,
        touched: &mut Touched,
    ) -> Outcome {
        let Some(framework) = self.frameworks.remove(id) else {
            if self.was_removed(id) {
                return Outcome::changed(false);
            }
            return Outcome::refused(format!("framework {id} is not registered"));
        };
        self.forget_refusals(id, &[], touched);
        touched.insert(RecordKey::Framework(id.to_owned()));
        let newest = self.removed_frameworks.last_key_value();
        let sequence = newest.map_or(0, |(sequence, _)| sequence + 1);
        let removed = RemovedFramework {
            id: id.to_owned(),
            info: framework.info,
            at_nanos,
        };
        self.removed_frameworks.insert(sequence, removed);
        touched.insert(RecordKey::RemovedFramework(sequence));
        while self.removed_frameworks.len() > MAX_REMOVED_FRAMEWORKS
            && let Some((oldest, _)) = self.removed_frameworks.pop_first()
        {
            touched.insert(RecordKey::RemovedFramework(oldest));
        }
        Outcome::CHANGED
    }
}
