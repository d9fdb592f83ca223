//! The allocator without its actor: changes and time in, proposals out.
//!
//! Owns when an allocation runs and for whom. Never reads a clock or draws its own randomness. Unlike
//! Mesos, which looks at everything each second, a run concerns only what changed: agents with more free
//! than before, clients that want more than before, and agents a refusal of which has ended. What was
//! refused once is not asked again before one of these happens. Refusals end on whole intervals, so that
//! everything that ends within one is one run.

use std::{sync::Arc, time::Duration};

use tepui_kit::{Random, samples::Samples};
use tepui_messages::{
    allocator::{
        MAX_REFUSAL, Policies, PolicyStatus, Proposal, Proposals, ShadowStatus, Whitelist,
        WorldChange,
    },
    why::{Exclusions, Explain, Explanation},
};

use crate::{
    changes::Refusal,
    invariants,
    policy::{self, Candidates, Grant, Policy, UnknownPolicy},
    shadow::Shadow,
    slots::Column,
    why,
    world::{self, ClientIx, Note, Rules, World},
};

/// How the allocator is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// One of [`policy::names`].
    pub policy: String,
    /// Another of them, to be compared and never obeyed.
    pub shadow: Option<String>,
    /// No refusal is shorter, and refusals end on multiples of it (Mesos `--allocation_interval`).
    pub interval: Duration,
    pub rules: Rules,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: "drf".to_owned(),
            shadow: None,
            interval: Duration::from_secs(1),
            rules: Rules::default(),
        }
    }
}

/// What the core is told. Times are durations since any fixed moment, and never go back.
#[derive(Debug, Clone)]
pub enum Input {
    World(WorldChange),
    Whitelist(Whitelist),
    /// A moment asked for by [`Effect::WakeAt`] has come.
    Woke,
    /// The proposals just made reached nobody; must follow on them at once.
    Undelivered,
}

/// What the core wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell the master.
    Propose(Proposals),
    /// Put in [`Input::Woke`] then, or after what else waits if that is now. An earlier one replaces a later one.
    WakeAt(Duration),
}

/// What it has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub runs: u64,
    /// Pairs of agent and client that something was proposed for.
    pub grants: u64,
    /// Times that proposals reached nobody.
    pub undelivered: u64,
}

/// See the module.
pub struct AllocatorCore {
    world: World,
    policy: Box<dyn Policy>,
    shadow: Option<Shadow>,
    random: Random,
    interval: Duration,
    candidates: Candidates,
    /// The earliest moment asked for that has not come.
    wake_at: Option<Duration>,
    /// No run before this, because nobody took the last proposals.
    held_until: Duration,
    /// What the last run gave, until the next input.
    last_grants: Vec<Grant>,
    /// Changes taken in ever.
    seen: u64,
    counts: Counts,
    /// Since when there has been somebody to allocate for.
    waiting_since: Option<Duration>,
    /// From then until the run.
    latencies: Samples,
    /// The runs themselves; whoever has a clock tells.
    run_times: Samples,
}

impl AllocatorCore {
    /// An allocator that knows of nothing yet.
    ///
    /// # Errors
    /// [`UnknownPolicy`] if there is no policy of the configured name.
    pub fn new(config: &Config, random: Random) -> Result<Self, UnknownPolicy> {
        Ok(Self {
            world: World::new(&config.rules),
            policy: policy::by_name(&config.policy)?,
            shadow: match &config.shadow {
                Some(name) => Some(Shadow::new(policy::by_name(name)?)),
                None => None,
            },
            random,
            interval: config.interval.max(Duration::from_millis(1)),
            candidates: Candidates::default(),
            wake_at: None,
            held_until: Duration::ZERO,
            last_grants: Vec::new(),
            seen: 0,
            counts: Counts::default(),
            waiting_since: None,
            latencies: Samples::default(),
            run_times: Samples::default(),
        })
    }

    /// Takes one input and appends what is to be done.
    pub fn on(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        let ended = self.world.filters.fall(now);
        self.candidates.agents.extend(ended);
        let ended = self.world.holds.fall(now);
        self.candidates.agents.extend(ended);
        match input {
            Input::World(change) => {
                self.seen += 1;
                self.last_grants.clear();
                let refusal = self.world.apply(change);
                if let Some(refusal) = refusal {
                    self.refuse(now, refusal);
                }
                self.follow();
                self.world.sweep_kinds();
            }
            Input::Whitelist(Whitelist(list)) => {
                self.last_grants.clear();
                self.world.set_whitelist(list);
                self.follow();
            }
            Input::Woke => {
                if self.wake_at.is_some_and(|at| at <= now) {
                    self.wake_at = None;
                }
                self.run(now, effects);
            }
            Input::Undelivered => self.take_back(now),
        }
        self.schedule(now, effects);
    }

    /// The copy of the world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What stands between a framework and each agent.
    pub fn explain(&self, now: Duration, question: &Explain) -> Explanation {
        why::explain(&self.world, &*self.policy, now, question)
    }

    /// What each framework keeps away from itself.
    pub fn exclusions(&self) -> Vec<Exclusions> {
        why::exclusions(&self.world)
    }

    /// Lets another policy decide from now on.
    ///
    /// # Errors
    /// [`UnknownPolicy`]; then nothing has changed.
    pub fn choose(&mut self, name: &str) -> Result<(), UnknownPolicy> {
        self.policy = self.briefed(name)?;
        Ok(())
    }

    /// Compares with another policy from now on, or with none.
    ///
    /// # Errors
    /// [`UnknownPolicy`]; then nothing has changed.
    pub fn choose_shadow(&mut self, name: Option<&str>) -> Result<(), UnknownPolicy> {
        self.shadow = match name {
            Some(name) => Some(Shadow::new(self.briefed(name)?)),
            None => None,
        };
        Ok(())
    }

    /// Changes the policies where something is named, all or nothing, and tells of them.
    ///
    /// # Errors
    /// [`UnknownPolicy`]; then nothing has changed.
    pub fn policies(&mut self, change: &Policies) -> Result<PolicyStatus, UnknownPolicy> {
        let shadow = change.shadow.as_ref().and_then(Option::as_deref);
        for name in change.policy.as_deref().into_iter().chain(shadow) {
            policy::by_name(name)?;
        }
        if let Some(name) = &change.policy {
            self.choose(name)?;
        }
        if let Some(shadow) = &change.shadow {
            self.choose_shadow(shadow.as_deref())?;
        }
        Ok(self.policy_status())
    }

    /// The policies of the moment, and what they did.
    pub fn policy_status(&self) -> PolicyStatus {
        PolicyStatus {
            policy: self.policy.name(),
            known: policy::names(),
            runs: self.counts.runs,
            grants: self.counts.grants,
            shadow: self.shadow.as_ref().map(|shadow| {
                let counts = shadow.counts();
                ShadowStatus {
                    policy: shadow.policy().name(),
                    runs: counts.runs,
                    grants: counts.grants,
                    differences: counts.differences,
                }
            }),
        }
    }

    /// A policy that knows the world as it is.
    fn briefed(&self, name: &str) -> Result<Box<dyn Policy>, UnknownPolicy> {
        let mut policy = policy::by_name(name)?;
        let clients = || self.world.clients.iter().map(|(client, _)| client);
        let added = clients().map(Note::ClientAdded);
        let holding = clients().map(Note::ClientHolds);
        let doubles = self.world.doubles.keys();
        let doubles = doubles.map(|(agent, client)| Note::ClientDoubles(*agent, *client));
        let active = clients().map(Note::ClientActive);
        let whole = [Note::Totals, Note::Weights, Note::Quota];
        for note in added
            .chain(holding)
            .chain(doubles)
            .chain(active)
            .chain(whole)
        {
            policy.follow(&self.world, note);
        }
        Ok(policy)
    }

    /// The policy that is only compared, if there is one.
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }

    pub fn policy(&self) -> &dyn Policy {
        &*self.policy
    }

    /// Whom the next run will concern.
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The last run took so long.
    pub fn ran_for(&mut self, now: Duration, took: Duration) {
        self.run_times.add(now, took);
    }

    pub(crate) fn run_times(&self) -> &Samples {
        &self.run_times
    }

    pub(crate) fn latencies(&self) -> &Samples {
        &self.latencies
    }

    fn refuse(&mut self, now: Duration, refusal: Refusal) {
        let Refusal {
            client,
            agent,
            refused,
            refused_for,
        } = refusal;
        // A refusal for no time ends with the interval too: to be asked again at once would let a
        // framework that always refuses, and the master, busy each other for nothing.
        let lasts = if refused_for.is_zero() {
            Duration::from_nanos(1)
        } else {
            refused_for.clamp(self.interval, MAX_REFUSAL.max(self.interval))
        };
        let framework = self.world.clients[client].framework;
        if self.world.frameworks[framework].clients.len() > 1 {
            // What it just refused waits for the next interval under its other roles too, as with Mesos, whose
            // allocator runs no earlier. Else what it leaves of an agent is out in an offer under another role by
            // the time its task ends, and what the task used comes as a crumb of its own.
            let falls_at = next_multiple(now + Duration::from_nanos(1), self.interval);
            let holds = &mut self.world.holds;
            holds.set(framework, agent, refused.clone(), falls_at);
        }
        let falls_at = next_multiple(now + lasts, self.interval);
        self.world.filters.set(client, agent, refused, falls_at);
    }

    /// Tells the policy what changed, and remembers whom that concerns.
    fn follow(&mut self) {
        for note in self.world.take_notes() {
            match note {
                Note::AgentOffersMore(agent) => {
                    debug_assert!(
                        self.world.agents.get(agent).is_none()
                            || invariants::agent_balances(&self.world, agent),
                        "what is free and what is held make up the agent's total"
                    );
                    self.candidates.agents.insert(agent);
                }
                Note::AgentRemoved(agent) => {
                    self.candidates.agents.remove(agent);
                }
                Note::ClientWants(client) => {
                    self.candidates.clients.insert(client);
                }
                Note::ClientRemoved(client) => {
                    self.candidates.clients.remove(client);
                }
                Note::QuotaFreed(role) => {
                    if let Some(role) = self.world.quotas.get(role) {
                        self.candidates.clients.unite(&role.clients);
                    }
                }
                Note::Quota | Note::HeadroomGrew => {
                    self.candidates.agents.unite(&self.world.offerable);
                }
                Note::ClientAdded(_)
                | Note::ClientActive(_)
                | Note::ClientHolds(_)
                | Note::ClientDoubles(..)
                | Note::Totals
                | Note::Weights
                | Note::QuotaPhase(_) => {}
            }
            self.policy.follow(&self.world, note);
            if let Some(shadow) = &mut self.shadow {
                shadow.follow(&self.world, note);
            }
        }
    }

    fn run(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if now < self.held_until || self.world.paused || self.candidates.is_empty() {
            return;
        }
        if let Some(since) = self.waiting_since.take() {
            self.latencies.add(now, now.saturating_sub(since));
        }
        let candidates = std::mem::take(&mut self.candidates);
        let random = self.random.clone();
        let shadow = self.shadow.as_mut();
        let imagined = shadow.map(|shadow| shadow.imagine(&self.world, &candidates, random));
        let grants = self
            .policy
            .allocate(&self.world, &candidates, &mut self.random);
        debug_assert!(
            invariants::grants_are_allowed(&self.world, &grants),
            "a policy gives only what is free to those who may and want to have it"
        );
        self.counts.runs += 1;
        self.counts.grants += grants.len() as u64;
        if !grants.is_empty() {
            effects.push(Effect::Propose(Proposals {
                proposals: self.book(&grants),
                seen: self.seen,
            }));
            self.follow();
        }
        if let (Some(shadow), Some(imagined)) = (&mut self.shadow, imagined) {
            shadow.compare(&self.world, &imagined, &grants);
        }
        if !grants.is_empty() {
            self.last_grants = grants;
        }
    }

    /// Books the grants, and lists them by framework and role, in the order in which each first got
    /// something. All of one client are booked in a row: then what is known of it is at hand.
    fn book(&mut self, grants: &[Grant]) -> Vec<Proposal> {
        let by_client = by_client(grants);
        let rows = by_client.chunk_by(|one, next| one.client == next.client);
        rows.map(|row| self.book_row(row)).collect()
    }

    /// Books what one client got.
    fn book_row(&mut self, row: &[&Grant]) -> Proposal {
        let client = row[0].client;
        let mut agents = Vec::with_capacity(row.len());
        for few in row.chunks(world::AT_ONCE) {
            self.world
                .fetch_to_take(client, few.iter().map(|grant| grant.agent));
            agents.extend(few.iter().map(|grant| {
                let agent = Arc::clone(&self.world.agents[grant.agent].id);
                let resources = self.world.kinds.resources(&grant.resources);
                self.world.take(grant.agent, client, &grant.resources);
                (agent, resources)
            }));
        }
        Proposal {
            agents,
            framework_id: self.world.framework_id(client).clone(),
            role: self.world.role(client).to_owned(),
        }
    }

    /// Frees what the last run gave away, to be offered again with the next interval.
    fn take_back(&mut self, now: Duration) {
        self.counts.undelivered += 1;
        self.held_until = next_multiple(now + Duration::from_nanos(1), self.interval);
        for grant in std::mem::take(&mut self.last_grants) {
            self.world
                .release(grant.agent, grant.client, &grant.resources);
            self.world.drop_if_idle(grant.client);
        }
        self.follow();
    }

    fn schedule(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let falls = [self.world.filters.next_fall(), self.world.holds.next_fall()];
        let next_fall = falls.into_iter().flatten().min();
        let at = if self.candidates.is_empty() || self.world.paused {
            self.waiting_since = None;
            next_fall
        } else {
            self.waiting_since.get_or_insert(now);
            Some(now.max(self.held_until))
        };
        if let Some(at) = at
            && self.wake_at.is_none_or(|planned| at < planned)
        {
            self.wake_at = Some(at);
            effects.push(Effect::WakeAt(at));
        }
    }
}

/// All of one client in a row, in their order; the clients in the order of the first of each.
fn by_client(grants: &[Grant]) -> Vec<&Grant> {
    let mut counts: Column<ClientIx, usize> = Column::default();
    for grant in grants {
        *counts.at(grant.client) += 1;
    }
    let mut seats: Column<ClientIx, Option<usize>> = Column::default();
    let mut row_begins = 0;
    let mut sorted = Vec::new();
    if let Some(grant) = grants.first() {
        sorted.resize(grants.len(), grant);
    }
    for grant in grants {
        let seat = seats.at(grant.client).get_or_insert_with(|| {
            let begin = row_begins;
            row_begins += *counts.at(grant.client);
            begin
        });
        sorted[*seat] = grant;
        *seat += 1;
    }
    sorted
}

/// The first multiple of `interval` at or after `time`.
fn next_multiple(time: Duration, interval: Duration) -> Duration {
    let rest = time.as_nanos() % interval.as_nanos();
    if rest == 0 {
        return time;
    }
    let missing = interval.as_nanos() - rest;
    time + Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
