//! Random histories: whatever a master tells, in whatever order, the ledger balances and offers are
//! allowed, within quota too, and a run leaves nobody what it could have offered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use tepui_messages::allocator::{Allocation, Whitelist, WorldChange};
use tepui_protocol::{
    resources::Resources,
    v1::{FrameworkInfo, framework_info::capability},
};

use crate::{
    core::{Config, Input},
    invariants,
    mirror::{Mirror, MirroredAgent, MirroredFramework},
    mirror_quota::Quota,
    policy,
    scene::{
        Scene, agent_id, agent_info, allocation, domain, framework_id, framework_info, minimum,
    },
};

const ROLES: [&str; 4] = ["*", "a", "a/b", "c"];
const AGENTS: u8 = 5;
const FRAMEWORKS: u8 = 4;
const TOTALS: [&str; 5] = [
    "cpus:4;mem:4096;ports:[31000-31009]",
    "cpus:2.5;mem:512;disk:100;custom:3;names:{x,y,z}",
    "cpus:1;cpus(a):2;mem(a):64;mem:100",
    "cpus:8;mem:128;gpus:2",
    "cpus(a/b):1;cpus(c):1;mem:10;ports(c):[1-9]",
];
/// What runs that nobody was offered.
const USED: [&str; 3] = ["cpus:0.5;mem:16", "mem:64", "cpus(a):1"];
/// Of another region than the master.
const REMOTE: &str = "a4";
/// Takes agents of any region.
const AWARE: &str = "f2";
const INTERVAL_MS: u64 = 1_000;
/// 160 histories of about 150 steps.
const CASES: u32 = 160;

#[derive(Debug, Clone)]
enum Step {
    AddAgent(u8, usize),
    SetTotal(u8, usize),
    AgentActive(u8, bool),
    RemoveAgent(u8),
    /// Roles and suppressed roles as bits; GPU_RESOURCES.
    AddFramework(u8, u8, u8, bool),
    UpdateFramework(u8, u8, u8, bool),
    FrameworkActive(u8, bool),
    RemoveFramework(u8),
    Use(u8, u8, usize, usize),
    /// Of the holdings this one comes back, all or only some resources, with a refusal or without.
    GiveBack(usize, u8, Option<u64>),
    Revive(u8, u8),
    Suppress(u8, u8),
    Weight(usize, u8),
    /// By role: guarantees and limits of cpus and mem, in half cpus and quarter gigabytes.
    Quota(Vec<(usize, [u8; 2], [Option<u8>; 2])>),
    Pause(bool),
    /// Agents as bits; all if there are none.
    Whitelist(Option<u8>),
    Advance(u64),
    /// The proposals of the next run reach nobody.
    Lose,
    /// Another policy decides from now on, and another one or none is compared.
    Choose(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (agent, framework) = (0..AGENTS, 0..FRAMEWORKS);
    let (total, role, bits) = (0..TOTALS.len(), 0..ROLES.len(), 0_u8..16);
    let refusal = prop::option::of(prop_oneof![Just(0), 1_u64..20_000, Just(u64::MAX)]);
    let described = || (0..FRAMEWORKS, 0_u8..16, 0_u8..16, any::<bool>());
    prop_oneof![
        3 => (agent.clone(), total.clone()).prop_map(|(a, t)| Step::AddAgent(a, t)),
        1 => (agent.clone(), total).prop_map(|(a, t)| Step::SetTotal(a, t)),
        1 => (agent.clone(), any::<bool>()).prop_map(|(a, on)| Step::AgentActive(a, on)),
        1 => agent.clone().prop_map(Step::RemoveAgent),
        3 => described().prop_map(|(f, r, s, g)| Step::AddFramework(f, r, s & r, g)),
        1 => described().prop_map(|(f, r, s, g)| Step::UpdateFramework(f, r, s & r, g)),
        1 => (framework.clone(), any::<bool>()).prop_map(|(f, on)| Step::FrameworkActive(f, on)),
        1 => framework.clone().prop_map(Step::RemoveFramework),
        2 => (agent, framework.clone(), role.clone(), 0..USED.len())
            .prop_map(|(a, f, r, u)| Step::Use(a, f, r, u)),
        12 => (any::<usize>(), 0_u8..4, refusal).prop_map(|(n, p, r)| Step::GiveBack(n, p, r)),
        1 => (framework.clone(), bits.clone()).prop_map(|(f, r)| Step::Revive(f, r)),
        1 => (framework, bits).prop_map(|(f, r)| Step::Suppress(f, r)),
        1 => (role, 1_u8..4).prop_map(|(r, w)| Step::Weight(r, w)),
        2 => quota().prop_map(Step::Quota),
        1 => prop::option::weighted(0.6, 0_u8..32).prop_map(Step::Whitelist),
        1 => prop::bool::weighted(0.3).prop_map(Step::Pause),
        4 => (1_u64..4_000).prop_map(Step::Advance),
        1 => Just(Step::Lose),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(p, s)| Step::Choose(p, s)),
    ]
}

fn quota() -> impl Strategy<Value = Vec<(usize, [u8; 2], [Option<u8>; 2])>> {
    let guarantees = prop::array::uniform2(0_u8..8);
    let limits = prop::array::uniform2(prop::option::of(0_u8..12));
    prop::collection::vec((0..ROLES.len(), guarantees, limits), 0..4)
}

fn roles(bits: u8) -> Vec<&'static str> {
    let chosen = ROLES.iter().enumerate();
    chosen
        .filter(|(at, _)| bits & (1 << at) != 0)
        .map(|(_, role)| *role)
        .collect()
}

fn owned(roles: &[&str]) -> Vec<String> {
    roles.iter().map(|role| (*role).to_owned()).collect()
}

fn regional() -> Config {
    let mut config = Config::default();
    config.rules.region = Some("here".to_owned());
    config
}

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

/// What one framework wants of an offer at least: by role, in thousandths of a name.
fn least(framework: &str) -> impl Iterator<Item = (&'static str, &'static str, i64)> {
    let all = [("a", "mem", 8_000), ("c", "cpus", 3_000)];
    all.into_iter().filter(move |_| framework == "f3")
}

struct History {
    scene: Scene,
    mirror: Mirror,
    paused: bool,
}

impl History {
    fn tell(&mut self, change: WorldChange) {
        self.scene.tell(change);
    }

    fn info(framework: u8, bits: u8, gpus: bool) -> Arc<FrameworkInfo> {
        let id = format!("f{framework}");
        let gpus = gpus.then_some(capability::Type::GpuResources);
        let aware = (id == AWARE).then_some(capability::Type::RegionAware);
        let capabilities: Vec<_> = gpus.into_iter().chain(aware).collect();
        let mut info = framework_info(&id, &roles(bits), &capabilities);
        let filters = least(&id);
        let filters = filters.map(|(role, name, amount)| (role.to_owned(), minimum(name, amount)));
        info.offer_filters = filters.collect();
        Arc::new(info)
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::AddAgent(agent, total) => self.add_agent(&format!("a{agent}"), TOTALS[total]),
            Step::SetTotal(agent, total) => self.set_total(&format!("a{agent}"), TOTALS[total]),
            Step::AgentActive(agent, active) => {
                let agent = format!("a{agent}");
                if let Some(known) = self.mirror.totals.get_mut(&agent) {
                    known.active = active;
                }
                let agent_id = agent_id(&agent);
                self.tell(WorldChange::AgentActive { agent_id, active });
            }
            Step::RemoveAgent(agent) => {
                let agent = format!("a{agent}");
                self.mirror.totals.remove(&agent);
                self.mirror.held.retain(|(on, ..), _| *on != agent);
                self.mirror.refused.retain(|((on, ..), ..)| *on != agent);
                let agent_id = agent_id(&agent);
                self.tell(WorldChange::AgentRemoved { agent_id });
            }
            Step::AddFramework(framework, roles, suppressed, gpus) => {
                self.add_framework(framework, roles, suppressed, gpus);
            }
            Step::UpdateFramework(framework, roles, suppressed, gpus) => {
                self.update_framework(framework, roles, suppressed, gpus);
            }
            Step::FrameworkActive(framework, active) => {
                let id = format!("f{framework}");
                if let Some(known) = self.mirror.frameworks.get_mut(&id) {
                    known.active = active;
                    self.mirror.forget_refusals(&id);
                }
                let framework_id = framework_id(&id);
                self.tell(WorldChange::FrameworkActive {
                    framework_id,
                    active,
                });
            }
            Step::RemoveFramework(framework) => {
                let id = format!("f{framework}");
                self.mirror.frameworks.remove(&id);
                self.mirror.held.retain(|(_, holder, _), _| *holder != id);
                self.mirror.forget_refusals(&id);
                let framework_id = framework_id(&id);
                self.tell(WorldChange::FrameworkRemoved { framework_id });
            }
            Step::Use(agent, framework, role, used) => self.use_some(agent, framework, role, used),
            Step::GiveBack(which, part, refused) => self.give_back(which, part, refused),
            Step::Revive(framework, bits) => self.revive(framework, bits),
            Step::Suppress(framework, bits) => self.suppress(framework, bits),
            Step::Weight(role, weight) => {
                let weights = BTreeMap::from([(ROLES[role].to_owned(), f64::from(weight))]);
                self.tell(WorldChange::Weights(Arc::new(weights)));
            }
            Step::Quota(roles) => {
                let roles = roles.into_iter();
                let roles = roles.map(|(role, guarantees, limits)| {
                    let guarantees = guarantees.map(|amount| Some(amount).filter(|it| *it > 0));
                    (ROLES[role], guarantees, limits)
                });
                self.mirror.quota = Quota::new(roles);
                let configs = self.mirror.quota.configs();
                self.tell(WorldChange::Quota(Arc::new(configs)));
            }
            Step::Pause(paused) => {
                self.paused = paused;
                self.tell(WorldChange::Paused(paused));
            }
            Step::Whitelist(bits) => self.whitelist(bits),
            Step::Advance(ms) => self.scene.advance(Duration::from_millis(ms)),
            Step::Lose => self.scene.lose_next = true,
            Step::Choose(policy, shadow) => {
                let names = policy::names();
                let core = &mut self.scene.core;
                core.choose(names[policy % names.len()]).unwrap();
                let shadow = names.get(shadow % (names.len() + 1));
                core.choose_shadow(shadow.copied()).unwrap();
            }
        }
    }

    fn whitelist(&mut self, bits: Option<u8>) {
        let listed = |bits: u8| (0..AGENTS).filter(move |agent| bits & (1 << agent) != 0);
        let agents = bits.map(|bits| listed(bits).map(|agent| format!("a{agent}")).collect());
        let hosts = bits.map(|bits| listed(bits).map(|agent| format!("host-a{agent}")).collect());
        self.mirror.whitelist = agents;
        let list = Whitelist(hosts.map(Arc::new));
        self.scene.input(Input::Whitelist(list));
    }

    fn add_agent(&mut self, agent: &str, total: &str) {
        let resources = parse(total);
        let remote = agent == REMOTE;
        let mut info = agent_info(agent);
        info.domain = remote.then(|| domain("far"));
        let known = MirroredAgent {
            total: resources.clone(),
            active: true,
            remote,
        };
        self.mirror.held.retain(|(on, ..), _| on != agent);
        self.mirror.refused.retain(|((on, ..), ..)| on != agent);
        self.mirror.totals.insert(agent.to_owned(), known);
        self.tell(WorldChange::AgentAdded {
            info: Arc::new(info),
            total: resources.to_proto(),
            used: Vec::new(),
            active: true,
        });
    }

    /// Only to totals that hold what is held; that more may be held is a test of its own.
    fn set_total(&mut self, agent: &str, total: &str) {
        let Some(known) = self.mirror.totals.get(agent).cloned() else {
            return;
        };
        let resources = parse(total);
        let changed = MirroredAgent {
            total: resources.clone(),
            ..known
        };
        self.mirror.totals.insert(agent.to_owned(), changed);
        if self.mirror.free(agent).is_none() {
            self.mirror.totals.insert(agent.to_owned(), known);
            return;
        }
        self.tell(WorldChange::AgentTotal {
            agent_id: agent_id(agent),
            total: resources.to_proto(),
        });
    }

    fn add_framework(&mut self, framework: u8, bits: u8, suppressed: u8, gpus: bool) {
        let id = format!("f{framework}");
        let used = self
            .mirror
            .held
            .iter()
            .filter(|((_, holder, _), _)| *holder == id);
        let used = used.map(|((agent, _, role), resources)| {
            (agent_id(agent), allocation(&id, role, resources.to_proto()))
        });
        let used = used.collect();
        self.describe(&id, true, bits, suppressed, gpus);
        self.tell(WorldChange::FrameworkAdded {
            info: Self::info(framework, bits, gpus),
            suppressed_roles: owned(&roles(suppressed)),
            offer_constraints: None,
            active: true,
            used,
        });
    }

    fn update_framework(&mut self, framework: u8, bits: u8, suppressed: u8, gpus: bool) {
        let id = format!("f{framework}");
        if let Some(known) = self.mirror.frameworks.get(&id) {
            let active = known.active;
            self.describe(&id, active, bits, suppressed, gpus);
        }
        self.tell(WorldChange::FrameworkUpdated {
            info: Self::info(framework, bits, gpus),
            suppressed_roles: owned(&roles(suppressed)),
            offer_constraints: None,
        });
    }

    fn describe(&mut self, id: &str, active: bool, bits: u8, suppressed: u8, gpus: bool) {
        self.mirror.forget_refusals(id);
        let described = MirroredFramework {
            active,
            roles: owned(&roles(bits)).into_iter().collect(),
            suppressed: owned(&roles(suppressed)).into_iter().collect(),
            gpus,
            region_aware: id == AWARE,
            least: least(id)
                .map(|(role, name, amount)| (role.to_owned(), (name, amount)))
                .collect(),
        };
        self.mirror.frameworks.insert(id.to_owned(), described);
    }

    fn use_some(&mut self, agent: u8, framework: u8, role: usize, used: usize) {
        let (agent, framework) = (format!("a{agent}"), format!("f{framework}"));
        let resources = parse(USED[used]);
        let free = self.mirror.free(&agent);
        if !free.is_some_and(|free| free.contains(&resources)) {
            return;
        }
        let holder = (agent.clone(), framework.clone(), ROLES[role].to_owned());
        self.mirror.take(holder, &resources);
        self.tell(WorldChange::Used {
            agent_id: agent_id(&agent),
            allocation: allocation(&framework, ROLES[role], resources.to_proto()),
        });
    }

    fn give_back(&mut self, which: usize, part: u8, refused_ms: Option<u64>) {
        if self.mirror.held.is_empty() {
            return;
        }
        let which = which % self.mirror.held.len();
        let (holder, held) = self.mirror.held.iter().nth(which).unwrap();
        let (holder, held) = (holder.clone(), held.clone());
        let returned = if part == 0 {
            held.scalars()
        } else {
            held.clone()
        };
        let rest = held.checked_sub(&returned).unwrap();
        if rest.is_empty() {
            self.mirror.held.remove(&holder);
        } else {
            self.mirror.held.insert(holder.clone(), rest);
        }
        let (agent, framework, role) = holder.clone();
        let known = self.mirror.frameworks.get(&framework);
        if let Some(ms) = refused_ms
            && known.is_some_and(|known| known.roles.contains(&role))
        {
            let least = if ms == 0 {
                0
            } else {
                ms.clamp(INTERVAL_MS, 365 * 86_400_000)
            };
            let until = self.scene.now + Duration::from_millis(least);
            self.mirror.refused.push((holder, returned.clone(), until));
        }
        self.tell(WorldChange::Recovered {
            agent_id: agent_id(&agent),
            allocation: Allocation {
                framework_id: framework_id(&framework),
                role,
                resources: returned.to_proto().into(),
            },
            refused_for: refused_ms.map(Duration::from_millis),
        });
    }

    fn revive(&mut self, framework: u8, bits: u8) {
        let id = format!("f{framework}");
        self.mirror.forget_refusals(&id);
        let roles = owned(&roles(bits));
        if let Some(known) = self.mirror.frameworks.get_mut(&id) {
            known
                .suppressed
                .retain(|role| !roles.is_empty() && !roles.contains(role));
        }
        let framework_id = framework_id(&id);
        self.tell(WorldChange::Revive {
            framework_id,
            roles,
        });
    }

    fn suppress(&mut self, framework: u8, bits: u8) {
        let id = format!("f{framework}");
        let roles = owned(&roles(bits));
        if let Some(known) = self.mirror.frameworks.get_mut(&id) {
            let named = known.roles.iter();
            let named = named.filter(|role| roles.is_empty() || roles.contains(role));
            known.suppressed.extend(named.cloned().collect::<Vec<_>>());
        }
        let framework_id = framework_id(&id);
        self.tell(WorldChange::Suppress {
            framework_id,
            roles,
        });
    }

    /// Lets the allocator run half of the time, and looks at everything.
    fn check(&mut self, settle: bool) -> Result<(), TestCaseError> {
        let runs = self.scene.core.counts().runs;
        if settle {
            self.scene.settle();
        }
        let proposals = self.scene.take_proposals();
        self.mirror.check(self.scene.now, &proposals)?;
        let (core, world) = (&self.scene.core, self.scene.core.world());
        prop_assert!(invariants::ledger_balances(world));
        prop_assert!(invariants::quota_balances(world));
        prop_assert!(invariants::offers_are_possible_where_they_should_be(world));
        prop_assert!(core.policy().is_consistent(world));
        prop_assert!(
            core.shadow()
                .is_none_or(|shadow| shadow.policy().is_consistent(world))
        );
        if core.counts().runs > runs && core.candidates().is_empty() && !self.paused {
            prop_assert!(invariants::nothing_is_overlooked(world));
            self.mirror.check_nothing_is_left(world)?;
        }
        for (_, agent) in world.agents.iter() {
            let free = world.kinds.resources(&agent.free);
            let free = Resources::from_proto(&free).unwrap();
            prop_assert_eq!(Some(free), self.mirror.free(&agent.id.value));
        }
        prop_assert_eq!(world.agents.count(), self.mirror.totals.len());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_balances_and_offers_are_allowed_in_random_histories(
        seed in any::<u64>(),
        steps in prop::collection::vec((step(), any::<bool>()), 100..200),
    ) {
        live(seed, steps)?;
    }
}

/// What slowly piles up shows in no short history. Nobody could read what a shrunk long one says. Not by the macro: it takes
/// as many cases as `PROPTEST_CASES` says, of which thousands would take hours.
#[test]
fn and_so_they_do_in_a_long_one() {
    let common = ProptestConfig::default();
    let config = ProptestConfig {
        cases: common.cases.div_ceil(CASES_A_LONG_ONE),
        max_shrink_iters: 0,
        source_file: Some(file!()),
        ..common
    };
    let steps = prop::collection::vec((step(), any::<bool>()), LONG..=LONG);
    let lived =
        TestRunner::new(config).run(&(any::<u64>(), steps), |(seed, steps)| live(seed, steps));
    lived.unwrap();
}

/// One long history for so many cases of other properties.
const CASES_A_LONG_ONE: u32 = 256;
/// Steps of a long history.
const LONG: usize = 20_000;

fn live(seed: u64, steps: Vec<(Step, bool)>) -> Result<(), TestCaseError> {
    let mut history = History {
        scene: Scene::with(&regional(), seed),
        mirror: Mirror::default(),
        paused: false,
    };
    for (step, settle) in steps {
        history.take_step(step);
        history.check(settle)?;
    }
    Ok(())
}
