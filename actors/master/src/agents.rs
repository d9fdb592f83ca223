//! Agents: admission and return (Mesos: `Master::registerSlave`, `reregisterSlave` and what they lead to).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use tepui_messages::{
    allocator::WorldChange,
    change::{AgentRecord, Change},
    master::PeerId,
    registrar::WriteRefusal,
    traffic::Count,
};
use tepui_protocol::{
    node,
    v1::{AgentId, AgentInfo},
    validate,
};

use crate::{
    commands,
    core::{Effect, MasterCore, Pending, Token, Turn},
    feedback::total_of,
    losses::Leaving,
    oversubscription::lent_by,
    tables::Agent,
    takeover::Comes,
    timers::Timer,
};

/// An agent that waits for the registry.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) token: Token,
    pub(crate) peer: PeerId,
    pub(crate) request: node::RegisterAgent,
    /// The connection broke while the write was under way.
    pub(crate) lost: bool,
}

impl MasterCore {
    pub(crate) fn agent_registers(
        &mut self,
        token: Token,
        peer: PeerId,
        address: IpAddr,
        mut request: Box<node::RegisterAgent>,
        turn: &mut Turn<'_>,
    ) {
        self.count(match request.agent_info.id {
            Some(_) => Count::ReregisterAgent,
            None => Count::RegisterAgent,
        });
        if let Err(reason) = validate::registration::registration(&request) {
            tracing::warn!(%address, reason, "agent refused");
            return self.refuse_agent(token, &reason, false, turn);
        }
        let total = total_of(
            &request.agent_info.resources,
            &request.checkpointed_resources,
        );
        if let Err(reason) = total {
            tracing::warn!(%address, reason, "agent refused");
            return self.refuse_agent(token, &reason, false, turn);
        }
        let domain = self.check_domain(&request.agent_info);
        let allowed = domain.map_err(str::to_string);
        let allowed = allowed.and_then(|()| self.authorize_agent(&request.agent_info));
        if let Err(reason) = allowed {
            tracing::warn!(%address, reason, "agent refused");
            return self.refuse_agent(token, &reason, false, turn);
        }
        if let Some(reason) = self.engaged(peer, request.agent_info.id.as_ref()) {
            return self.refuse_agent(token, &reason, false, turn);
        }
        if self
            .machines
            .is_down(&request.agent_info.hostname, &request.pid)
        {
            return self.refuse_agent(token, "Machine is `DOWN`", true, turn);
        }
        let Some(id) = request.agent_info.id.clone() else {
            let id = format!("{}-S{}", self.config.info.id, self.next_agent);
            self.next_agent += 1;
            request.agent_info.id = Some(AgentId { value: id });
            self.replace_lost_agent_at(&request.pid, turn);
            return self.write_admission_of(token, peer, *request, false, turn);
        };
        let id = id.value;
        if self.gone_agents.contains_key(&id) {
            return self.refuse_agent(token, "Agent has been marked gone", true, turn);
        }
        if self.agents_in_transition.contains(&id) {
            return self.refuse_agent(
                token,
                "a write about this agent is under way; try again",
                false,
                turn,
            );
        }
        if self
            .agents
            .get(&id)
            .is_some_and(|agent| moved(agent, &request))
        {
            let reason = "Agent attempted to re-register with a different IP or hostname";
            return self.refuse_agent(token, reason, true, turn);
        }
        let known_info = self
            .agents
            .get(&id)
            .map(|agent| &agent.record.info)
            .or_else(|| self.recovered_agents.get(&id));
        let known_info = known_info.map(|info| &**info);
        let was_unreachable = self.unreachable_agents.contains_key(&id);
        if known_info == Some(&request.agent_info) && !was_unreachable {
            return self.admit(
                Admission {
                    token,
                    peer,
                    request: *request,
                    lost: false,
                },
                turn,
            );
        }
        self.write_admission_of(token, peer, *request, was_unreachable, turn);
    }

    /// A cluster has domains, or it has none. The agent asks again: the masters may be on their way to have some.
    fn check_domain(&self, info: &AgentInfo) -> Result<(), &'static str> {
        match (&info.domain, &self.config.info.domain) {
            (Some(_), None) => Err(
                "the agent has a domain and the master has none; start the master with --domain",
            ),
            (None, _) if self.config.require_agent_domain => {
                Err("the agent has no domain; start it with --domain, which the master requires")
            }
            _ => Ok(()),
        }
    }

    /// Why this connection cannot register now: it stands for one agent, and asks one thing at a time.
    fn engaged(&self, peer: PeerId, id: Option<&AgentId>) -> Option<String> {
        if self.admissions.contains_key(&peer) {
            return Some("a registration on this connection is under way; try again".to_string());
        }
        let known = self.peers.get(&peer)?;
        if id.is_some_and(|id| id.value == *known) {
            return None;
        }
        Some(format!(
            "agent {known} is registered on this connection; register with its id, or on another connection"
        ))
    }

    fn write_admission_of(
        &mut self,
        token: Token,
        peer: PeerId,
        request: node::RegisterAgent,
        was_unreachable: bool,
        turn: &mut Turn<'_>,
    ) {
        let id = agent_id_of(&request);
        let known = self.agents.contains_key(&id) || self.recovered_agents.contains_key(&id);
        let command = match (was_unreachable, known) {
            (true, _) => commands::mark_reachable(&request.agent_info),
            (false, true) => commands::update_agent(&request.agent_info),
            (false, false) => commands::admit_agent(&request.agent_info),
        };
        self.agents_in_transition.insert(id);
        let admission = Admission {
            token,
            peer,
            request,
            lost: false,
        };
        let ticket = self.write(turn, command, Pending::AgentAdmission(Box::new(admission)));
        self.admissions.insert(peer, ticket);
    }

    pub(crate) fn admission_written(
        &mut self,
        admission: Admission,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        self.admissions.remove(&admission.peer);
        self.agents_in_transition
            .remove(&agent_id_of(&admission.request));
        match refused {
            Some(reason) => {
                self.refuse_agent(admission.token, &reason.to_string(), false, turn);
            }
            None => {
                let id = agent_id_of(&admission.request);
                self.admit(admission, turn);
                let record = self.agents.get(&id).map(|agent| &agent.record);
                if record.is_some_and(|it| self.machines.is_down(&it.info.hostname, &it.pid)) {
                    self.end_agent_that_is_down(&id, turn);
                }
            }
        }
    }

    pub(crate) fn refuse_agent(
        &self,
        token: Token,
        reason: &str,
        shutdown: bool,
        turn: &mut Turn<'_>,
    ) {
        let registration = node::AgentRegistration {
            refusal: Some(reason.to_string()),
            shutdown: Some(shutdown),
            term: Some(self.term),
            ..Default::default()
        };
        turn.effects.push(Effect::AnswerAgent {
            token,
            registration: Box::new(registration),
        });
    }

    /// A new agent where a lost one answered HTTP: the old one will not come back.
    fn replace_lost_agent_at(&mut self, pid: &str, turn: &mut Turn<'_>) {
        if self.agents.len() == self.peers.len() {
            // Nobody is lost. A cluster that begins has thousands to ask for, and none to find.
            return;
        }
        let old = self
            .agents
            .values()
            .find(|agent| agent.record.pid == pid && agent.peer.is_none());
        if let Some(id) = old.map(|agent| agent.id().to_string()) {
            self.leave(&id, Leaving::Replaced, turn);
        }
    }

    /// The agent is in the registry: it is believed from here on.
    fn admit(&mut self, admission: Admission, turn: &mut Turn<'_>) {
        let Admission {
            token,
            peer,
            request,
            lost,
        } = admission;
        let id = agent_id_of(&request);
        self.timers.cancel(&Timer::Unreachable {
            agent_id: id.clone(),
        });
        if self.given_up.remove(&id) {
            self.count(Count::UnreachableCanceled);
        }
        self.timers.cancel(&Timer::Disconnected {
            agent_id: id.clone(),
        });
        let recovered = self.recovered_agents.remove(&id);
        self.notice_attributes(&request.agent_info, recovered.as_deref(), turn);
        let comes = match (self.unreachable_agents.remove(&id), recovered) {
            (Some(_), _) => Comes::Unreachable,
            (None, Some(_)) => Comes::Awaited,
            (None, None) => Comes::Unknown,
        };
        for framework in &request.frameworks {
            self.know_framework(framework, turn);
        }
        if self.agents.contains_key(&id) {
            self.reconnect_agent(&id, peer, &request, turn);
        } else {
            self.add_agent(&id, peer, &request, comes, turn);
        }
        let reconcile = self.missing_tasks(&id, &request);
        let registration = node::AgentRegistration {
            agent_id: Some(AgentId { value: id.clone() }),
            term: Some(self.term),
            reconcile,
            shutdown_frameworks: self.ended_frameworks(&request),
            master_info: Some(self.config.info.clone()),
            ..Default::default()
        };
        turn.effects.push(Effect::AnswerAgent {
            token,
            registration: Box::new(registration),
        });
        self.tell_of_frameworks(peer, &request, turn);
        self.repeat_operations(&id, peer, turn);
        self.repeat_kills(&id, turn);
        self.go_on_draining(&id, turn);
        self.kill_copies(&id, &request, turn);
        if lost {
            self.agent_lost(peer, false, turn);
        }
    }

    fn add_agent(
        &mut self,
        id: &str,
        peer: PeerId,
        request: &node::RegisterAgent,
        comes: Comes,
        turn: &mut Turn<'_>,
    ) {
        let total = total_of(
            &request.agent_info.resources,
            &request.checkpointed_resources,
        );
        let lent = lent_by(request);
        let total = total.map_or_else(|_| Vec::new(), |total| (total + &lent).to_proto());
        let record = Arc::new(AgentRecord {
            info: Arc::new(request.agent_info.clone()),
            pid: request.pid.clone(),
            version: request.version.clone(),
            capabilities: request.capabilities.clone(),
            connected: true,
            active: !self.deactivated.contains(id),
            deactivated: self.deactivated.contains(id),
            registered_at: turn.now,
            reregistered_at: (comes != Comes::Unknown).then_some(turn.now),
            total,
            drain_info: self.draining.get(id).copied(),
            drain_started_at: self.draining.contains_key(id).then_some(turn.now),
            shortcoming: shortcoming_of(request),
        });
        let agent = Agent {
            record: Arc::clone(&record),
            told_at: 0,
            converted_at: 0,
            operations: BTreeMap::new(),
            lent,
            peer: Some(peer),
            is_silent: false,
            tasks: BTreeSet::new(),
            executors: BTreeSet::new(),
            offers: BTreeSet::new(),
            killed: BTreeSet::new(),
            told_lost: BTreeSet::new(),
        };
        self.agents.insert(id.to_string(), Box::new(agent));
        self.look_up_schedule(id, turn);
        self.peers.insert(peer, id.to_string());
        if comes == Comes::Awaited {
            self.recall_tasks(request, turn);
        }
        // Before its tasks: operators hear of these by its id.
        self.change(turn, Change::AgentAdded(Arc::clone(&record)));
        let used = self.take_over(id, request, comes, turn);
        self.take_over_operations(id, peer, request, turn);
        let told_at = turn.allocator(WorldChange::AgentAdded {
            info: Arc::clone(&record.info),
            total: record.total.clone(),
            used,
            active: record.active,
        });
        if let Some(agent) = self.agents.get_mut(id) {
            agent.told_at = told_at;
        }
        if comes == Comes::Awaited {
            self.restore_refusals_on(id, turn);
        }
        self.look_at_hold(turn);
    }

    /// What frameworks refused of an agent with other attributes they may want now.
    fn notice_attributes(
        &mut self,
        info: &AgentInfo,
        recovered: Option<&AgentInfo>,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = &info.id else { return };
        let known = self.agents.get(&id.value);
        let known = known.map(|agent| &*agent.record.info).or(recovered);
        if known.is_some_and(|known| known.attributes != info.attributes) {
            self.forget_refusals_on(&id.value, turn);
            self.inverse.forget_refusals_on(&id.value);
        }
    }

    /// An agent this master never gave up is back on a new connection.
    fn reconnect_agent(
        &mut self,
        id: &str,
        peer: PeerId,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) {
        tracing::info!(agent = id, "an agent is connected again");
        self.drop_executors_not_listed(id, request, turn);
        for allocation in self.take_over(id, request, Comes::Awaited, turn) {
            turn.allocator(WorldChange::Used {
                agent_id: AgentId {
                    value: id.to_string(),
                },
                allocation,
            });
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.lent = lent_by(request);
        }
        let total = self
            .take_over_operations(id, peer, request, turn)
            .to_proto();
        let info = &self.agents[id].record.info;
        let described = (&info.attributes, &info.domain)
            != (&request.agent_info.attributes, &request.agent_info.domain);
        if described || self.agents[id].record.total != total {
            // What they offer may not be there any more.
            self.rescind_offers_of_agent(id, turn);
        }
        let agent = self
            .agents
            .get_mut(id)
            .expect("reconnect is called for a known agent");
        if let Some(old) = agent.peer.replace(peer) {
            self.peers.remove(&old);
        }
        self.peers.insert(peer, id.to_string());
        let resized = agent.record.total != total;
        let record = Arc::make_mut(&mut agent.record);
        record.info = Arc::new(request.agent_info.clone());
        record.pid = request.pid.clone();
        record.version = request.version.clone();
        record.capabilities = request.capabilities.clone();
        record.shortcoming = shortcoming_of(request);
        record.connected = true;
        record.active = !record.deactivated;
        record.reregistered_at = Some(turn.now);
        record.total = total.clone();
        let record = Arc::clone(&agent.record);
        self.inverse.mark(id);
        let agent_id = AgentId {
            value: id.to_string(),
        };
        if described {
            let info = Arc::clone(&record.info);
            turn.allocator(WorldChange::AgentDescribed { info });
            self.forbid_earlier_proposals(id, turn);
        }
        if resized {
            turn.allocator(WorldChange::AgentTotal {
                agent_id: agent_id.clone(),
                total,
            });
            self.forbid_earlier_proposals(id, turn);
        }
        turn.allocator(WorldChange::AgentActive {
            agent_id,
            active: record.active,
        });
        self.change(turn, Change::AgentUpdated(record));
    }
}

fn agent_id_of(request: &node::RegisterAgent) -> String {
    request.agent_info.id.clone().unwrap_or_default().value
}

/// An id belongs to one host: the same id elsewhere is a copied work directory.
fn moved(agent: &Agent, request: &node::RegisterAgent) -> bool {
    agent.record.info.hostname != request.agent_info.hostname
        || ip_of(&agent.record.pid) != ip_of(&request.pid)
}

/// Nobody keeps more of a stranger's words.
const MAX_SHORTCOMING_CHARS: usize = 200;

fn shortcoming_of(request: &node::RegisterAgent) -> Option<String> {
    let text = request.shortcoming.as_ref()?;
    Some(text.chars().take(MAX_SHORTCOMING_CHARS).collect())
}

/// The address in a pid `slave(1)@ip:port`.
pub(crate) fn ip_of(pid: &str) -> &str {
    let address = pid.split_once('@').map_or(pid, |(_, address)| address);
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
