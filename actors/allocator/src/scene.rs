//! A stage for tests of the core: a master's side of the conversation, with short names.

use std::{sync::Arc, time::Duration};

use tepui_kit::Random;
use tepui_messages::allocator::{Allocation, Proposal, WorldChange};
use tepui_protocol::{
    resources::Resources,
    v1::{
        AgentId, AgentInfo, DomainInfo, FrameworkId, FrameworkInfo, OfferFilters, Resource,
        domain_info::{
            FaultDomain,
            fault_domain::{RegionInfo, ZoneInfo},
        },
        framework_info::{Capability, capability},
        offer_filters::{MinAllocatableResources, ResourceQuantities},
        value::Scalar,
    },
};

use crate::core::{AllocatorCore, Config, Effect, Input};

/// An offer as `(framework, role, agent, resources)`.
pub(crate) type Offered = (String, String, String, String);

/// The only offer.
pub(crate) fn one(framework: &str, role: &str, agent: &str, resources: &str) -> Vec<Offered> {
    vec![(
        framework.into(),
        role.into(),
        agent.into(),
        Resources::parse(resources, "*").unwrap().to_string(),
    )]
}

pub(crate) struct Scene {
    pub(crate) core: AllocatorCore,
    pub(crate) now: Duration,
    /// The next proposals reach nobody.
    pub(crate) lose_next: bool,
    wakes: Vec<Duration>,
    offered: Vec<Proposal>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(&Config::default(), 1)
    }

    pub(crate) fn with(config: &Config, seed: u64) -> Self {
        Self {
            core: AllocatorCore::new(config, Random::seeded(seed)).unwrap(),
            now: Duration::from_millis(300),
            lose_next: false,
            wakes: Vec::new(),
            offered: Vec::new(),
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.on(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Propose(_) if std::mem::take(&mut self.lose_next) => {
                    self.input(Input::Undelivered);
                }
                Effect::Propose(proposals) => self.offered.extend(proposals.proposals),
                Effect::WakeAt(at) => self.wakes.push(at),
            }
        }
    }

    /// Tells a change without letting the allocator run.
    pub(crate) fn tell(&mut self, change: WorldChange) {
        self.input(Input::World(change));
    }

    /// Lets everything happen that is due now.
    pub(crate) fn settle(&mut self) {
        while self.wakes.iter().any(|at| *at <= self.now) {
            let now = self.now;
            self.wakes.retain(|at| *at > now);
            self.input(Input::Woke);
        }
    }

    /// Lets time pass, waking the core when it asked for it.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(next) = self.wakes.iter().copied().filter(|at| *at <= end).min() {
            self.now = next;
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn take_proposals(&mut self) -> Vec<Proposal> {
        std::mem::take(&mut self.offered)
    }

    /// Settles, and returns what is offered, one line an agent.
    pub(crate) fn offers(&mut self) -> Vec<Offered> {
        self.settle();
        let mut offers = Vec::new();
        for proposal in self.take_proposals() {
            for (agent, resources) in proposal.agents {
                let resources = Resources::from_proto(&resources).unwrap();
                offers.push((
                    proposal.framework_id.value.clone(),
                    proposal.role.clone(),
                    agent.value.clone(),
                    resources.to_string(),
                ));
            }
        }
        offers
    }

    /// As [`Scene::offers`], without the resources.
    pub(crate) fn takers(&mut self) -> Vec<(String, String)> {
        let offers = self.offers().into_iter();
        offers
            .map(|(framework, _, agent, _)| (framework, agent))
            .collect()
    }

    pub(crate) fn add_agent(&mut self, agent: &str, total: &str) {
        self.tell(agent_added(agent_info(agent), parse(total)));
    }

    pub(crate) fn add_framework(&mut self, framework: &str, roles: &[&str]) {
        self.tell(framework_added(framework_info(framework, roles, &[])));
    }

    pub(crate) fn recover(&mut self, framework: &str, role: &str, agent: &str, resources: &str) {
        self.tell(recovered(framework, role, agent, resources, None));
    }

    pub(crate) fn tell_suppressed(&mut self, framework: &str) {
        self.tell(WorldChange::Suppress {
            framework_id: framework_id(framework),
            roles: Vec::new(),
        });
    }

    pub(crate) fn tell_revived(&mut self, framework: &str) {
        self.tell(WorldChange::Revive {
            framework_id: framework_id(framework),
            roles: Vec::new(),
        });
    }

    pub(crate) fn decline(
        &mut self,
        framework: &str,
        role: &str,
        agent: &str,
        resources: &str,
        refused_for: Duration,
    ) {
        self.tell(recovered(
            framework,
            role,
            agent,
            resources,
            Some(refused_for),
        ));
    }
}

pub(crate) fn parse(text: &str) -> Vec<Resource> {
    Resources::parse(text, "*").unwrap().to_proto()
}

pub(crate) fn agent_id(value: &str) -> AgentId {
    AgentId {
        value: value.to_owned(),
    }
}

pub(crate) fn framework_id(value: &str) -> FrameworkId {
    FrameworkId {
        value: value.to_owned(),
    }
}

pub(crate) fn agent_info(agent: &str) -> AgentInfo {
    AgentInfo {
        hostname: format!("host-{agent}"),
        id: Some(agent_id(agent)),
        ..AgentInfo::default()
    }
}

/// A fault domain of the region.
pub(crate) fn domain(region: &str) -> DomainInfo {
    let name = |name: &str| name.to_owned();
    DomainInfo {
        fault_domain: Some(FaultDomain {
            region: RegionInfo { name: name(region) },
            zone: ZoneInfo { name: name("z") },
        }),
    }
}

/// Offers of less than so many thousandths of a name are not wanted.
pub(crate) fn minimum(resource: &str, thousandths: i64) -> OfferFilters {
    let value = thousandths as f64 / 1_000.0;
    let quantities = [(resource.to_owned(), Scalar { value })].into();
    OfferFilters {
        min_allocatable_resources: Some(MinAllocatableResources {
            quantities: vec![ResourceQuantities { quantities }],
        }),
    }
}

pub(crate) fn agent_added(info: AgentInfo, total: Vec<Resource>) -> WorldChange {
    WorldChange::AgentAdded {
        info: Arc::new(info),
        total,
        used: Vec::new(),
        active: true,
    }
}

/// A framework of several roles, with these capabilities too.
pub(crate) fn framework_info(
    framework: &str,
    roles: &[&str],
    capabilities: &[capability::Type],
) -> FrameworkInfo {
    let capabilities = [capability::Type::MultiRole].iter().chain(capabilities);
    FrameworkInfo {
        name: framework.to_owned(),
        id: Some(framework_id(framework)),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: capabilities
            .map(|kind| Capability {
                r#type: Some((*kind).into()),
            })
            .collect(),
        ..FrameworkInfo::default()
    }
}

pub(crate) fn framework_added(info: FrameworkInfo) -> WorldChange {
    WorldChange::FrameworkAdded {
        info: Arc::new(info),
        suppressed_roles: Vec::new(),
        offer_constraints: None,
        active: true,
        used: Vec::new(),
    }
}

pub(crate) fn allocation(framework: &str, role: &str, resources: Vec<Resource>) -> Allocation {
    Allocation {
        framework_id: framework_id(framework),
        role: role.to_owned(),
        resources: resources.into(),
    }
}

pub(crate) fn recovered(
    framework: &str,
    role: &str,
    agent: &str,
    resources: &str,
    refused_for: Option<Duration>,
) -> WorldChange {
    WorldChange::Recovered {
        agent_id: agent_id(agent),
        allocation: allocation(framework, role, parse(resources)),
        refused_for,
    }
}
