use tepui_consensus::StateMachine;
use tepui_engine::{Batch, Durability, Engine, MemoryEngine, keys::MASTER_FAMILIES};

use super::*;
use crate::RegistryMachine;

fn apply(registry: &mut Registry, command: Command) -> Outcome {
    let decoded = Command::decode(&command.encode()).unwrap();
    assert_eq!(decoded, command);
    let outcome = registry.apply(decoded, &mut Touched::new());
    registry.check().unwrap();
    outcome
}

fn add(registry: &mut Registry, name: &str, address: &str, replace: bool) -> Outcome {
    let (name, address) = (name.to_owned(), address.to_owned());
    let command = Command::AddMember {
        name,
        address,
        replace,
    };
    apply(registry, command)
}

fn remove(registry: &mut Registry, name: &str) -> Outcome {
    let name = name.to_owned();
    apply(registry, Command::RemoveMember { name })
}

fn founding() -> Command {
    let founder = |id: u64| (id, format!("m{id}"), format!("m{id}:1"));
    Command::FoundMembers {
        members: (1..=3).map(founder).collect(),
    }
}

fn three() -> Registry {
    let mut registry = Registry::default();
    assert_eq!(apply(&mut registry, founding()), Outcome::CHANGED);
    registry
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused { reason } => reason,
        applied => panic!("{applied:?}"),
    }
}

#[test]
fn founders_are_written_once() {
    let mut registry = three();
    assert_eq!(registry.member_names(), "m1,m2,m3");
    remove(&mut registry, "m2");
    assert_eq!(apply(&mut registry, founding()), Outcome::changed(false));
    assert_eq!(registry.member_names(), "m1,m3");
    let twice = vec![
        (1, "m1".to_owned(), String::new()),
        (2, "m1".to_owned(), String::new()),
    ];
    let mut registry = Registry::default();
    let refused = apply(&mut registry, Command::FoundMembers { members: twice });
    assert!(reason(refused).contains("two masters are named m1"));
    assert_eq!(registry, Registry::default());
}

#[test]
fn an_id_is_never_given_twice() {
    let mut registry = three();
    assert_eq!(add(&mut registry, "m4", "m4:1", false), Outcome::CHANGED);
    assert_eq!(registry.member_id("m4"), Some(4));
    remove(&mut registry, "m4");
    add(&mut registry, "m4", "m4:1", false);
    assert_eq!(registry.member_id("m4"), Some(5));
    assert_eq!(add(&mut registry, "m2", "m2:1", true), Outcome::CHANGED);
    assert_eq!(registry.member_id("m2"), Some(6));
    assert!(!registry.members.contains_key(&2));
}

#[test]
fn an_id_belongs_to_the_first_disk_that_takes_it() {
    let mut registry = three();
    add(&mut registry, "m4", "m4:1", false);
    let mut claim = |disk: &str| {
        let disk = disk.to_owned();
        apply(&mut registry, Command::ClaimMember { id: 4, disk })
    };
    assert_eq!(claim("d"), Outcome::CHANGED);
    assert_eq!(claim("d"), Outcome::changed(false));
    assert!(reason(claim("other")).contains("--replace"));
    add(&mut registry, "m4", "m4:1", true);
    assert_eq!(registry.members[&5].disk, None);
}

#[test]
fn refusals_say_why_and_what_to_do() {
    let mut unfounded = Registry::default();
    assert!(reason(add(&mut unfounded, "m2", "m2:1", false)).contains("in a moment"));
    assert!(reason(remove(&mut unfounded, "m2")).contains("in a moment"));
    let mut registry = three();
    assert_eq!(
        add(&mut registry, "m2", "m2:1", false),
        Outcome::changed(false)
    );
    for (outcome, expected) in [
        (add(&mut registry, "m2", "x:1", false), "--replace"),
        (add(&mut registry, "m4", "m2:1", false), "the address of m2"),
        (add(&mut registry, "m4", "m4:1", true), "without --replace"),
        (remove(&mut registry, "m4"), "which is m1,m2,m3"),
    ] {
        let text = reason(outcome);
        assert!(text.contains(expected), "{text}");
    }
    for number in 4..=7 {
        add(
            &mut registry,
            &format!("m{number}"),
            &format!("m{number}:1"),
            false,
        );
    }
    assert!(reason(add(&mut registry, "m8", "m8:1", false)).contains("remove one first"));
    for name in ["m1", "m2", "m3", "m4", "m5", "m6"] {
        assert_eq!(remove(&mut registry, name), Outcome::CHANGED);
    }
    assert!(reason(remove(&mut registry, "m7")).contains("the only master"));
}

#[test]
fn members_outlive_a_restart_and_come_with_a_snapshot() {
    let engine = MemoryEngine::new(&MASTER_FAMILIES);
    let mut machine = RegistryMachine::new();
    let moved = Command::MoveMember {
        id: 2,
        address: "elsewhere:1".to_owned(),
    };
    for (index, command) in [founding(), moved].iter().enumerate() {
        let mut batch = Batch::new();
        machine
            .apply(index as u64, &command.encode(), &mut batch)
            .unwrap();
        engine.write(&batch, Durability::Synced).unwrap();
    }
    let written = machine.reader().copy();
    assert_eq!(written.members[&2].address, "elsewhere:1");
    let mut loaded = RegistryMachine::new();
    loaded.load(&engine).unwrap();
    assert_eq!(loaded.reader().copy(), written);
    let mut restored = RegistryMachine::new();
    restored
        .restore(&machine.snapshot(), &mut Batch::new())
        .unwrap();
    assert_eq!(restored.reader().copy(), written);
}
