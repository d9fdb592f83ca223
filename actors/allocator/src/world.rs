//! The allocator's own copy of the world: agents, frameworks and who holds what, under dense integers.
//!
//! Owns the ledger (free, held, total) and its bookkeeping. Never decides who gets what; how it changes
//! by what the master tells is in [`crate::changes`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hint,
    sync::Arc,
};

use smallvec::SmallVec;
use tepui_protocol::v1::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, framework_info::capability,
};

use crate::{
    amounts::Amounts,
    bundle::Bundle,
    constraints::Constraints,
    doubles::Doubles,
    filters::Filters,
    kinds::{Kinds, NameIx},
    least::Minimums,
    places::PlaceSet,
    quota::{QuotaIx, Quotas},
    slots::{Slots, place},
};

place!(
    /// An agent in [`World`].
    AgentIx
);
place!(
    /// A framework in [`World`].
    FrameworkIx
);
place!(
    /// A client: a framework under one of its roles.
    ClientIx
);

/// What holds for the whole cluster and does not change while the allocator runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Below this nothing is offered: any of these sets, each of which is held if all its names are.
    /// By name, in thousandths. Empty: everything is offered.
    pub min_allocatable: Vec<Vec<(String, i64)>>,
    /// The region the master lives in; agents of another are offered only to `REGION_AWARE` frameworks.
    pub region: Option<String>,
    /// Names that do not count for fair shares.
    pub fair_sharing_excluded: Vec<String>,
}

impl Default for Rules {
    /// As Mesos: at least 0.01 cpus or 32 MB of memory.
    fn default() -> Self {
        let at_least = |name: &str, thousandths| vec![(name.to_owned(), thousandths)];
        Self {
            min_allocatable: vec![at_least("cpus", 10), at_least("mem", 32_000)],
            region: None,
            fair_sharing_excluded: Vec::new(),
        }
    }
}

/// What a framework can handle, as far as offers depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub gpus: bool,
    pub revocable: bool,
    pub shared: bool,
    pub refined_reservations: bool,
    pub region_aware: bool,
    pub multi_role: bool,
}

impl Capabilities {
    pub fn of(info: &FrameworkInfo) -> Self {
        let has = |wanted| {
            info.capabilities
                .iter()
                .any(|known| known.r#type() == wanted)
        };
        Self {
            gpus: has(capability::Type::GpuResources),
            revocable: has(capability::Type::RevocableResources),
            shared: has(capability::Type::SharedResources),
            refined_reservations: has(capability::Type::ReservationRefinement),
            region_aware: has(capability::Type::RegionAware),
            multi_role: has(capability::Type::MultiRole),
        }
    }
}

/// An agent and its ledger: what is free and what is held make up the total.
#[derive(Debug)]
pub struct Agent {
    pub id: Arc<AgentId>,
    pub info: Arc<AgentInfo>,
    pub active: bool,
    /// On the operator's list, or there is none (Mesos: `--whitelist`).
    pub listed: bool,
    pub total: Bundle,
    /// The total less what is held; shared resources are always in it.
    pub free: Bundle,
    /// Offered or in use, by client, ascending. None of them empty.
    pub held: SmallVec<[(ClientIx, Bundle); 1]>,
    pub has_gpus: bool,
    pub is_remote: bool,
    /// Anybody may have anything of it: no reservations, GPUs, revocable or shared resources, and local.
    pub is_plain: bool,
}

impl Agent {
    /// Takes part in offers.
    pub fn is_open(&self) -> bool {
        self.active && self.listed
    }

    pub fn held_by(&self, client: ClientIx) -> Option<&Bundle> {
        let at = self
            .held
            .binary_search_by_key(&client, |(client, _)| *client);
        Some(&self.held[at.ok()?].1)
    }
}

#[derive(Debug)]
pub struct Framework {
    pub id: FrameworkId,
    /// False while it is only known from what it runs on agents.
    pub known: bool,
    pub active: bool,
    pub capabilities: Capabilities,
    pub constraints: Option<Constraints>,
    /// Under every role it subscribes to or still holds something under.
    pub clients: BTreeMap<Arc<str>, ClientIx>,
}

/// A framework under one of its roles: what resources are offered to.
#[derive(Debug)]
pub struct Client {
    pub framework: FrameworkIx,
    pub role: Arc<str>,
    /// False if the framework left the role and still holds something under it.
    pub subscribed: bool,
    pub suppressed: bool,
    /// Worth an offer to it, if other things than to the rest of the cluster.
    pub(crate) minimums: Option<Minimums>,
    /// Its framework wants offers of some agents only.
    pub(crate) is_constrained: bool,
    /// Takes offers: its framework is active, it is subscribed and not suppressed.
    pub active: bool,
    /// Thousandths held, by name; shared resources count once for each holder.
    pub allocated: Amounts,
    /// Where it holds something.
    pub agents: PlaceSet<AgentIx>,
    /// The role, or the nearest above it, that has quota.
    pub quota: Option<QuotaIx>,
    /// That it holds more or less than before is in the notes.
    noted: bool,
}

impl Client {
    /// One that neither wants nor holds anything.
    pub(crate) fn new(framework: FrameworkIx, role: Arc<str>) -> Self {
        Self {
            framework,
            role,
            subscribed: false,
            suppressed: false,
            minimums: None,
            is_constrained: false,
            active: false,
            allocated: Amounts::default(),
            agents: PlaceSet::default(),
            quota: None,
            noted: false,
        }
    }
}

/// What changed in the world, for those who follow it instead of looking everywhere. A note names what
/// to look at; what stands there by then may already be different, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    ClientAdded(ClientIx),
    ClientRemoved(ClientIx),
    /// It became active, or no longer is.
    ClientActive(ClientIx),
    /// It holds more or less than before.
    ClientHolds(ClientIx),
    /// Others hold the same shared volume on the agent, or no longer: see [`crate::doubles`].
    ClientDoubles(AgentIx, ClientIx),
    /// It may take what it did not take before.
    ClientWants(ClientIx),
    /// More of it is free than before, or it became active.
    AgentOffersMore(AgentIx),
    AgentRemoved(AgentIx),
    /// The cluster has more or less of something.
    Totals,
    Weights,
    /// Roles have other quota than before, under other integers.
    Quota,
    /// The role has reached its guarantees or limits, or no longer.
    QuotaPhase(QuotaIx),
    /// Clients in and below the role may have what quota kept from them.
    QuotaFreed(QuotaIx),
    /// Anybody may have what was kept back for guarantees.
    HeadroomGrew,
}

/// The copy. Its parts are readable everywhere in this crate; it changes only by its own methods.
#[derive(Debug, Default)]
pub struct World {
    pub(crate) kinds: Kinds,
    pub(crate) agents: Slots<AgentIx, Agent>,
    pub(crate) frameworks: Slots<FrameworkIx, Framework>,
    pub(crate) clients: Slots<ClientIx, Client>,
    pub(crate) filters: Filters,
    /// What frameworks of several roles refused under any of them within the interval.
    pub(crate) holds: Filters<FrameworkIx>,
    /// Copies that count for others too.
    pub(crate) doubles: Doubles,
    pub(crate) agent_by_id: HashMap<String, AgentIx>,
    pub(crate) framework_by_id: HashMap<String, FrameworkIx>,
    /// Agents that take part, of which enough is free to be offered to somebody.
    pub(crate) offerable: PlaceSet<AgentIx>,
    /// Clients that take offers.
    pub(crate) active: PlaceSet<ClientIx>,
    /// Clients with minimums of their own.
    pub(crate) choosy: PlaceSet<ClientIx>,
    /// Hostnames of the agents that are offered; all, if there is no list.
    pub(crate) whitelist: Option<Arc<BTreeSet<String>>>,
    /// Thousandths of the whole cluster by name.
    pub(crate) totals: Amounts,
    pub(crate) weights: Arc<BTreeMap<String, f64>>,
    pub(crate) quotas: Quotas,
    pub(crate) paused: bool,
    pub(crate) region: Option<String>,
    pub(crate) min_allocatable: Minimums,
    pub(crate) excluded: Vec<NameIx>,
    pub(crate) notes: Vec<Note>,
    /// What agents have in all, each once: most machines are like others, so their totals are one bundle.
    shapes: HashSet<Bundle>,
}

/// So many agents are looked at before the first of them is worked on. Agents come in random order, so that each is far
/// away in memory; looked at one after another, each would be waited for, and so many together take hardly longer than one.
pub(crate) const AT_ONCE: usize = 16;
/// Fewer shapes than this are not worth looking for those no agent has any more.
const MIN_SHAPES_TO_SWEEP: usize = 64;

impl World {
    pub fn new(rules: &Rules) -> Self {
        let mut world = Self::default();
        // The usual names first, so that bundles come out in the usual order.
        for name in ["cpus", "mem", "disk", "gpus"] {
            world.kinds.name(name);
        }
        world.min_allocatable = Minimums::of_cluster(&rules.min_allocatable, &mut world.kinds);
        let excluded = rules.fair_sharing_excluded.iter();
        world.excluded = excluded.filter_map(|name| world.kinds.name(name)).collect();
        world.region.clone_from(&rules.region);
        world
    }

    pub fn role(&self, client: ClientIx) -> &str {
        &self.clients[client].role
    }

    pub fn framework_id(&self, client: ClientIx) -> &FrameworkId {
        &self.frameworks[self.clients[client].framework].id
    }

    /// The client of a framework under a role.
    pub fn client(&self, framework: &FrameworkId, role: &str) -> Option<ClientIx> {
        let framework = self.framework_by_id.get(&framework.value)?;
        self.frameworks[*framework].clients.get(role).copied()
    }

    pub fn agent(&self, id: &AgentId) -> Option<AgentIx> {
        self.agent_by_id.get(&id.value).copied()
    }

    /// What changed since this was last called.
    pub fn take_notes(&mut self) -> Vec<Note> {
        let notes = std::mem::take(&mut self.notes);
        for note in &notes {
            if let Note::ClientHolds(client) = note
                && let Some(place) = self.clients.get_mut(*client)
            {
                place.noted = false;
            }
        }
        notes
    }

    /// Notes that a client holds more or less, once until the notes are taken: a run gives one client much.
    pub(crate) fn note_holds(&mut self, client: ClientIx) {
        if !std::mem::replace(&mut self.clients[client].noted, true) {
            self.notes.push(Note::ClientHolds(client));
        }
    }

    /// Looks at agents that are about to be offered, see [`AT_ONCE`].
    pub(crate) fn fetch_to_offer(&self, agents: &[AgentIx]) {
        let open = agents.iter().filter(|agent| self.agents[**agent].is_open());
        hint::black_box(open.count());
    }

    /// Looks at all that [`World::take`] will change, see [`AT_ONCE`].
    pub(crate) fn fetch_to_take(&self, client: ClientIx, agents: impl Iterator<Item = AgentIx>) {
        let holds = &self.clients[client].agents;
        let looked_at = agents.map(|agent| {
            Arc::strong_count(&self.agents[agent].id) + usize::from(holds.contains(agent))
        });
        hint::black_box(looked_at.sum::<usize>());
    }

    /// Gives a client something of what is free on an agent.
    pub fn take(&mut self, agent: AgentIx, client: ClientIx, bundle: &Bundle) {
        let place = &mut self.agents[agent];
        let taken = if place.is_plain && place.free.is_same(bundle) {
            std::mem::take(&mut place.free)
        } else {
            subtract_exclusive(&self.kinds, place, bundle);
            bundle.clone()
        };
        self.settle_offerable(agent);
        self.hold(agent, client, taken);
    }

    /// Books what a client holds on an agent, without asking whether it is free.
    pub(crate) fn hold(&mut self, agent: AgentIx, client: ClientIx, bundle: Bundle) {
        if bundle.is_empty() {
            return;
        }
        self.clients[client].agents.insert(agent);
        self.charge(client, &bundle, 1);
        let recount = self.count_change(agent, client, &bundle, 1);
        let held = &mut self.agents[agent].held;
        match held.binary_search_by_key(&client, |(client, _)| *client) {
            Ok(at) => held[at].1.add(&bundle),
            Err(at) => held.insert(at, (client, bundle)),
        }
        self.count_changed(agent, client, recount);
        self.note_holds(client);
    }

    /// Takes back from a client what of `bundle` it really holds on the agent, and returns that. The
    /// client stays, even if nothing keeps it: see [`World::drop_if_idle`].
    pub fn release(&mut self, agent: AgentIx, client: ClientIx, bundle: &Bundle) -> Bundle {
        let place = &self.agents[agent];
        let Ok(at) = place
            .held
            .binary_search_by_key(&client, |(client, _)| *client)
        else {
            return Bundle::default();
        };
        let released = place.held[at].1.intersection(bundle);
        let recount = self.count_change(agent, client, &released, -1);
        let held = &mut self.agents[agent].held;
        held[at].1.subtract(&released);
        if held[at].1.is_empty() {
            held.remove(at);
            self.clients[client].agents.remove(agent);
        }
        self.count_changed(agent, client, recount);
        if !released.is_empty() {
            self.charge(client, &released, -1);
            self.note_holds(client);
            self.refresh_free(agent);
        }
        released
    }

    /// Computes what is free from the total and what is held. An agent whose total shrank may have given
    /// away more than it has; then nothing of that is free.
    pub(crate) fn refresh_free(&mut self, agent: AgentIx) {
        let place = &mut self.agents[agent];
        place.free.clone_from(&place.total);
        let held = std::mem::take(&mut place.held);
        for (_, bundle) in &held {
            subtract_exclusive(&self.kinds, place, bundle);
        }
        place.held = held;
        self.settle_offerable(agent);
        self.notes.push(Note::AgentOffersMore(agent));
    }

    /// The bundle that other agents have too, if there is an equal one.
    pub(crate) fn shape(&mut self, total: Bundle) -> Bundle {
        if let Some(shape) = self.shapes.get(&total) {
            return shape.clone();
        }
        if self.shapes.len() >= MIN_SHAPES_TO_SWEEP.max(2 * self.agents.count()) {
            self.shapes.retain(|shape| !shape.is_alone());
        }
        self.shapes.insert(total.clone());
        total
    }

    /// Adds to (`sign` 1) or takes from (-1) the totals of the cluster.
    pub(crate) fn count_totals(&mut self, total: &Bundle, sign: i64) {
        self.totals.count(self.kinds.quantities(total), sign);
        self.notes.push(Note::Totals);
        self.count_for_quota(total, sign);
    }

    /// Removes a client that is neither subscribed nor holds anything, and its framework with the last
    /// client if it is only known from what it ran.
    pub(crate) fn drop_if_idle(&mut self, client: ClientIx) {
        let Some(place) = self.clients.get(client) else {
            return;
        };
        if place.subscribed || !place.agents.is_empty() {
            return;
        }
        let (framework, role) = (place.framework, Arc::clone(&place.role));
        self.quotas.leave(place.quota, client);
        self.set_minimums(client, None);
        self.filters.clear_client(client);
        self.clients.remove(client);
        self.notes.push(Note::ClientRemoved(client));
        let owner = &mut self.frameworks[framework];
        owner.clients.remove(&role);
        if !owner.known && owner.clients.is_empty() {
            let id = owner.id.value.clone();
            self.holds.clear_client(framework);
            self.frameworks.remove(framework);
            self.framework_by_id.remove(&id);
        }
    }

    /// Forgets kinds of resources nobody has any more, now and then.
    pub(crate) fn sweep_kinds(&mut self) {
        if !self.kinds.wants_sweep() {
            return;
        }
        let mut in_use = PlaceSet::default();
        for (_, agent) in self.agents.iter() {
            in_use.extend(agent.total.kinds());
            in_use.extend(agent.held.iter().flat_map(|(_, bundle)| bundle.kinds()));
        }
        in_use.extend(self.filters.compared().flat_map(Bundle::kinds));
        in_use.extend(self.holds.compared().flat_map(Bundle::kinds));
        // A new kind may get the integer of one that is forgotten, and then a shape of that would seem known.
        self.shapes
            .retain(|shape| !shape.is_alone() && shape.kinds().all(|kind| in_use.contains(kind)));
        self.kinds.sweep(&in_use);
    }
}

/// Takes from the agent's free resources what nobody else may hold beside the holder.
fn subtract_exclusive(kinds: &Kinds, agent: &mut Agent, bundle: &Bundle) {
    if agent.is_plain || !kinds.has_shared(bundle) {
        agent.free.subtract(bundle);
        return;
    }
    let mut exclusive = bundle.clone();
    exclusive.retain(|kind| !kinds.get(kind).is_shared);
    agent.free.subtract(&exclusive);
}
