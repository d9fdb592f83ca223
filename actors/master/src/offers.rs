//! Offers: made from proposals, taken back, declined (Mesos: `Master::offer`, `rescindOffer` and `decline`).

use std::{collections::BTreeMap, slice, sync::Arc, time::Duration};

use tepui_messages::{
    allocator::{Allocation, MAX_REFUSAL, Proposal, Proposals, WorldChange},
    change::{Change, OfferEnd},
};
use tepui_protocol::{
    resources::{self, Resources},
    v1::{
        Address, AgentId, Offer, OfferId, Resource, Url,
        framework_info::capability::Type as Capability,
        resource::AllocationInfo,
        scheduler::{Event, event},
    },
};

use crate::{
    core::{MasterCore, Turn},
    frameworks::framework_id,
    removals::nanos,
    tables::OfferEntry,
    timers::Timer,
};

/// Declined resources stay away this long unless the scheduler says otherwise (Mesos: `Filters.refuse_seconds`).
const DEFAULT_REFUSE_SECONDS: f64 = 5.0;

impl MasterCore {
    /// A framework hears of all offers of a run together, whatever its roles.
    pub(crate) fn propose_offers(&mut self, run: Proposals, turn: &mut Turn<'_>) {
        let mut all: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for proposal in run.proposals {
            let framework = self.frameworks.get(&proposal.framework_id.value);
            if framework.is_some_and(|framework| framework.told_at > run.seen) {
                continue;
            }
            let mut offers = Vec::new();
            for (agent_id, resources) in &proposal.agents {
                let agent = self.agents.get(&agent_id.value);
                if agent.is_some_and(|agent| agent.told_at > run.seen) {
                    continue;
                }
                let is_void = agent.is_some_and(|agent| agent.converted_at > run.seen);
                let offer = (!is_void)
                    .then(|| self.make_offer(&proposal, agent_id, resources, turn))
                    .flatten();
                match offer {
                    Some(offer) => offers.push(offer),
                    None => {
                        turn.allocator(WorldChange::Recovered {
                            agent_id: AgentId::clone(agent_id),
                            allocation: Allocation {
                                framework_id: proposal.framework_id.clone(),
                                role: proposal.role.clone(),
                                resources: Arc::clone(resources),
                            },
                            refused_for: None,
                        });
                    }
                }
            }
            if !offers.is_empty() {
                let of_framework = all.entry(proposal.framework_id.value.clone());
                of_framework.or_default().append(&mut offers);
            }
        }
        for (framework, offers) in all {
            self.send_offers(&framework, offers, turn);
        }
    }

    fn send_offers(&self, framework: &str, offers: Vec<Offer>, turn: &mut Turn<'_>) {
        let stream = self
            .frameworks
            .get(framework)
            .and_then(|framework| framework.stream_id.as_deref());
        if let (Some(stream_id), false) = (stream, offers.is_empty()) {
            turn.event(
                stream_id,
                Event {
                    r#type: Some(event::Type::Offers as i32),
                    offers: Some(event::Offers { offers }),
                    ..Default::default()
                },
            );
        }
    }

    /// The offer as the framework sees it; `None` where it can no longer be made.
    fn make_offer(
        &mut self,
        proposal: &Proposal,
        agent_id: &AgentId,
        resources: &Arc<[Resource]>,
        turn: &mut Turn<'_>,
    ) -> Option<Offer> {
        let framework = self
            .frameworks
            .get_mut(&proposal.framework_id.value)
            .filter(|f| f.record.active && f.has_role(&proposal.role))?;
        let agent = self
            .agents
            .get_mut(&agent_id.value)
            .filter(|agent| agent.record.active)?;
        let number = self.next_offer;
        let info = &agent.record.info;
        let allocation = AllocationInfo {
            role: Some(proposal.role.clone()),
        };
        let mut offered = resources.to_vec();
        describe_volumes(&mut offered, &agent.record.total);
        for resource in &mut offered {
            resource.allocation_info = Some(allocation.clone());
        }
        let executor_ids = agent
            .executors
            .iter()
            .filter(|(framework_id, _)| *framework_id == proposal.framework_id.value)
            .map(|(_, executor)| tepui_protocol::v1::ExecutorId {
                value: executor.clone(),
            })
            .collect();
        let full = Offer {
            id: OfferId {
                value: format!("{}-O{number}", self.config.info.id),
            },
            framework_id: proposal.framework_id.clone(),
            agent_id: agent_id.clone(),
            hostname: info.hostname.clone(),
            url: Some(agent_url(&agent.record.pid, &info.hostname)),
            domain: info.domain.clone(),
            resources: offered,
            attributes: info.attributes.clone(),
            executor_ids,
            unavailability: self.inverse.unavailability(&agent_id.value),
            allocation_info: Some(allocation),
        };
        let mut seen = if framework.has(Capability::MultiRole) {
            full.clone()
        } else {
            single_role(full.clone())
        };
        if !framework.has(Capability::ReservationRefinement) {
            // When it was proposed, the framework may have known refined reservations.
            resources::downgrade(&mut seen.resources).ok()?;
        }
        self.next_offer += 1;
        framework.offers.insert(number);
        agent.offers.insert(number);
        let full = Arc::new(full);
        let entry = OfferEntry {
            offer: Arc::clone(&full),
            framework_id: proposal.framework_id.value.clone(),
            agent_id: agent_id.value.clone(),
            role: proposal.role.clone(),
            resources: Arc::clone(resources),
            made_at: turn.now,
        };
        self.offers.insert(number, entry);
        self.inverse.mark(&agent_id.value);
        self.time_offers();
        let at = turn.now;
        self.change(turn, Change::OfferAdded { offer: full, at });
        Some(seen)
    }

    /// Sees to it that the oldest offer, which has the least number, ends in time; inverse offers too.
    pub(crate) fn time_offers(&mut self) {
        let running = self.timers.due(&Timer::OfferTimeout).is_some();
        let (Some(timeout), false) = (self.config.offer_timeout, running) else {
            return;
        };
        let offer = self.offers.first_key_value();
        let inverse = self.inverse.offers.first_key_value();
        let made_at = [
            offer.map(|(_, oldest)| oldest.made_at),
            inverse.map(|(_, oldest)| oldest.made_at),
        ];
        if let Some(oldest) = made_at.into_iter().flatten().min() {
            let ends_at = oldest.saturating_add(nanos(timeout));
            self.timers.set(ends_at, Timer::OfferTimeout);
        }
    }

    /// Takes back what has stood for as long as offers may.
    pub(crate) fn time_out_offers(&mut self, turn: &mut Turn<'_>) {
        let timeout = self.config.offer_timeout.map_or(i64::MAX, nanos);
        while let Some((number, oldest)) = self.offers.first_key_value()
            && oldest.made_at.saturating_add(timeout) <= turn.now
        {
            self.rescind_offer(*number, turn);
        }
        while let Some((number, oldest)) = self.inverse.offers.first_key_value()
            && oldest.made_at.saturating_add(timeout) <= turn.now
        {
            self.rescind_inverse_offer(*number, turn);
        }
        self.time_offers();
    }

    /// The number in an id of an offer or inverse offer of this master, which may be gone.
    pub(crate) fn number_of(&self, id: &OfferId) -> Option<u64> {
        let number = id.value.strip_prefix(&self.config.info.id)?;
        number.strip_prefix("-O")?.parse().ok()
    }

    /// The number of an offer that stands.
    pub(crate) fn offer_number(&self, id: &OfferId) -> Option<u64> {
        let number = self.number_of(id)?;
        let known = self.offers.get(&number)?;
        (known.offer.id == *id).then_some(number)
    }

    /// Takes an offer off the tables; what becomes of its resources is the caller's business.
    pub(crate) fn take_offer(
        &mut self,
        number: u64,
        end: OfferEnd,
        turn: &mut Turn<'_>,
    ) -> Option<OfferEntry> {
        let entry = self.offers.remove(&number)?;
        if let Some(framework) = self.frameworks.get_mut(&entry.framework_id) {
            framework.offers.remove(&number);
        }
        if let Some(agent) = self.agents.get_mut(&entry.agent_id) {
            agent.offers.remove(&number);
        }
        self.change(
            turn,
            Change::OfferRemoved {
                framework_id: framework_id(&entry.framework_id),
                offer_id: entry.offer.id.clone(),
                end,
                at: turn.now,
            },
        );
        Some(entry)
    }

    /// Takes an offer back; its resources are free, with a filter or without.
    fn return_offer(
        &mut self,
        number: u64,
        end: OfferEnd,
        refused_for: Option<Duration>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(entry) = self.take_offer(number, end, turn) {
            if let Some(refused_for) = refused_for {
                self.note_refusal(&entry, refused_for, turn);
            }
            turn.allocator(WorldChange::Recovered {
                agent_id: entry.offer.agent_id.clone(),
                allocation: entry.allocation(),
                refused_for,
            });
        }
    }

    /// All offers of a framework, without telling it.
    pub(crate) fn discard_offers(&mut self, framework: &str, turn: &mut Turn<'_>) {
        let Some(framework) = self.frameworks.get(framework) else {
            return;
        };
        for number in framework.offers.clone() {
            self.return_offer(number, OfferEnd::Lost, None, turn);
        }
    }

    /// Takes back an offer and tells its framework.
    pub(crate) fn rescind_offer(&mut self, number: u64, turn: &mut Turn<'_>) {
        self.rescind_offer_for(number, None, turn);
    }

    /// As if the framework had refused it for so long.
    pub(crate) fn rescind_offer_for(
        &mut self,
        number: u64,
        refused_for: Option<Duration>,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self.offers.get(&number) else {
            return;
        };
        let offer_id = entry.offer.id.clone();
        let stream = self
            .frameworks
            .get(&entry.framework_id)
            .and_then(|framework| framework.stream_id.clone());
        self.return_offer(number, OfferEnd::Rescinded, refused_for, turn);
        if let Some(stream_id) = stream {
            turn.event(
                &stream_id,
                Event {
                    r#type: Some(event::Type::Rescind as i32),
                    rescind: Some(event::Rescind { offer_id }),
                    ..Default::default()
                },
            );
        }
    }

    pub(crate) fn rescind_offers_of_agent(&mut self, agent: &str, turn: &mut Turn<'_>) {
        let offers = self
            .agents
            .get(agent)
            .map(|agent| agent.offers.clone())
            .unwrap_or_default();
        for number in offers {
            self.rescind_offer(number, turn);
        }
    }

    /// After an update of its roles: offers under roles it has left.
    pub(crate) fn rescind_offers_outside(
        &mut self,
        framework: &str,
        roles: &[String],
        turn: &mut Turn<'_>,
    ) {
        let offers = self.frameworks[framework].offers.clone();
        for number in offers {
            if !roles.contains(&self.offers[&number].role) {
                self.rescind_offer(number, turn);
            }
        }
    }

    /// DECLINE: unknown ids are ignored.
    pub(crate) fn decline(
        &mut self,
        framework: &str,
        ids: &[OfferId],
        refuse_seconds: Option<f64>,
        turn: &mut Turn<'_>,
    ) {
        let refused_for = refusal(refuse_seconds);
        for number in ids
            .iter()
            .filter_map(|id| self.offer_number(id))
            .collect::<Vec<_>>()
        {
            if self
                .offers
                .get(&number)
                .is_some_and(|offer| offer.framework_id == framework)
            {
                let end = OfferEnd::Declined { refused_for };
                self.return_offer(number, end, Some(refused_for), turn);
            }
        }
    }
}

/// How long resources are refused: default where unset, negative or not a number; at most a year. Zero is until the
/// allocator's next interval: at once would play the offer back and forth.
pub(crate) fn refusal(refuse_seconds: Option<f64>) -> Duration {
    let seconds = match refuse_seconds {
        Some(seconds) if seconds >= 0.0 => seconds.min(MAX_REFUSAL.as_secs_f64()),
        _ => DEFAULT_REFUSE_SECONDS,
    };
    Duration::from_secs_f64(seconds)
}

/// Where an agent's HTTP endpoints are, from its pid `slave(1)@ip:port`.
pub(crate) fn agent_url(pid: &str, hostname: &str) -> Url {
    let (process, address) = pid.split_once('@').unwrap_or(("slave(1)", pid));
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    Url {
        scheme: "http".to_string(),
        address: Address {
            hostname: Some(hostname.to_string()),
            ip: Some(ip.to_string()),
            port: port.parse().unwrap_or(0),
        },
        path: Some(format!("/{process}")),
        ..Default::default()
    }
}

/// The allocator takes volumes for the same wherever a task sees them and whoever made them, on all agents: of that it
/// knows only what it saw first. The agent's own are shown.
fn describe_volumes(offered: &mut [Resource], total: &[Resource]) {
    let mut volumes: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
    for resource in total {
        if let Some(id) = persistence_id(resource) {
            volumes.entry(id).or_default().push(resource);
        }
    }
    if volumes.is_empty() {
        return;
    }
    let value = |resource: &Resource| Resources::from_proto_unchecked(slice::from_ref(resource));
    for resource in offered {
        let named = persistence_id(resource).and_then(|id| volumes.get(id));
        let mut named = named.into_iter().flatten();
        let known = named.find(|known| value(known) == value(resource));
        let known = known.and_then(|known| known.disk.clone());
        if let (Some(disk), Some(known)) = (&mut resource.disk, known) {
            disk.volume = known.volume;
            disk.persistence = known.persistence;
        }
    }
}

fn persistence_id(resource: &Resource) -> Option<&str> {
    let disk = resource.disk.as_ref()?;
    Some(&disk.persistence.as_ref()?.id)
}

/// Without MULTI_ROLE a framework does not see what role was allocated to.
fn single_role(mut offer: Offer) -> Offer {
    offer.allocation_info = None;
    for resource in &mut offer.resources {
        resource.allocation_info = None;
    }
    offer
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
