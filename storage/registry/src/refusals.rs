//! The rules for refused offers. They are worth little each, and there may be many: bounded in number and size, and
//! whatever does not fit is left out.

use crate::command::{Outcome, Refused};
use crate::keys::{RecordKey, Touched};
use crate::state::{RefusalRecord, Refusals, Registry};
use crate::{MAX_REFUSALS, MAX_REFUSALS_PER_FRAMEWORK, MAX_REFUSED_BYTES};

impl Registry {
    pub(crate) fn refuse_offers(
        &mut self,
        now_nanos: i64,
        refused: Vec<Refused>,
        touched: &mut Touched,
    ) -> Outcome {
        let before = touched.len();
        self.count_time(now_nanos, touched);
        let mut total: usize = self.refusals.values().map(count).sum();
        for Refused {
            framework,
            agent,
            role,
            until_nanos,
            resources,
        } in refused
        {
            if !self.frameworks.contains_key(&framework) || resources.len() > MAX_REFUSED_BYTES {
                continue;
            }
            let known = self.refusals.get(&framework).map_or(0, count);
            if known >= MAX_REFUSALS_PER_FRAMEWORK || total >= MAX_REFUSALS {
                total -= self.drop_ended_refusals(&framework, touched);
            }
            let refusals = self.refusals.entry(framework.clone()).or_default();
            let has_room = count(refusals) < MAX_REFUSALS_PER_FRAMEWORK && total < MAX_REFUSALS;
            let record = RefusalRecord {
                until_nanos,
                resources,
            };
            insert(refusals, &agent, role, record, has_room, &mut total, || {
                touched.insert(RecordKey::Refusals(framework.clone(), agent.clone()));
            });
            if refusals.is_empty() {
                self.refusals.remove(&framework);
            }
        }
        Outcome::changed(touched.len() > before)
    }

    /// Without roles: whatever the framework refuses.
    pub(crate) fn forget_refusals(
        &mut self,
        framework: &str,
        roles: &[String],
        touched: &mut Touched,
    ) -> Outcome {
        let forgotten = self.drop_refusals(framework, touched, |role, _| {
            roles.is_empty() || roles.iter().any(|other| other == role)
        });
        Outcome::changed(forgotten > 0)
    }

    fn drop_ended_refusals(&mut self, framework: &str, touched: &mut Touched) -> usize {
        let now = self.counted_nanos;
        self.drop_refusals(framework, touched, |_, record| record.until_nanos <= now)
    }

    /// How many went.
    fn drop_refusals(
        &mut self,
        framework: &str,
        touched: &mut Touched,
        goes: impl Fn(&str, &RefusalRecord) -> bool,
    ) -> usize {
        let Some(refusals) = self.refusals.get_mut(framework) else {
            return 0;
        };
        let mut gone = 0;
        refusals.retain(|agent, roles| {
            let before = roles.len();
            roles.retain(|role, record| !goes(role, record));
            if roles.len() < before {
                gone += before - roles.len();
                touched.insert(RecordKey::Refusals(framework.to_owned(), agent.clone()));
            }
            !roles.is_empty()
        });
        if refusals.is_empty() {
            self.refusals.remove(framework);
        }
        gone
    }
}

/// A refusal that is known is replaced also where there is no room for another one.
fn insert(
    refusals: &mut Refusals,
    agent: &str,
    role: String,
    record: RefusalRecord,
    has_room: bool,
    total: &mut usize,
    changed: impl FnOnce(),
) {
    let known = refusals.get(agent).and_then(|roles| roles.get(&role));
    if known == Some(&record) || known.is_none() && !has_room {
        return;
    }
    *total += usize::from(known.is_none());
    let roles = refusals.entry(agent.to_owned()).or_default();
    roles.insert(role, record);
    changed();
}

pub(crate) fn count(refusals: &Refusals) -> usize {
    refusals.values().map(std::collections::BTreeMap::len).sum()
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
