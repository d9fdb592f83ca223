//! The rules for agents: admitted, unreachable or gone, never two of them.

use bytes::Bytes;

use crate::command::Outcome;
use crate::keys::{RecordKey, Touched};
use crate::state::{AdmittedAgent, Registry, UnreachableAgent};
use crate::{AGENT_DRAINING, MAX_ABSENT_AGENTS, MAX_AGENTS};

impl Registry {
    pub(crate) fn admit_agent(&mut self, id: &str, info: Bytes, touched: &mut Touched) -> Outcome {
        if self.agents.contains_key(id) {
            return Outcome::refused(format!("agent {id} is admitted already"));
        }
        if self.unreachable.contains_key(id) {
            return Outcome::refused(format!(
                "agent {id} is unreachable; mark it reachable instead"
            ));
        }
        if self.gone.contains_key(id) {
            return Outcome::refused(format!("agent {id} is gone; it must register anew"));
        }
        self.insert_agent(id, info, None, false, touched)
    }

    pub(crate) fn update_agent(&mut self, id: &str, info: Bytes, touched: &mut Touched) -> Outcome {
        let Some(agent) = self.agents.get_mut(id) else {
            return not_admitted(id);
        };
        if agent.info == info {
            return Outcome::changed(false);
        }
        agent.info = info;
        touched.insert(RecordKey::Agent(id.to_owned()));
        Outcome::CHANGED
    }

    pub(crate) fn mark_unreachable(
        &mut self,
        id: &str,
        at_nanos: i64,
        touched: &mut Touched,
    ) -> Outcome {
        let Some(agent) = self.agents.remove(id) else {
            return not_admitted(id);
        };
        let unreachable = UnreachableAgent {
            at_nanos,
            drain: agent.drain,
            deactivated: agent.deactivated,
        };
        self.unreachable.insert(id.to_owned(), unreachable);
        touched.insert(RecordKey::Agent(id.to_owned()));
        touched.insert(RecordKey::Unreachable(id.to_owned()));
        if self.unreachable.len() > MAX_ABSENT_AGENTS {
            self.prune_unreachable(i64::MIN, MAX_ABSENT_AGENTS, touched);
        }
        Outcome::CHANGED
    }

    pub(crate) fn mark_reachable(
        &mut self,
        id: &str,
        info: Bytes,
        touched: &mut Touched,
    ) -> Outcome {
        if self.gone.contains_key(id) {
            return Outcome::refused(format!("agent {id} is gone; it must register anew"));
        }
        // After a failover of the master an agent may be taken for unreachable although it never was.
        if self.agents.contains_key(id) {
            return Outcome::changed(false);
        }
        if self.agents.len() >= MAX_AGENTS {
            return too_many_agents();
        }
        // An agent that is in no list was pruned: it comes back all the same, as in Mesos.
        let known = self.unreachable.remove(id);
        touched.insert(RecordKey::Unreachable(id.to_owned()));
        let (drain, deactivated) =
            known.map_or((None, false), |agent| (agent.drain, agent.deactivated));
        self.insert_agent(id, info, drain, deactivated, touched)
    }

    pub(crate) fn mark_gone(&mut self, id: &str, at_nanos: i64, touched: &mut Touched) -> Outcome {
        if self.gone.contains_key(id) {
            return Outcome::changed(false);
        }
        let admitted = self.agents.remove(id).is_some();
        let unreachable = self.unreachable.remove(id).is_some();
        if !admitted && !unreachable {
            return Outcome::refused(format!("agent {id} is neither admitted nor unreachable"));
        }
        self.gone.insert(id.to_owned(), at_nanos);
        touched.insert(RecordKey::Agent(id.to_owned()));
        touched.insert(RecordKey::Unreachable(id.to_owned()));
        touched.insert(RecordKey::Gone(id.to_owned()));
        if self.gone.len() > MAX_ABSENT_AGENTS {
            self.prune_gone(i64::MIN, MAX_ABSENT_AGENTS, touched);
        }
        self.require_draining(touched);
        Outcome::CHANGED
    }

    pub(crate) fn remove_agent(&mut self, id: &str, touched: &mut Touched) -> Outcome {
        if self.agents.remove(id).is_none() {
            return not_admitted(id);
        }
        touched.insert(RecordKey::Agent(id.to_owned()));
        self.require_draining(touched);
        Outcome::CHANGED
    }

    /// Sets drain info and deactivation of an admitted or unreachable agent, to what `change` makes of them.
    pub(crate) fn change_drain(
        &mut self,
        id: &str,
        touched: &mut Touched,
        change: impl FnOnce(Option<&Bytes>) -> Result<(Option<Bytes>, bool), String>,
    ) -> Outcome {
        let (key, drain, deactivated) = if let Some(agent) = self.agents.get_mut(id) {
            let key = RecordKey::Agent(id.to_owned());
            (key, &mut agent.drain, &mut agent.deactivated)
        } else if let Some(agent) = self.unreachable.get_mut(id) {
            let key = RecordKey::Unreachable(id.to_owned());
            (key, &mut agent.drain, &mut agent.deactivated)
        } else {
            return Outcome::refused(format!("agent {id} is neither admitted nor unreachable"));
        };
        match change(drain.as_ref()) {
            Err(reason) => return Outcome::refused(reason),
            Ok((new_drain, new_deactivated)) => {
                if *drain == new_drain && *deactivated == new_deactivated {
                    return Outcome::changed(false);
                }
                *drain = new_drain;
                *deactivated = new_deactivated;
            }
        }
        touched.insert(key);
        self.require_draining(touched);
        Outcome::CHANGED
    }

    pub(crate) fn prune(
        &mut self,
        before_nanos: i64,
        max: usize,
        touched: &mut Touched,
    ) -> Outcome {
        let before = touched.len();
        self.prune_unreachable(before_nanos, max, touched);
        self.prune_gone(before_nanos, max, touched);
        let changed = touched.len() > before;
        if changed {
            self.require_draining(touched);
        }
        Outcome::changed(changed)
    }

    fn insert_agent(
        &mut self,
        id: &str,
        info: Bytes,
        drain: Option<Bytes>,
        deactivated: bool,
        touched: &mut Touched,
    ) -> Outcome {
        if self.agents.len() >= MAX_AGENTS {
            return too_many_agents();
        }
        let agent = AdmittedAgent {
            info,
            drain,
            deactivated,
        };
        self.agents.insert(id.to_owned(), agent);
        touched.insert(RecordKey::Agent(id.to_owned()));
        Outcome::CHANGED
    }

    fn prune_unreachable(&mut self, before_nanos: i64, max: usize, touched: &mut Touched) {
        let times = self.unreachable.iter();
        let times = times.map(|(id, agent)| (id.as_str(), agent.at_nanos));
        for id in outdated(times, before_nanos, max) {
            self.unreachable.remove(&id);
            touched.insert(RecordKey::Unreachable(id));
        }
    }

    fn prune_gone(&mut self, before_nanos: i64, max: usize, touched: &mut Touched) {
        let times = self.gone.iter();
        let times = times.map(|(id, at_nanos)| (id.as_str(), *at_nanos));
        for id in outdated(times, before_nanos, max) {
            self.gone.remove(&id);
            touched.insert(RecordKey::Gone(id));
        }
    }

    /// Asks for [`AGENT_DRAINING`] just while an agent drains or is deactivated.
    fn require_draining(&mut self, touched: &mut Touched) {
        let admitted = self.agents.values();
        let unreachable = self.unreachable.values();
        let needed = admitted
            .map(|agent| agent.deactivated || agent.drain.is_some())
            .chain(unreachable.map(|agent| agent.deactivated || agent.drain.is_some()))
            .any(|draining| draining);
        self.require(AGENT_DRAINING, needed, touched);
    }
}

/// Of agents and since when each is absent, the ids that [`Command::Prune`](crate::Command::Prune) forgets: those
/// before the time, and the oldest beyond `max`.
pub fn outdated<'a>(
    times: impl ExactSizeIterator<Item = (&'a str, i64)> + Clone,
    before_nanos: i64,
    max: usize,
) -> Vec<String> {
    if times.len() <= max && times.clone().all(|(_, at)| at >= before_nanos) {
        return Vec::new();
    }
    let mut oldest_first: Vec<(i64, &str)> = times.map(|(id, at)| (at, id)).collect();
    oldest_first.sort_unstable();
    let excess = oldest_first.len().saturating_sub(max);
    let outdated = oldest_first
        .iter()
        .enumerate()
        .filter(|(rank, (at, _))| *rank < excess || *at < before_nanos);
    outdated.map(|(_, (_, id))| (*id).to_owned()).collect()
}

fn not_admitted(id: &str) -> Outcome {
    Outcome::refused(format!("agent {id} is not admitted"))
}

fn too_many_agents() -> Outcome {
    Outcome::refused(format!("{MAX_AGENTS} agents are admitted, no more fit"))
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
