//! Generated clusters, and a model of the rules in the protocol's own algebra: whoever is told that nothing stands in
//! the way would be offered, each cause is true, and where all of them are undone nothing is left.

use std::{collections::BTreeSet, sync::Arc};

use tepui_kit::Random;
use tepui_messages::allocator::{Whitelist, WorldChange};
use tepui_protocol::{
    resources::{Quantity, Resources},
    v1::{
        Attribute, DomainInfo,
        domain_info::FaultDomain,
        framework_info::capability,
        scheduler::{
            AttributeConstraint, OfferConstraints,
            attribute_constraint::{Predicate, Selector, predicate},
            offer_constraints::{RoleConstraints, role_constraints::Group},
        },
        value,
    },
};

use super::*;
use crate::{
    core::{Config, Input},
    scene::{
        Scene, agent_id, agent_info, allocation, framework_id, framework_info, minimum, parse,
    },
    scene_quota::{self, config, exactly},
    world::Rules,
};

const CLUSTERS: u64 = 200;
const ROLES: [&str; 3] = ["a", "a/b", "c"];
const TOTALS: [&str; 5] = [
    "cpus:8;mem:4096",
    "cpus:1;mem:64",
    "cpus:2;cpus(a):3;mem:512",
    "cpus(c):4;mem(c):1024;mem:40",
    "cpus:4;mem:1024;gpus:1",
];
const NEEDS: [&str; 4] = ["", "cpus:2", "cpus:3;mem:300", "gpus:1"];
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Clone)]
struct ModelAgent {
    active: bool,
    listed: bool,
    remote: bool,
    rack: &'static str,
    total: Resources,
    held: Resources,
}

#[derive(Clone)]
struct ModelClient {
    framework: String,
    role: &'static str,
    gpus: bool,
    region_aware: bool,
    /// Wants this rack only.
    rack: Option<&'static str>,
    suppressed: bool,
    /// What is worth an offer to it, in thousandths, if not what is worth one to all.
    least: Option<(&'static str, i64)>,
    refused: Vec<(usize, Resources)>,
}

struct Cluster {
    scene: Scene,
    agents: Vec<ModelAgent>,
    clients: Vec<ModelClient>,
    /// Hostnames.
    listed: BTreeSet<String>,
}

fn quantities(resources: &Resources) -> Thousandths {
    let scalars = resources.scalars().quantities();
    let scalars = scalars.into_iter();
    scalars
        .map(|(name, Quantity(amount))| (name.to_string(), amount))
        .collect()
}

fn need(text: &str) -> Thousandths {
    quantities(&Resources::parse(text, "*").unwrap())
}

/// The rules once more, in the protocol's algebra.
fn would_offer(agent: &ModelAgent, at: usize, client: &ModelClient, need: &Thousandths) -> bool {
    let offer = agent.total.checked_sub(&agent.held).unwrap();
    let offer = offer.allocatable_to(client.role);
    let has = quantities(&offer);
    let amount = |name: &str| has.get(name).copied().unwrap_or(0);
    let worth_it = match client.least {
        Some((name, least)) => amount(name) >= least,
        None => amount("cpus") >= 10 || amount("mem") >= 32_000,
    };
    let has_gpus = quantities(&agent.total).contains_key("gpus");
    let refused = client.refused.iter();
    let mut refused = refused.filter(|(on, _)| *on == at);
    agent.active
        && agent.listed
        && (client.gpus || !has_gpus)
        && (client.region_aware || !agent.remote)
        && client.rack.is_none_or(|rack| rack == agent.rack)
        && worth_it
        && need.iter().all(|(name, least)| amount(name) >= *least)
        && !refused.any(|(_, refused)| refused.contains(&offer))
}

fn constraints(role: &str, rack: &str) -> OfferConstraints {
    let constraint = AttributeConstraint {
        selector: Selector {
            attribute_name: Some("rack".to_owned()),
            ..Selector::default()
        },
        predicate: Predicate {
            text_equals: Some(predicate::TextEquals {
                value: rack.to_owned(),
            }),
            ..Predicate::default()
        },
    };
    let group = Group {
        attribute_constraints: vec![constraint],
    };
    let role_constraints = RoleConstraints {
        groups: vec![group],
    };
    OfferConstraints {
        role_constraints: [(role.to_owned(), role_constraints)].into_iter().collect(),
    }
}

fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}

fn cluster(seed: u64) -> Cluster {
    let mut random = Random::seeded(seed);
    let config = Config {
        rules: Rules {
            region: Some("here".to_owned()),
            ..Rules::default()
        },
        ..Config::default()
    };
    let mut cluster = Cluster {
        scene: Scene::with(&config, seed),
        agents: Vec::new(),
        clients: Vec::new(),
        listed: BTreeSet::new(),
    };
    // Nothing is offered, so that what is held is only what is said here.
    cluster.scene.tell(WorldChange::Paused(true));
    for at in 0..1 + random.below(4) as usize {
        cluster.add_agent(at, &mut random);
    }
    let list = Arc::new(cluster.listed.clone());
    cluster.scene.input(Input::Whitelist(Whitelist(Some(list))));
    for at in 0..1 + random.below(4) {
        cluster.add_client(&format!("f{at}"), &mut random);
    }
    for _ in 0..random.below(6) {
        cluster.hold_or_refuse(&mut random);
    }
    cluster
}

impl Cluster {
    fn add_agent(&mut self, at: usize, random: &mut Random) {
        let (total, remote) = (one_of(random, &TOTALS), random.below(5) == 0);
        let (rack, active) = (one_of(random, &["r1", "r2"]), random.below(5) > 0);
        let listed = random.below(5) > 0;
        if listed {
            self.listed.insert(format!("host-a{at}"));
        }
        let mut info = agent_info(&format!("a{at}"));
        info.attributes = vec![Attribute {
            name: "rack".to_owned(),
            r#type: value::Type::Text as i32,
            text: Some(value::Text {
                value: rack.to_owned(),
            }),
            ..Attribute::default()
        }];
        let mut domain = FaultDomain::default();
        domain.region.name = if remote { "there" } else { "here" }.to_owned();
        info.domain = Some(DomainInfo {
            fault_domain: Some(domain),
        });
        self.scene.tell(WorldChange::AgentAdded {
            info: Arc::new(info),
            total: parse(total),
            used: Vec::new(),
            active,
        });
        self.agents.push(ModelAgent {
            active,
            listed,
            remote,
            rack,
            total: Resources::parse(total, "*").unwrap(),
            held: Resources::default(),
        });
    }

    fn add_client(&mut self, framework: &str, random: &mut Random) {
        let client = ModelClient {
            framework: framework.to_owned(),
            role: one_of(random, &ROLES),
            gpus: random.below(2) == 0,
            region_aware: random.below(2) == 0,
            rack: one_of(random, &[None, None, Some("r1"), Some("r2")]),
            suppressed: random.below(6) == 0,
            least: one_of(
                random,
                &[None, None, Some(("cpus", 2_000)), Some(("mem", 1_000))],
            ),
            refused: Vec::new(),
        };
        let mut capabilities = Vec::new();
        if client.gpus {
            capabilities.push(capability::Type::GpuResources);
        }
        if client.region_aware {
            capabilities.push(capability::Type::RegionAware);
        }
        let suppressed: &[&str] = if client.suppressed {
            &[client.role]
        } else {
            &[]
        };
        let rack = client.rack;
        let mut info = framework_info(framework, &[client.role], &capabilities);
        if let Some((name, amount)) = client.least {
            let filters = minimum(name, amount);
            info.offer_filters.insert(client.role.to_owned(), filters);
        }
        self.scene.tell(WorldChange::FrameworkAdded {
            info: Arc::new(info),
            suppressed_roles: suppressed.iter().map(|role| (*role).to_owned()).collect(),
            offer_constraints: rack.map(|rack| Arc::new(constraints(client.role, rack))),
            active: true,
            used: Vec::new(),
        });
        self.clients.push(client);
    }

    /// Lets a client hold some of what is free, or refuse it.
    fn hold_or_refuse(&mut self, random: &mut Random) {
        let at = random.below(self.agents.len() as u64) as usize;
        let which = random.below(self.clients.len() as u64) as usize;
        let (agent, client) = (&mut self.agents[at], &mut self.clients[which]);
        let free = agent.total.checked_sub(&agent.held).unwrap();
        let mut some = free.allocatable_to(client.role);
        if random.below(2) == 0 {
            some = some.named("cpus");
        }
        if some.is_empty() {
            return;
        }
        let agent_id = agent_id(&format!("a{at}"));
        let allocation = allocation(&client.framework, client.role, some.to_proto());
        if random.below(2) == 0 {
            agent.held += &some;
            self.scene.tell(WorldChange::Used {
                agent_id,
                allocation,
            });
        } else {
            client.refused.push((at, some));
            self.scene.tell(WorldChange::Refused {
                agent_id,
                allocation,
                refused_for: YEAR,
            });
        }
    }

    fn explain(&self, client: &ModelClient, need: &Thousandths, most: usize) -> RoleExplanation {
        let question = Explain {
            framework_id: client.framework.clone(),
            role: Some(client.role.to_owned()),
            need: need.clone(),
            most,
        };
        let explanation = self.scene.core.explain(self.scene.now, &question);
        explanation.roles.into_iter().next().unwrap()
    }
}

/// The agent and the client as they would be without this cause.
fn undo(cause: &Cause, agent: &mut ModelAgent, client: &mut ModelClient) {
    match cause {
        Cause::AgentInactive => agent.active = true,
        Cause::NotWhitelisted => agent.listed = true,
        Cause::GpusKept => client.gpus = true,
        Cause::OtherRegion => client.region_aware = true,
        Cause::Constraint => client.rack = None,
        Cause::Held { holders, .. } => {
            let mut sum = Thousandths::new();
            for (name, amount) in holders.iter().flat_map(|holder| &holder.amounts) {
                *sum.entry(name.clone()).or_default() += amount;
            }
            assert_eq!(sum, quantities(&agent.held), "all that is held is named");
            agent.held = Resources::default();
        }
        Cause::Refused { .. } => client.refused.clear(),
        Cause::TooSmall { .. }
        | Cause::Reserved { .. }
        | Cause::Capability { .. }
        | Cause::Quota { .. } => {
            panic!("not undone by one step")
        }
    }
}

/// What is missing of the whole agent, as the model has it.
fn is_true(cause: &Cause, agent: &ModelAgent, client: &ModelClient, need: &Thousandths) {
    let total = quantities(&agent.total);
    match cause {
        Cause::TooSmall { missing } => {
            for (name, amount) in need {
                let lacks = amount - total.get(name).copied().unwrap_or(0);
                assert_eq!(missing.get(name).copied().unwrap_or(0), lacks.max(0));
            }
        }
        Cause::Reserved { by_role } => {
            for (role, amounts) in by_role {
                assert_eq!(&quantities(&agent.total.reserved_to(role)), amounts);
                assert!(
                    agent
                        .total
                        .reserved_to(role)
                        .allocatable_to(client.role)
                        .is_empty()
                );
            }
        }
        other => panic!("{other:?} is undone instead"),
    }
}

#[test]
fn every_cause_is_true_and_undone_all_of_them_lead_to_an_offer() {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..CLUSTERS {
        let cluster = cluster(seed);
        for client in &cluster.clients {
            for text in NEEDS {
                let need = need(text);
                let explained = cluster.explain(client, &need, usize::MAX);
                let expected = if client.suppressed {
                    vec![Bar::Paused, Bar::Suppressed]
                } else {
                    vec![Bar::Paused]
                };
                assert_eq!(explained.bars, expected);
                assert_eq!(explained.agents.len(), cluster.agents.len());
                for told in &explained.agents {
                    let at: usize = told.agent_id[1..].parse().unwrap();
                    *seen.entry("asked").or_default() += 1;
                    for cause in &told.causes {
                        *seen.entry(cause.name()).or_default() += 1;
                    }
                    check(&cluster.agents[at], at, client, &need, &told.causes);
                }
            }
        }
    }
    for name in [
        "AGENT_INACTIVE",
        "NOT_WHITELISTED",
        "GPUS_KEPT",
        "OTHER_REGION",
        "CONSTRAINT",
        "TOO_SMALL",
        "RESERVED",
        "HELD",
        "REFUSED",
    ] {
        assert!(seen[name] >= 20, "{name} is tried too rarely: {seen:?}");
    }
}

fn check(
    agent: &ModelAgent,
    at: usize,
    client: &ModelClient,
    need: &Thousandths,
    causes: &[Cause],
) {
    let offered = would_offer(agent, at, client, need);
    assert_eq!(causes.is_empty(), offered, "{causes:?}");
    let lasting = |cause: &&Cause| {
        matches!(
            cause,
            Cause::TooSmall { .. } | Cause::Reserved { .. } | Cause::Capability { .. }
        )
    };
    if let Some(cause) = causes.iter().find(lasting) {
        return is_true(cause, agent, client, need);
    }
    for kept in 0..=causes.len() {
        let (mut agent, mut client) = (agent.clone(), client.clone());
        for (which, cause) in causes.iter().enumerate() {
            if which != kept {
                undo(cause, &mut agent, &mut client);
            }
        }
        let offered = would_offer(&agent, at, &client, need);
        assert_eq!(offered, kept == causes.len(), "{kept} of {causes:?}");
    }
}

#[test]
fn nearest_misses_come_first_and_the_rest_is_only_counted() {
    let mut scene = Scene::new();
    scene.add_framework("f1", &["a"]);
    scene.settle();
    for (agent, total) in [
        ("small", "cpus:1;mem:512"),
        ("tiny", "cpus:0.5;mem:512"),
        ("held", "cpus:4;mem:512"),
    ] {
        scene.add_agent(agent, total);
    }
    scene.tell(WorldChange::AgentActive {
        agent_id: agent_id("tiny"),
        active: false,
    });
    scene.settle();
    let mut question = Explain {
        framework_id: "f1".to_owned(),
        role: None,
        need: need("cpus:2"),
        most: 2,
    };
    let told = scene.core.explain(scene.now, &question);
    let role = &told.roles[0];
    let names: Vec<&str> = role.agents.iter().map(|it| it.agent_id.as_str()).collect();
    assert_eq!(names, ["held", "small"]);
    let Cause::Held { missing, holders } = &role.agents[0].causes[0] else {
        panic!("{role:?}");
    };
    assert_eq!((missing, holders.len()), (&need("cpus:2"), 1));
    assert_eq!(holders[0].framework_id, "f1");
    let lacks = Cause::TooSmall {
        missing: need("cpus:1"),
    };
    assert_eq!(role.agents[1].causes, [lacks]);
    assert_eq!(role.counts["TOO_SMALL"], 2);
    assert_eq!((role.open, role.takers, role.ahead), (0, 1, Some(0)));

    question.framework_id = framework_id("nobody").value;
    assert!(scene.core.explain(scene.now, &question).roles.is_empty());
}

#[test]
fn a_refusal_says_how_long_it_lasts() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:512");
    scene.add_framework("f1", &["a"]);
    scene.settle();
    scene.decline("f1", "a", "a1", "cpus:4;mem:512", Duration::from_secs(10));
    scene.advance(Duration::from_secs(3));
    let question = Explain {
        framework_id: "f1".to_owned(),
        role: None,
        need: Thousandths::new(),
        most: 1,
    };
    let told = scene.core.explain(scene.now, &question);
    // Refused at 0.3 s until the interval that begins at 11 s; now it is 3.3 s.
    let refused = Cause::Refused {
        lasts: Duration::from_millis(7_700),
        refused: need("cpus:4;mem:512"),
    };
    assert_eq!(told.roles[0].agents[0].causes, [refused]);
}

/// Why the first agent is not offered to `f1`, which needs so much.
fn told_f1(scene: &Scene, text: &str) -> Vec<Cause> {
    let question = Explain {
        framework_id: "f1".to_owned(),
        role: None,
        need: need(text),
        most: 1,
    };
    let told = scene.core.explain(scene.now, &question);
    told.roles[0].agents[0].causes.clone()
}

#[test]
fn quota_says_whose_limit_it_is_and_what_is_kept_for_others() {
    let quota = vec![config("a", "", "cpus:1"), exactly("q", "mem:512")];
    let mut scene = scene_quota::scene(&[("f1", &["a/b"])], quota);
    scene.add_agent("1", "cpus:4;mem:600");
    let limit = QuotaRule::Limit("a".to_owned());
    let rules = [("cpus", limit), ("mem", QuotaRule::Headroom)];
    let rules = rules.map(|(name, rule)| (name.to_owned(), rule));
    let cause = Cause::Quota {
        missing: need("cpus:2;mem:12"),
        rules: BTreeMap::from(rules),
    };
    assert_eq!(told_f1(&scene, "cpus:3;mem:100"), [cause]);
    assert_eq!(told_f1(&scene, "cpus:1;mem:88"), []);
}

#[test]
fn a_refusal_of_less_is_not_in_the_way_of_what_quota_keeps() {
    let mut scene = scene_quota::scene(&[("f1", &["a"])], vec![config("a", "", "cpus:1")]);
    scene.add_agent("1", "cpus:4;mem:600");
    assert_eq!(scene.offers()[0].3, "cpus:1; mem:600");
    scene.decline("f1", "a", "1", "cpus:1;mem:600", Duration::from_secs(60));
    let names = |text: &str| {
        let causes = told_f1(&scene, text);
        causes.iter().map(Cause::name).collect::<Vec<_>>()
    };
    assert_eq!(names("cpus:3"), ["QUOTA"]);
    assert_eq!(names("cpus:1"), ["REFUSED"]);
}
