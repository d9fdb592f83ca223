use std::sync::Arc;

use tepui_messages::allocator::WorldChange;
use tepui_protocol::v1::{
    Resource,
    resource::{DiskInfo, SharedInfo, disk_info::Persistence},
};

use crate::{
    drf::Drf,
    invariants,
    policy::Policy,
    scene::{
        Scene, agent_added, agent_id, agent_info, allocation, framework_added, framework_id,
        framework_info, parse, recovered,
    },
    scene_quota::{exactly, offers, set_quota},
    world::World,
};
use tepui_protocol::v1::framework_info::capability;

/// A shared volume on a disk reserved for the role.
fn shared(role: &str, megabytes: i64) -> Resource {
    let persistence = Persistence {
        id: "id1".to_owned(),
        ..Persistence::default()
    };
    Resource {
        disk: Some(Box::new(DiskInfo {
            persistence: Some(persistence),
            ..DiskInfo::default()
        })),
        shared: Some(SharedInfo {}),
        ..parse(&format!("disk({role}):{megabytes}")).remove(0)
    }
}

/// A world and the policy that follows it.
#[derive(Default)]
struct Books {
    world: World,
    drf: Drf,
}

impl Books {
    fn new(agents: &[&str], total: &[Resource]) -> Self {
        let mut books = Self::default();
        for agent in agents {
            books.tell(agent_added(agent_info(agent), total.to_vec()));
        }
        books
    }

    fn tell(&mut self, change: WorldChange) {
        self.world.apply(change);
        for note in self.world.take_notes() {
            self.drf.follow(&self.world, note);
        }
        assert!(invariants::ledger_balances(&self.world));
        assert!(self.drf.is_consistent(&self.world));
    }

    fn give(&mut self, framework: &str, role: &str, agent: &str, resources: Vec<Resource>) {
        self.tell(framework_added(framework_info(framework, &[role], &[])));
        self.tell(WorldChange::Used {
            agent_id: agent_id(agent),
            allocation: allocation(framework, role, resources),
        });
    }

    fn take_back(&mut self, framework: &str, role: &str, agent: &str, resources: Vec<Resource>) {
        self.tell(WorldChange::Recovered {
            agent_id: agent_id(agent),
            allocation: allocation(framework, role, resources),
            refused_for: None,
        });
    }

    /// Dominant share of a role with all below it, in thousandths.
    fn share(&self, role: &str) -> i64 {
        let share = self.drf.sorter().role_share(role).unwrap_or(0.0);
        (share * 1000.0).round() as i64
    }
}

fn total(volume: Resource) -> Vec<Resource> {
    let mut total = parse("cpus:100;mem:1000;disk:900");
    total.push(volume);
    total
}

#[test]
fn a_volume_that_frameworks_of_a_role_share_counts_once_for_the_role() {
    let volume = || vec![shared("r", 100)];
    let mut books = Books::new(&["1", "2"], &total(shared("r", 100)));
    books.give("a", "r", "1", volume());
    assert_eq!(books.share("r"), 50, "100 MB of 2000");
    books.give("b", "r", "1", volume());
    books.give("c", "r", "1", vec![shared("r", 100), shared("r", 100)]);
    assert_eq!(books.share("r"), 50);
    books.give("b", "r", "2", volume());
    assert_eq!(
        books.share("r"),
        100,
        "on another agent it is another volume"
    );
    books.take_back("a", "r", "1", volume());
    books.take_back("b", "r", "1", volume());
    assert_eq!(books.share("r"), 100, "there are copies left");
    books.take_back("c", "r", "1", vec![shared("r", 100), shared("r", 100)]);
    assert_eq!(books.share("r"), 50);
    books.give("a", "r", "2", volume());
    books.tell(WorldChange::FrameworkRemoved {
        framework_id: framework_id("b"),
    });
    assert_eq!(books.share("r"), 50);
    books.tell(WorldChange::AgentRemoved {
        agent_id: agent_id("2"),
    });
    assert_eq!(books.share("r"), 0);
}

#[test]
fn roles_that_share_what_one_above_has_count_it_each_and_that_one_once() {
    let volume = || vec![shared("r", 100)];
    let mut books = Books::new(&["1"], &total(shared("r", 100)));
    books.give("a", "r/x/1", "1", volume());
    books.give("b", "r/x/2", "1", volume());
    books.give("c", "r/y", "1", volume());
    books.give("d", "r", "1", volume());
    for role in ["r", "r/x", "r/x/1", "r/x/2", "r/y"] {
        assert_eq!(books.share(role), 100, "{role}");
    }
    // Whoever was counted for all goes, and another is.
    books.take_back("a", "r/x/1", "1", volume());
    assert_eq!([books.share("r"), books.share("r/x")], [100, 100]);
    books.take_back("b", "r/x/2", "1", volume());
    books.take_back("d", "r", "1", volume());
    assert_eq!([books.share("r"), books.share("r/x")], [100, 0]);
    // The total says how much a copy is.
    books.give("b", "r/x/2", "1", volume());
    books.tell(WorldChange::AgentTotal {
        agent_id: agent_id("1"),
        total: total(shared("r", 100)).split_off(3),
    });
    assert_eq!([books.share("r"), books.share("r/x")], [1000, 1000]);
}

#[test]
fn a_shared_volume_counts_once_for_quota() {
    let mut scene = Scene::new();
    set_quota(&mut scene, vec![exactly("q", "cpus:3;mem:2048;disk:100")]);
    let reserved = "cpus(q):2;mem(q):1024;disk(q):50";
    scene.add_agent("1", reserved);
    let shares = [capability::Type::SharedResources];
    scene.tell(framework_added(framework_info("f", &["q"], &shares)));
    assert_eq!(scene.takers().len(), 1);
    let mut after = parse("cpus(q):2;mem(q):1024");
    after.push(shared("q", 50));
    scene.tell(WorldChange::Converted {
        agent_id: agent_id("1"),
        consumed: allocation("f", "q", parse("disk(q):50")),
        converted: Arc::from([shared("q", 50)]),
        total: after,
    });
    scene.tell(recovered("f", "q", "1", "cpus(q):1;mem(q):512", None));
    scene.settle();
    let again = scene.take_proposals();
    assert_eq!(again[0].agents[0].1.len(), 3, "with the volume: {again:?}");
    // Held twice it is 50 MB of the 100: the other 50 can still be had, and then no more.
    scene.add_agent("2", "cpus:1;mem:1024;disk:50");
    assert_eq!(
        offers(&mut scene),
        ["f 2 cpus:1; mem:1024; disk:50".to_owned()]
    );
    scene.add_agent("3", "cpus:0.5;mem:512;disk:50");
    assert!(offers(&mut scene).is_empty());
}
