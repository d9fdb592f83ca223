use tepui_consensus::{Identity as Owner, NoPeers, Options, StateMachine};
use tepui_engine::{Batch, MemoryEngine, SharedEngine, keys::MASTER_FAMILIES};
use tepui_registry::{Command, RegistryMachine};

use super::*;

struct Scene {
    group: Group,
    machine: RegistryMachine,
    _engine: SharedEngine,
}

fn scene(name: &str, peers: &[&str], cluster_id: Option<&'static str>) -> Scene {
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    let identity = Owner::open(&engine, name, peers, &format!("disk-of-{name}")).unwrap();
    let addresses = peers
        .iter()
        .map(|it| ((*it).to_owned(), format!("{it}:5060")));
    let own = Membership {
        group: identity.group(),
        disk: identity.disk.clone(),
        http: format!("{name}:5050"),
        bridge: format!("{name}:5060"),
        id: Some(identity.node_id),
        last_index: None,
    };
    let machine = RegistryMachine::new();
    let registry = machine.reader();
    let group = Group::new(identity, &engine, registry, own, &addresses.collect());
    let mut scene = Scene {
        group,
        machine,
        _engine: engine,
    };
    if let Some(id) = cluster_id {
        scene.apply(&Command::SetClusterId { id: id.to_owned() });
    }
    scene
}

impl Scene {
    fn apply(&mut self, command: &Command) {
        self.commit(command);
        self.group.refresh();
    }

    /// Without the refresh that follows in a moment.
    fn commit(&mut self, command: &Command) {
        let mut batch = Batch::new();
        self.machine
            .apply(1, &command.encode(), &mut batch)
            .unwrap();
    }

    /// Its registry has the founders of [`THREE`].
    fn found(&mut self) {
        let founder = |id: u64| (id, format!("m{id}"), format!("m{id}:5060"));
        self.apply(&Command::FoundMembers {
            members: (1..=3).map(founder).collect(),
        });
    }
}

const THREE: [&str; 3] = ["m1", "m2", "m3"];

fn refusal(ours: &Scene, theirs: &Scene) -> String {
    ours.group
        .check(&theirs.group.hello().identity)
        .unwrap_err()
}

#[test]
fn a_member_is_known_by_its_name_and_says_where_it_answers() {
    let (m1, m2) = (scene("m1", &THREE, None), scene("m2", &THREE, Some("c")));
    assert_eq!(m1.group.check(&m2.group.hello().identity), Ok(2));
    assert_eq!(m2.group.check(&m1.group.hello().identity), Ok(1));
    let leader = m1.group.leader(2, 7).unwrap();
    assert_eq!(
        (leader.http.as_str(), leader.bridge.as_str(), leader.term),
        ("m2:5050", "m2:5060", 7)
    );
    assert_eq!(m1.group.leader(3, 7), None);
}

#[test]
fn a_stranger_is_told_what_is_wrong() {
    let m1 = scene("m1", &THREE, None);
    for (name, peers, expected) in [
        ("m1", &THREE[..], "both masters are named m1"),
        (
            "m4",
            &["m1", "m4"],
            "this master's group is m1,m2,m3, the one of m4 is m1,m4",
        ),
        (
            "m2",
            &["m1", "m2"],
            "this master's group is m1,m2,m3, the one of m2 is m1,m2",
        ),
    ] {
        let text = refusal(&m1, &scene(name, peers, None));
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("--peers") || text.contains("--name"),
            "{text}"
        );
    }
    let alone = scene("m1", &["m1"], None);
    let text = refusal(&alone, &scene("m2", &THREE, None));
    assert!(text.contains("this master's group is m1,"), "{text}");
    assert!(text.contains("tepui cluster add m2"), "{text}");
}

#[test]
fn members_come_and_go_with_the_registry() {
    let (mut m1, mut m2) = (
        scene("m1", &THREE, Some("c")),
        scene("m2", &THREE, Some("c")),
    );
    m1.found();
    m2.found();
    let add = Command::AddMember {
        name: "m4".to_owned(),
        address: "m4:1".to_owned(),
        replace: false,
    };
    m1.apply(&add);
    assert_eq!(m1.group.addresses(4), ["m4:1"]);
    m1.apply(&Command::RemoveMember {
        name: "m2".to_owned(),
    });
    assert_eq!(m1.group.refresh(), [3, 4]);
    let text = refusal(&m1, &m2);
    assert!(
        text.contains("m2 (id 2)") && text.contains("removed"),
        "{text}"
    );
}

/// The others may be no majority of what Raft has.
#[test]
fn one_that_is_let_go_is_heard_as_long_as_raft_has_it() {
    let mut m1 = scene("m1", &THREE, Some("c"));
    let m2 = scene("m2", &THREE, Some("c"));
    let engine: SharedEngine = Arc::new(MemoryEngine::new(&MASTER_FAMILIES));
    let options = Options::new(1, &[1, 2, 3]);
    let machine = RegistryMachine::new();
    let consensus = Consensus::start(options, engine, machine, Arc::new(NoPeers)).unwrap();
    m1.group.attach(consensus);
    m1.found();
    m1.apply(&Command::RemoveMember {
        name: "m2".to_owned(),
    });
    assert_eq!(m1.group.refresh(), [2, 3]);
    assert_eq!(m1.group.check(&m2.group.hello().identity), Ok(2));
}

#[test]
fn one_that_was_added_while_this_master_was_away_is_answered() {
    let mut m1 = scene("m1", &THREE, Some("c"));
    m1.found();
    let mut m7 = scene("m7", &["m1", "m2", "m3", "m7"], Some("c"));
    m7.group.own.id = Some(7);
    m7.group.own.group = "m1,m2,m3".to_owned();
    assert_eq!(m1.group.check(&m7.group.hello().identity), Ok(7));
    assert_eq!(m1.group.addresses(7), ["m7:5060"]);
    assert_eq!(m1.group.refresh(), [2, 3, 7]);
}

/// What it says would be lost for good: it takes its way for one that stands.
#[test]
fn one_that_comes_a_moment_before_the_refresh_is_known() {
    let mut m1 = scene("m1", &THREE, Some("c"));
    m1.found();
    m1.commit(&Command::AddMember {
        name: "m4".to_owned(),
        address: "m4:5060".to_owned(),
        replace: false,
    });
    let mut m4 = scene("m4", &["m1", "m2", "m3", "m4"], Some("c"));
    m4.group.own.id = Some(4);
    m4.group.own.group = "m1,m2,m3".to_owned();
    assert_eq!(m1.group.check(&m4.group.hello().identity), Ok(4));
    assert_eq!(m1.group.leader(4, 1).unwrap().http, "m4:5050");
    assert_eq!(m1.group.refresh(), [2, 3, 4]);
}

#[test]
fn a_member_with_another_disk_is_refused() {
    let m1 = scene("m1", &THREE, Some("c"));
    let mut m2 = scene("m2", &THREE, Some("c"));
    m1.group.check(&m2.group.hello().identity).unwrap();
    m2.group.own.disk = "another".to_owned();
    let text = refusal(&m1, &m2);
    assert!(text.contains("m2 comes with another disk"), "{text}");
}

/// Anybody may say so: only a place in the group is worth a note.
#[test]
fn one_that_says_it_was_added_leaves_no_note_of_its_disk() {
    let mut m1 = scene("m1", &THREE, Some("c"));
    m1.found();
    let mut m4 = scene("m4", &["m1", "m2", "m3", "m4"], Some("c"));
    m4.group.own.id = Some(4);
    m4.group.own.group = "m1,m2,m3".to_owned();
    m4.group.own.disk = "of-a-stranger".to_owned();
    assert_eq!(m1.group.check(&m4.group.hello().identity), Ok(4));
    m1.apply(&Command::AddMember {
        name: "m4".to_owned(),
        address: "m4:5060".to_owned(),
        replace: false,
    });
    let disk = "disk-of-m4".to_owned();
    m1.apply(&Command::ClaimMember {
        id: 4,
        disk: disk.clone(),
    });
    m4.group.own.disk = disk;
    assert_eq!(m1.group.check(&m4.group.hello().identity), Ok(4));
}

/// It dials the others, and they would never find it.
#[test]
fn one_that_has_moved_is_looked_for_where_it_says_last() {
    let mut m1 = scene("m1", &THREE, Some("c"));
    m1.found();
    let mut m2 = scene("m2", &THREE, Some("c"));
    m1.group.check(&m2.group.hello().identity).unwrap();
    assert_eq!(m1.group.addresses(2), ["m2:5060"]);
    m2.group.own.bridge = "moved:5060".to_owned();
    m1.group.check(&m2.group.hello().identity).unwrap();
    m1.group.refresh();
    assert_eq!(m1.group.addresses(2), ["m2:5060", "moved:5060"]);
    m1.apply(&Command::MoveMember {
        id: 2,
        address: "moved:5060".to_owned(),
    });
    assert_eq!(m1.group.addresses(2), ["moved:5060", "m2:5060"]);
}
