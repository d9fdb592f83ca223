//! Inverse offers: frameworks that hold something on a machine that will not be there are asked to leave it
//! (Mesos: docs/maintenance.md). What they answer is shown to the operator; nobody enforces it.
//!
//! Owns who was asked, what was answered and until when nobody is asked again. Costs nothing while no agent is
//! scheduled: what happens on those that are marks them to be looked at, once at the end of the turn.
//! Source of the rules: Mesos `hierarchical.cpp`, `generateInverseOffers` and `updateInverseOffer`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tepui_messages::{UnixNanos, change::Change};
use tepui_protocol::v1::{
    AgentId, InverseOffer, OfferId, TimeInfo, Unavailability,
    allocator::{InverseOfferStatus, inverse_offer_status::Status},
    scheduler::{Event, event},
};

use crate::{
    core::{MasterCore, Turn},
    frameworks::framework_id,
    offers::{agent_url, refusal},
    removals::nanos,
    timers::Timer,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Inverse {
    /// Agents whose machines are in the schedule.
    pub(crate) agents: BTreeMap<String, Scheduled>,
    /// What stands, by number; numbers are shared with offers.
    pub(crate) offers: BTreeMap<u64, Standing>,
    /// Agents on which somebody may have to be asked.
    marked: BTreeSet<String>,
    /// When which framework may be asked of which agent again.
    pub(crate) refusals: BTreeSet<(UnixNanos, String, String)>,
}

/// An agent that will not be there for a time.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) unavailability: Unavailability,
    /// Frameworks that were asked, and have not answered.
    pub(crate) asked: BTreeMap<String, u64>,
    pub(crate) answers: BTreeMap<String, InverseOfferStatus>,
    /// Frameworks that are not asked again before.
    pub(crate) refusing: BTreeMap<String, UnixNanos>,
}

/// An inverse offer that stands.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) offer: Arc<InverseOffer>,
    pub(crate) framework_id: String,
    pub(crate) agent_id: String,
    pub(crate) made_at: UnixNanos,
}

impl Inverse {
    /// When the agent will not be there, if its machine is scheduled.
    pub(crate) fn unavailability(&self, agent: &str) -> Option<Unavailability> {
        if self.agents.is_empty() {
            return None;
        }
        let scheduled = self.agents.get(agent);
        scheduled.map(|scheduled| scheduled.unavailability)
    }

    /// Something on the agent changed hands, or somebody may be asked again.
    pub(crate) fn mark(&mut self, agent: &str) {
        if self.agents.contains_key(agent) {
            self.marked.insert(agent.to_string());
        }
    }

    fn mark_all(&mut self) {
        self.marked.extend(self.agents.keys().cloned());
    }

    /// Whoever refused to be asked of the agent may be asked again.
    pub(crate) fn forget_refusals_on(&mut self, agent: &str) {
        let scheduled = self.agents.get(agent);
        let refusing = scheduled.map(|it| it.refusing.keys().cloned().collect::<Vec<_>>());
        for framework in refusing.unwrap_or_default() {
            self.asks_again(&framework, agent);
        }
    }

    fn asks_again(&mut self, framework: &str, agent: &str) {
        let scheduled = self.agents.get_mut(agent);
        if let Some(at) = scheduled.and_then(|it| it.refusing.remove(framework)) {
            let entry = (at, agent.to_string(), framework.to_string());
            self.refusals.remove(&entry);
            self.marked.insert(agent.to_string());
        }
    }
}

impl MasterCore {
    /// The agent's machine entered the schedule (`Some`), or left it; what frameworks said before is void.
    pub(crate) fn schedule_agent(
        &mut self,
        agent: &str,
        unavailability: Option<Unavailability>,
        turn: &mut Turn<'_>,
    ) {
        let before = self.inverse.agents.remove(agent);
        if let Some(before) = before {
            for (framework, at) in before.refusing {
                let entry = (at, agent.to_string(), framework);
                self.inverse.refusals.remove(&entry);
            }
            if !before.answers.is_empty() {
                self.publish_answers(agent, turn);
            }
        }
        if let Some(unavailability) = unavailability {
            let scheduled = Scheduled {
                unavailability,
                asked: BTreeMap::new(),
                answers: BTreeMap::new(),
                refusing: BTreeMap::new(),
            };
            self.inverse.agents.insert(agent.to_string(), scheduled);
            self.inverse.mark(agent);
        }
    }

    /// The agent is gone from the tables.
    pub(crate) fn unschedule_agent(&mut self, agent: &str, turn: &mut Turn<'_>) {
        self.end_inverse_offers_of_agent(agent, turn);
        self.schedule_agent(agent, None, turn);
    }

    /// Takes back, and tells, what asks for this agent.
    pub(crate) fn end_inverse_offers_of_agent(&mut self, agent: &str, turn: &mut Turn<'_>) {
        let scheduled = self.inverse.agents.get(agent);
        let asked = scheduled.map(|it| it.asked.values().copied().collect::<Vec<_>>());
        for number in asked.unwrap_or_default() {
            self.rescind_inverse_offer(number, turn);
        }
    }

    /// What a framework was asked, without telling it: it went away, or left.
    pub(crate) fn discard_inverse_offers(&mut self, framework: &str, turn: &mut Turn<'_>) {
        if self.inverse.offers.is_empty() {
            return;
        }
        let asked = self.inverse.agents.values();
        let asked = asked.filter_map(|agent| agent.asked.get(framework).copied());
        for number in asked.collect::<Vec<_>>() {
            self.take_inverse_offer(number, turn);
        }
    }

    /// The framework has ended: what it answered concerns nobody any more.
    pub(crate) fn forget_inverse_offers(&mut self, framework: &str, turn: &mut Turn<'_>) {
        self.discard_inverse_offers(framework, turn);
        self.ask_again(framework);
        let agents = self.inverse.agents.iter_mut();
        let answered = agents.filter_map(|(id, agent)| {
            let answer = agent.answers.remove(framework);
            answer.map(|_| id.clone())
        });
        for agent in answered.collect::<Vec<_>>() {
            self.publish_answers(&agent, turn);
        }
    }

    /// REVIVE: nothing that the framework refused to be asked of keeps it from being asked.
    pub(crate) fn ask_again(&mut self, framework: &str) {
        if self.inverse.refusals.is_empty() {
            return;
        }
        let agents = self.inverse.agents.iter();
        let refusing = agents.filter(|(_, agent)| agent.refusing.contains_key(framework));
        for agent in refusing.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.inverse.asks_again(framework, &agent);
        }
    }

    /// It is back, and may hold something anywhere.
    pub(crate) fn ask_returned_framework(&mut self) {
        self.inverse.mark_all();
    }

    pub(crate) fn rescind_inverse_offer(&mut self, number: u64, turn: &mut Turn<'_>) {
        let Some(standing) = self.take_inverse_offer(number, turn) else {
            return;
        };
        self.inverse.mark(&standing.agent_id);
        let framework = self.frameworks.get(&standing.framework_id);
        if let Some(stream) = framework.and_then(|it| it.stream_id.as_deref()) {
            let inverse_offer_id = standing.offer.id.clone();
            turn.event(
                stream,
                Event {
                    r#type: Some(event::Type::RescindInverseOffer as i32),
                    rescind_inverse_offer: Some(event::RescindInverseOffer { inverse_offer_id }),
                    ..Default::default()
                },
            );
        }
    }

    fn take_inverse_offer(&mut self, number: u64, turn: &mut Turn<'_>) -> Option<Standing> {
        let standing = self.inverse.offers.remove(&number)?;
        if let Some(agent) = self.inverse.agents.get_mut(&standing.agent_id) {
            agent.asked.remove(&standing.framework_id);
        }
        self.change(
            turn,
            Change::InverseOfferRemoved {
                framework_id: framework_id(&standing.framework_id),
                offer_id: standing.offer.id.clone(),
            },
        );
        Some(standing)
    }

    /// ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS; what is not there any more, or another's, is ignored.
    pub(crate) fn answer_inverse_offers(
        &mut self,
        framework: &str,
        (status, ids): (Status, &[OfferId]),
        refuse_seconds: Option<f64>,
        turn: &mut Turn<'_>,
    ) {
        for id in ids {
            let number = self.number_of(id);
            let standing = number.and_then(|number| self.inverse.offers.get(&number));
            if standing.is_none_or(|it| it.framework_id != framework || it.offer.id != *id) {
                tracing::info!(
                    framework,
                    offer = id.value,
                    "the inverse offer is no longer valid"
                );
                continue;
            }
            let taken = number.and_then(|number| self.take_inverse_offer(number, turn));
            let Some(Standing { agent_id, .. }) = taken else {
                continue;
            };
            self.note_answer(framework, &agent_id, status, turn);
            let lasts = refusal(refuse_seconds).max(self.config.allocation_interval);
            self.refuse_to_be_asked(framework, &agent_id, lasts, turn.now);
        }
    }

    fn note_answer(&mut self, framework: &str, agent: &str, status: Status, turn: &mut Turn<'_>) {
        let answer = InverseOfferStatus {
            status: status as i32,
            framework_id: framework_id(framework),
            timestamp: TimeInfo {
                nanoseconds: turn.now,
            },
        };
        if let Some(scheduled) = self.inverse.agents.get_mut(agent) {
            scheduled.answers.insert(framework.to_string(), answer);
            self.publish_answers(agent, turn);
        }
    }

    fn refuse_to_be_asked(
        &mut self,
        framework: &str,
        agent: &str,
        lasts: Duration,
        now: UnixNanos,
    ) {
        self.inverse.asks_again(framework, agent);
        let until = now.saturating_add(nanos(lasts));
        if let Some(scheduled) = self.inverse.agents.get_mut(agent) {
            scheduled.refusing.insert(framework.to_string(), until);
            let entry = (until, agent.to_string(), framework.to_string());
            self.inverse.refusals.insert(entry);
            self.time_inverse_refusals();
        }
    }

    fn time_inverse_refusals(&mut self) {
        if let Some((at, _, _)) = self.inverse.refusals.first() {
            self.timers.set(*at, Timer::InverseRefusal);
        }
    }

    /// Who refused to be asked may be asked again.
    pub(crate) fn end_inverse_refusals(&mut self, now: UnixNanos) {
        while let Some((at, agent, framework)) = self.inverse.refusals.first().cloned()
            && at <= now
        {
            self.inverse.asks_again(&framework, &agent);
        }
        self.time_inverse_refusals();
    }

    fn publish_answers(&mut self, agent: &str, turn: &mut Turn<'_>) {
        let scheduled = self.inverse.agents.get(agent);
        let answers = scheduled.map(|it| it.answers.values().cloned().collect::<Vec<_>>());
        self.change(
            turn,
            Change::InverseOffersAnswered {
                agent_id: AgentId {
                    value: agent.to_string(),
                },
                answers: answers.unwrap_or_default().into(),
            },
        );
    }

    /// At the end of each turn: asks whoever holds something where that is new, all of one framework at once.
    pub(crate) fn ask_for_agents(&mut self, turn: &mut Turn<'_>) {
        let mut asked: BTreeMap<String, Vec<InverseOffer>> = BTreeMap::new();
        for agent in std::mem::take(&mut self.inverse.marked) {
            for framework in self.to_be_asked(&agent) {
                if let Some(offer) = self.make_inverse_offer(&framework, &agent, turn) {
                    asked.entry(framework).or_default().push(offer);
                }
            }
        }
        for (framework, inverse_offers) in asked {
            let framework = self.frameworks.get(&framework);
            if let Some(stream_id) = framework.and_then(|it| it.stream_id.as_deref()) {
                turn.event(
                    stream_id,
                    Event {
                        r#type: Some(event::Type::InverseOffers as i32),
                        inverse_offers: Some(event::InverseOffers { inverse_offers }),
                        ..Default::default()
                    },
                );
            }
        }
    }

    /// Frameworks that hold something on the agent, were not asked, and do not refuse to be.
    fn to_be_asked(&self, agent: &str) -> BTreeSet<String> {
        let scheduled = self.inverse.agents.get(agent);
        let known = self.agents.get(agent).filter(|it| it.record.active);
        let (Some(scheduled), Some(known)) = (scheduled, known) else {
            return BTreeSet::new();
        };
        let tasks = known.tasks.iter().filter(|(framework, task)| {
            let framework = self.frameworks.get(framework);
            let entry = framework.and_then(|framework| framework.tasks.get(task));
            entry.is_some_and(|entry| entry.holds_resources)
        });
        let running = tasks
            .chain(&known.executors)
            .map(|(framework, _)| framework);
        let offers = known.offers.iter();
        let offered = offers.filter_map(|number| Some(&self.offers.get(number)?.framework_id));
        let wanted = running.chain(offered).filter(|framework| {
            let known = self.frameworks.get(*framework);
            known.is_some_and(|known| known.record.active)
                && !scheduled.asked.contains_key(*framework)
                && !scheduled.refusing.contains_key(*framework)
        });
        wanted.cloned().collect()
    }

    fn make_inverse_offer(
        &mut self,
        framework: &str,
        agent: &str,
        turn: &mut Turn<'_>,
    ) -> Option<InverseOffer> {
        let record = &self.agents.get(agent)?.record;
        let scheduled = self.inverse.agents.get_mut(agent)?;
        let number = self.next_offer;
        self.next_offer += 1;
        let offer = InverseOffer {
            id: OfferId {
                value: format!("{}-O{number}", self.config.info.id),
            },
            url: Some(agent_url(&record.pid, &record.info.hostname)),
            framework_id: framework_id(framework),
            agent_id: record.info.id.clone(),
            unavailability: scheduled.unavailability,
            resources: Vec::new(),
        };
        scheduled.asked.insert(framework.to_string(), number);
        let standing = Standing {
            offer: Arc::new(offer.clone()),
            framework_id: framework.to_string(),
            agent_id: agent.to_string(),
            made_at: turn.now,
        };
        let told = Arc::clone(&standing.offer);
        self.inverse.offers.insert(number, standing);
        self.time_offers();
        self.change(turn, Change::InverseOfferAdded(told));
        Some(offer)
    }
}

#[cfg(test)]
#[path = "inverse_tests.rs"]
mod tests;
