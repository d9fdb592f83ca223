//! What stands between a framework and each agent, in the rules' own words.
//!
//! Owns the telling. The rules are [`crate::eligible`]'s, and it agrees with them: where it names no cause and no
//! bar, that would make an offer; where the causes it names have gone, that would too. Looks at every agent, so it is
//! for people who ask.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, time::Duration};

use tepui_messages::why::{
    AgentExplanation, Bar, Cause, Exclusions, Explain, Explanation, Holder, QuotaRule,
    RoleExplanation, Thousandths,
};

use crate::{
    bundle::Bundle,
    eligible,
    policy::Policy,
    standing::{self, Standing},
    world::{Agent, AgentIx, Client, ClientIx, Framework, World},
};

/// Answers; `now` is the time the core was told last.
pub fn explain(
    world: &World,
    policy: &dyn Policy,
    now: Duration,
    question: &Explain,
) -> Explanation {
    let framework = world.framework_by_id.get(&question.framework_id);
    let clients = framework
        .into_iter()
        .flat_map(|framework| &world.frameworks[*framework].clients);
    let asked = |role: &str| question.role.as_deref().is_none_or(|wanted| wanted == role);
    let roles = clients
        .filter(|(role, _)| asked(role))
        .map(|(_, client)| explain_role(world, policy, now, *client, question));
    Explanation {
        question: question.clone(),
        policy: policy.name(),
        roles: roles.collect(),
    }
}

fn explain_role(
    world: &World,
    policy: &dyn Policy,
    now: Duration,
    client: ClientIx,
    question: &Explain,
) -> RoleExplanation {
    let standing = Standing::new(world);
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut open = 0;
    let mut found: Vec<(Miss, AgentIx, Vec<Cause>)> = Vec::with_capacity(world.agents.count());
    for (agent, _) in world.agents.iter() {
        let causes = causes(world, &standing, now, agent, client, &question.need);
        for cause in &causes {
            *counts.entry(cause.name()).or_default() += 1;
        }
        open += usize::from(causes.is_empty());
        found.push((Miss::of(&causes, question), agent, causes));
    }
    found.sort_by(|left, right| left.0.order(&right.0).then(left.1.cmp(&right.1)));
    found.truncate(question.most);
    let agents = found.into_iter().map(|(_, agent, causes)| {
        let place = &world.agents[agent];
        AgentExplanation {
            agent_id: place.id.value.clone(),
            hostname: place.info.hostname.clone(),
            free: amounts(world, &place.free),
            causes,
        }
    });
    RoleExplanation {
        role: world.role(client).to_owned(),
        bars: bars(world, client),
        takers: world.active.len(),
        ahead: policy.ahead(world, client),
        counts,
        open,
        agents: agents.collect(),
    }
}

/// What each framework keeps away from itself.
pub fn exclusions(world: &World) -> Vec<Exclusions> {
    let known = world.frameworks.iter();
    let known = known.filter(|(_, framework)| framework.known);
    let told = known.map(|(_, framework)| {
        let clients = framework.clients.iter();
        let clients = clients.map(|(role, client)| (role, &world.clients[*client]));
        let suppressed = clients.clone().filter(|(_, client)| client.suppressed);
        let subscribed = clients.filter(|(_, client)| client.subscribed);
        Exclusions {
            framework_id: framework.id.value.clone(),
            suppressed_roles: suppressed.map(|(role, _)| role.to_string()).collect(),
            excluded: subscribed
                .map(|(role, client)| (role.to_string(), ruled_out(world, client, framework)))
                .collect(),
        }
    });
    told.collect()
}

fn ruled_out(world: &World, client: &Client, framework: &Framework) -> Vec<String> {
    let agents = world.agents.iter();
    let excluded = agents.filter(|(_, agent)| eligible::is_excluded(agent, client, framework));
    excluded.map(|(_, agent)| agent.id.value.clone()).collect()
}

/// What keeps the client from every offer.
pub fn bars(world: &World, client: ClientIx) -> Vec<Bar> {
    let place = &world.clients[client];
    let framework = &world.frameworks[place.framework];
    let bars = [
        (Bar::Paused, world.paused),
        (Bar::Inactive, !(framework.known && framework.active)),
        (Bar::NotSubscribed, !place.subscribed),
        (Bar::Suppressed, place.suppressed),
    ];
    let bars = bars.into_iter().filter(|(_, holds)| *holds);
    bars.map(|(bar, _)| bar).collect()
}

/// Everything that has to go before the client is offered what it needs of the agent.
pub fn causes(
    world: &World,
    standing: &Standing<'_>,
    now: Duration,
    agent: AgentIx,
    client: ClientIx,
    need: &Thousandths,
) -> Vec<Cause> {
    let (place, taker) = (&world.agents[agent], &world.clients[client]);
    let framework = &world.frameworks[taker.framework];
    let gates = [
        (Cause::AgentInactive, !place.active),
        (Cause::NotWhitelisted, !place.listed),
        (Cause::GpusKept, eligible::keeps_gpus_from(place, framework)),
        (
            Cause::OtherRegion,
            eligible::is_too_far_for(place, framework),
        ),
        (
            Cause::Constraint,
            eligible::is_excluded(place, taker, framework),
        ),
    ];
    let gates = gates.into_iter().filter(|(_, stands)| *stands);
    let mut causes: Vec<Cause> = gates.map(|(cause, _)| cause).collect();
    let matter = Matter {
        world,
        standing,
        place,
        taker,
        framework,
        need,
    };
    causes.extend(matter.shortage());
    if let Some(offer) = matter.enough() {
        let withheld = matter.withheld_by_quota(client, &offer);
        // Where quota has to give way first, all of it is offered then.
        let asked = match &withheld {
            Some(_) => Cow::Borrowed(&offer),
            None => standing.shrink(client, Cow::Borrowed(&offer)),
        };
        let refusal = matter.refusal(now, agent, client, &asked);
        causes.extend(withheld.into_iter().chain(refusal));
    }
    causes
}

/// An agent and a taker of what it has.
struct Matter<'a> {
    world: &'a World,
    standing: &'a Standing<'a>,
    place: &'a Agent,
    taker: &'a Client,
    framework: &'a Framework,
    need: &'a Thousandths,
}

impl Matter<'_> {
    /// Why there is too little, if there is.
    fn shortage(&self) -> Vec<Cause> {
        let missing = self.missing(&self.place.total);
        if !missing.is_empty() {
            return vec![Cause::TooSmall { missing }];
        }
        if !self.missing(&self.usable(&self.place.total)).is_empty() {
            return self.withheld();
        }
        let missing = self.missing(&self.usable(&self.place.free));
        if missing.is_empty() {
            return Vec::new();
        }
        let holders = self.place.held.iter();
        let holders = holders.map(|(client, bundle)| Holder {
            framework_id: self.world.framework_id(*client).value.clone(),
            role: self.world.role(*client).to_owned(),
            amounts: amounts(self.world, bundle),
        });
        vec![Cause::Held {
            missing,
            holders: holders.collect(),
        }]
    }

    /// What there is for the client, or will be once it is given back, where that is enough.
    fn enough(&self) -> Option<Bundle> {
        let offers = [&self.place.free, &self.place.total].map(|bundle| self.usable(bundle));
        let mut offers = offers.into_iter();
        offers.find(|offer| self.missing(offer).is_empty())
    }

    fn withheld_by_quota(&self, client: ClientIx, offer: &Bundle) -> Option<Cause> {
        let missing = self.missing(&self.standing.shrink(client, Cow::Borrowed(offer)));
        if missing.is_empty() {
            return None;
        }
        let rules = self.standing.rules_against(client, offer).into_iter();
        let rules = rules.map(|(name, rule)| {
            let rule = match rule {
                standing::QuotaRule::Limit(role) => QuotaRule::Limit(role.to_string()),
                standing::QuotaRule::Headroom => QuotaRule::Headroom,
            };
            (self.world.kinds.name_of(name).clone(), rule)
        });
        Some(Cause::Quota {
            missing,
            rules: rules.collect(),
        })
    }

    /// The refusal that ends last of those in the way of `offer`.
    fn refusal(
        &self,
        now: Duration,
        agent: AgentIx,
        client: ClientIx,
        offer: &Bundle,
    ) -> Option<Cause> {
        let refusals = self.world.filters.of(client, agent);
        let refusals = refusals.chain(self.world.holds.of(self.taker.framework, agent));
        let blocking = refusals.filter(|(refused, _)| refused.contains(offer));
        let (refused, falls_at) = blocking.max_by_key(|(_, falls_at)| *falls_at)?;
        Some(Cause::Refused {
            lasts: falls_at.saturating_sub(now),
            refused: amounts(self.world, refused),
        })
    }

    /// The agent has enough; what of it is for others only.
    fn withheld(&self) -> Vec<Cause> {
        let mut by_role: BTreeMap<String, Thousandths> = BTreeMap::new();
        let mut by_capability: BTreeMap<&'static str, Thousandths> = BTreeMap::new();
        for (kind, amount) in self.place.total.scalars() {
            let known = self.world.kinds.get(kind);
            let into = if !known.is_open_to(&self.taker.role) {
                let owner = known.reserved_role().unwrap_or_default().to_owned();
                by_role.entry(owner).or_default()
            } else if let Some(name) = eligible::lacks(known, self.framework.capabilities) {
                by_capability.entry(name).or_default()
            } else {
                continue;
            };
            *into.entry(known.resource_name().to_owned()).or_default() += amount;
        }
        let reserved = (!by_role.is_empty()).then_some(Cause::Reserved { by_role });
        let capabilities = by_capability.into_iter();
        let lacking = capabilities.map(|(name, amounts)| Cause::Capability { name, amounts });
        reserved.into_iter().chain(lacking).collect()
    }

    fn usable(&self, bundle: &Bundle) -> Bundle {
        eligible::usable(self.world, self.place, self.taker, self.framework, bundle).into_owned()
    }

    /// What `bundle` lacks of what is needed, or of the least worth an offer.
    fn missing(&self, bundle: &Bundle) -> Thousandths {
        let has = amounts(self.world, bundle);
        let missing = lacking(&has, self.need.iter().map(|(name, amount)| (name, *amount)));
        if !missing.is_empty() || self.world.is_worth_offering(self.taker, bundle) {
            return missing;
        }
        let minimums = self.world.minimums(self.taker);
        let sets = minimums.missing(&self.world.kinds, bundle).map(|set| {
            let set = set.into_iter();
            set.map(|(name, amount)| (name.clone(), amount)).collect()
        });
        let missing = sets.filter(|set: &Thousandths| !set.is_empty());
        let by_sum = |lacks: &Thousandths| lacks.values().sum::<i64>();
        // Nothing at all is never worth an offer, whatever the least is.
        let nothing = || Thousandths::from([("cpus".to_owned(), 1)]);
        missing.min_by_key(by_sum).unwrap_or_else(nothing)
    }
}

fn lacking<'a>(
    has: &Thousandths,
    need: impl Iterator<Item = (&'a (impl AsRef<str> + 'a), i64)>,
) -> Thousandths {
    let need = need.map(|(name, amount)| (name.as_ref(), amount));
    let lacks = need.filter_map(|(name, amount)| {
        let rest = amount - has.get(name).copied().unwrap_or(0);
        (rest > 0).then(|| (name.to_owned(), rest))
    });
    lacks.collect()
}

fn amounts(world: &World, bundle: &Bundle) -> Thousandths {
    let mut amounts = Thousandths::new();
    for (kind, amount) in bundle.scalars() {
        let name = world.kinds.get(kind).resource_name();
        *amounts.entry(name.to_owned()).or_default() += amount;
    }
    amounts
}

/// How far an agent is from an offer: what someone has to change first, then how much is missing, then how long it
/// takes.
struct Miss {
    gates: usize,
    class: u8,
    /// The worst share of what is needed.
    missing: f64,
    lasts: Duration,
}

impl Miss {
    fn of(causes: &[Cause], question: &Explain) -> Miss {
        let mut miss = Miss {
            gates: 0,
            class: 0,
            missing: 0.0,
            lasts: Duration::ZERO,
        };
        for cause in causes {
            let class = match cause {
                Cause::AgentInactive
                | Cause::NotWhitelisted
                | Cause::GpusKept
                | Cause::OtherRegion
                | Cause::Constraint => {
                    miss.gates += 1;
                    0
                }
                Cause::Refused { lasts, .. } => {
                    miss.lasts = *lasts;
                    1
                }
                Cause::Held { missing, .. } => {
                    miss.missing = worst_share(missing, &question.need);
                    2
                }
                Cause::Quota { missing, .. } => {
                    miss.missing = worst_share(missing, &question.need);
                    3
                }
                Cause::Capability { .. } | Cause::Reserved { .. } => 3,
                Cause::TooSmall { missing } => {
                    miss.missing = worst_share(missing, &question.need);
                    4
                }
            };
            miss.class = miss.class.max(class);
        }
        miss
    }

    fn order(&self, other: &Miss) -> Ordering {
        let kind = |miss: &Miss| (miss.gates, miss.class);
        kind(self)
            .cmp(&kind(other))
            .then(self.missing.total_cmp(&other.missing))
            .then(self.lasts.cmp(&other.lasts))
    }
}

fn worst_share(missing: &Thousandths, need: &Thousandths) -> f64 {
    let shares = missing.iter().map(|(name, amount)| {
        let whole = need.get(name).copied().unwrap_or(*amount).max(1);
        *amount as f64 / whole as f64
    });
    shares.fold(0.0, f64::max)
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
