//! The order as the world tells it: what is given, converted and given back on several agents.

use tepui_messages::allocator::WorldChange;
use tepui_protocol::{
    resources::{Quantity, Resources},
    v1::{
        Resource,
        resource::disk_info::Persistence,
        resource::{DiskInfo, RevocableInfo, SharedInfo},
    },
};

use super::*;
use crate::{
    invariants,
    kinds::NameIx,
    scene::{
        agent_added, agent_id, agent_info, allocation, framework_added, framework_id,
        framework_info, parse,
    },
    slots::Place,
};

/// A world and the policy that follows it.
#[derive(Default)]
struct Books {
    world: World,
    drf: Drf,
    role: &'static str,
}

impl Books {
    /// Frameworks under `*`, and agents with these totals: `1`, `2`, …
    fn new(frameworks: &[&str], totals: &[Vec<Resource>]) -> Self {
        Self::under("*", frameworks, totals)
    }

    fn under(role: &'static str, frameworks: &[&str], totals: &[Vec<Resource>]) -> Self {
        let mut books = Self {
            role,
            ..Self::default()
        };
        for (number, total) in (1..).zip(totals) {
            let info = agent_info(&format!("{number}"));
            books.tell(agent_added(info, total.clone()));
        }
        for framework in frameworks {
            books.add(framework);
        }
        books
    }

    fn tell(&mut self, change: WorldChange) {
        self.world.apply(change);
        for note in self.world.take_notes() {
            self.drf.follow(&self.world, note);
        }
        self.drf.each_sorter(Sorter::refresh);
        assert!(invariants::ledger_balances(&self.world));
        assert!(self.drf.is_consistent(&self.world));
    }

    fn add(&mut self, framework: &str) {
        let info = framework_info(framework, &[self.role], &[]);
        self.tell(framework_added(info));
    }

    fn give(&mut self, framework: &str, agent: &str, resources: Vec<Resource>) {
        self.tell(WorldChange::Used {
            agent_id: agent_id(agent),
            allocation: allocation(framework, self.role, resources),
        });
    }

    fn take_back(&mut self, framework: &str, agent: &str, resources: Vec<Resource>) {
        self.tell(WorldChange::Recovered {
            agent_id: agent_id(agent),
            allocation: allocation(framework, self.role, resources),
            refused_for: None,
        });
    }

    fn set_total(&mut self, agent: &str, total: &str) {
        self.tell(WorldChange::AgentTotal {
            agent_id: agent_id(agent),
            total: parse(total),
        });
    }

    fn client(&self, framework: &str) -> ClientIx {
        let framework = framework_id(framework);
        self.world.client(&framework, self.role).unwrap()
    }

    /// Frameworks in order, and their shares in thousandths.
    fn order(&self) -> Vec<(String, i64)> {
        let mut all = Vec::new();
        self.drf.sorter.first(|client| {
            let share = self.drf.sorter.share(client).unwrap();
            let framework = self.world.framework_id(client).value.clone();
            all.push((framework, (share * 1000.0).round() as i64));
            false
        });
        all
    }

    fn held(&self, framework: &str, agent: &str) -> Resources {
        let agent = self.world.agent(&agent_id(agent)).unwrap();
        let held = self.world.agents[agent].held_by(self.client(framework));
        let held = held.map(|bundle| self.world.kinds.resources(bundle));
        Resources::from_proto(&held.unwrap_or_default()).unwrap()
    }

    /// What a framework holds everywhere of cpus, mem and disk, in units.
    fn sums(&self, framework: &str) -> Vec<i64> {
        let allocated = &self.world.clients[self.client(framework)].allocated;
        (0..3)
            .map(|name| allocated.get(NameIx::at(name)) / 1000)
            .collect()
    }
}

fn order(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    let pairs = pairs.iter();
    pairs
        .map(|(framework, share)| ((*framework).to_owned(), *share))
        .collect()
}

fn volume(megabytes: i64) -> Resource {
    let persistence = Persistence {
        id: "id1".to_owned(),
        ..Persistence::default()
    };
    Resource {
        disk: Some(Box::new(DiskInfo {
            persistence: Some(persistence),
            ..DiskInfo::default()
        })),
        ..parse(&format!("disk(role1):{megabytes}")).remove(0)
    }
}

fn shared(megabytes: i64) -> Resource {
    Resource {
        shared: Some(SharedInfo {}),
        ..volume(megabytes)
    }
}

fn with(text: &str, more: &[Resource]) -> Vec<Resource> {
    let mut all = if text.is_empty() {
        Vec::new()
    } else {
        parse(text)
    };
    all.extend_from_slice(more);
    all
}

#[test]
fn a_share_is_of_all_of_a_name_however_it_is_split() {
    let mut books = Books::new(&["a", "b"], &[parse("cpus:100;mem:100;disk:100")]);
    books.give("a", "1", parse("cpus:9;mem:9;disk:9"));
    books.give("b", "1", with("cpus:9;mem:9", &[volume(5), volume(5)]));
    assert_eq!(books.order(), order(&[("a", 90), ("b", 100)]));
}

#[test]
fn revocable_amounts_count_like_others() {
    let revocable = |cpus: i64| Resource {
        revocable: Some(RevocableInfo {}),
        ..parse(&format!("cpus:{cpus}")).remove(0)
    };
    let total = with("cpus:10;mem:100", &[revocable(10)]);
    let mut books = Books::new(&["a", "b"], &[total]);
    books.give("a", "1", parse("cpus:2;mem:1"));
    books.give("b", "1", with("cpus:1;mem:1", &[revocable(9)]));
    assert_eq!(books.order(), order(&[("a", 100), ("b", 500)]));
}

#[test]
fn shares_follow_what_agents_have() {
    let agent = || parse("cpus:5;mem:50");
    let mut books = Books::new(&["a", "b"], &[agent(), agent()]);
    books.give("a", "1", parse("cpus:2;mem:1"));
    books.give("b", "2", parse("cpus:1;mem:3"));
    assert_eq!(books.order(), order(&[("b", 100), ("a", 200)]));
    books.set_total("1", "cpus:95;mem:50");
    assert_eq!(books.order(), order(&[("a", 20), ("b", 30)]));

    let mut books = Books::new(&["a", "b"], &[parse("cpus:10")]);
    books.give("a", "1", parse("cpus:6"));
    books.give("b", "1", parse("cpus:4"));
    assert_eq!(books.order(), order(&[("b", 400), ("a", 600)]));
    books.set_total("1", "cpus:5");
    books.take_back("a", "1", parse("cpus:5"));
    assert_eq!(books.order(), order(&[("a", 200), ("b", 800)]));
}

#[test]
fn what_is_held_is_known_by_agent_and_a_volume_made_of_it_changes_no_share() {
    let whole = "cpus:10;mem:10;disk:10;ports:[31000-32000]";
    for role in ["*", "a/x"] {
        let mut books = Books::under(role, &["a", "b"], &[parse(whole), parse(whole)]);
        for agent in ["1", "2"] {
            books.give("a", agent, parse(whole));
            assert_eq!(
                books.held("a", agent),
                Resources::from_proto(&parse(whole)).unwrap()
            );
        }
        assert_eq!(books.sums("a"), [20, 20, 20]);
        let before = books.order();
        let after = with("cpus:10;mem:10;disk:5;ports:[31000-32000]", &[volume(5)]);
        for agent in ["1", "2"] {
            books.tell(WorldChange::Converted {
                agent_id: agent_id(agent),
                consumed: allocation("a", role, parse("disk:5")),
                converted: vec![volume(5)].into(),
                total: after.clone(),
            });
            assert_eq!(
                books.held("a", agent),
                Resources::from_proto(&after).unwrap()
            );
        }
        assert_eq!(
            books.held("a", "1").persistent_volumes().disk(),
            Quantity::from_units(5)
        );
        assert_eq!((books.sums("a"), books.order()), (vec![20, 20, 20], before));
        books.take_back("a", "1", after.clone());
        books.take_back("a", "2", after);
        assert!(books.held("a", "1").is_empty() && books.held("a", "2").is_empty());
        assert_eq!(books.sums("a"), [0, 0, 0]);
    }
}

#[test]
fn a_shared_volume_counts_for_each_who_holds_it() {
    let total = with("cpus:100;mem:100;disk(role1):900", &[shared(100)]);
    let mut books = Books::new(&["a", "b"], &[total]);
    books.give("a", "1", with("cpus:5;mem:5", &[shared(100)]));
    books.give("b", "1", parse("cpus:6;mem:6"));
    assert_eq!(books.order(), order(&[("b", 60), ("a", 100)]));
    books.add("c");
    books.give("c", "1", with("cpus:1;mem:1", &[shared(100)]));
    assert_eq!(books.order(), order(&[("b", 60), ("a", 100), ("c", 100)]));
    books.tell(WorldChange::FrameworkRemoved {
        framework_id: framework_id("a"),
    });
    books.take_back("b", "1", parse("cpus:4;mem:4"));
    assert_eq!(books.order(), order(&[("b", 20), ("c", 100)]));
    books.add("d");
    books.give("d", "1", with("cpus:1;mem:5", &[shared(100)]));
    assert_eq!(books.order(), order(&[("b", 20), ("c", 100), ("d", 100)]));

    // So large a volume makes all who hold it alike.
    let total = with("cpus:100;mem:100;disk(role1):100", &[shared(900)]);
    let mut books = Books::new(&["b", "c"], &[total]);
    books.give("b", "1", with("cpus:5;mem:20", &[shared(900)]));
    books.give("c", "1", with("cpus:10;mem:6", &[shared(900)]));
    assert_eq!(books.order(), order(&[("b", 900), ("c", 900)]));
    books.add("a");
    books.give("a", "1", with("cpus:50;mem:40", &[shared(900)]));
    assert_eq!(books.order(), order(&[("a", 900), ("b", 900), ("c", 900)]));
}

#[test]
fn copies_of_a_shared_volume_count_once_until_the_last_is_given_back() {
    let total = with("cpus:100;mem:100;disk(role1):950", &[shared(50)]);
    let mut books = Books::new(&["a", "b"], &[total]);
    books.give("a", "1", with("cpus:2;mem:2", &[shared(50)]));
    books.give("b", "1", parse("cpus:6;mem:6"));
    let expected = order(&[("a", 50), ("b", 60)]);
    assert_eq!(books.order(), expected);
    books.give("a", "1", vec![shared(50), shared(50), shared(50)]);
    assert_eq!(books.order(), expected);
    // Also where they were there before the agent's total was known.
    let mut info = agent_info("2");
    info.hostname = "late".to_owned();
    books.tell(WorldChange::AgentAdded {
        info: std::sync::Arc::new(info),
        total: vec![shared(50)],
        used: vec![
            allocation("b", "*", vec![shared(50)]),
            allocation("b", "*", vec![shared(50)]),
        ],
        active: true,
    });
    assert_eq!(books.sums("b"), [6, 6, 50]);

    let total = with("cpus:100;mem:100;disk(role1):900", &[shared(100)]);
    let mut books = Books::new(&["a", "b"], &[total]);
    let three = [shared(100), shared(100), shared(100)];
    books.give("a", "1", with("cpus:2;mem:2", &three));
    books.give("b", "1", parse("cpus:6;mem:6"));
    assert_eq!(books.order(), order(&[("b", 60), ("a", 100)]));
    books.take_back("a", "1", vec![shared(100)]);
    assert_eq!(books.order(), order(&[("b", 60), ("a", 100)]));
    books.take_back("a", "1", vec![shared(100), shared(100)]);
    assert_eq!(books.order(), order(&[("a", 20), ("b", 60)]));
}
