use super::*;
use crate::command::Command;
use crate::keys::Touched;

fn registry() -> Registry {
    let mut registry = Registry::default();
    for command in [
        Command::SetClusterId { id: "c1".into() },
        Command::UpdateWeights {
            weights: vec![("dev".into(), 2.0)],
        },
        Command::FoundMembers {
            members: (1..=3)
                .map(|id| (id, format!("m{id}"), format!("m{id}:1")))
                .collect(),
        },
    ] {
        registry.apply(command, &mut Touched::new());
    }
    registry
}

fn backup() -> Backup {
    Backup::of(&registry(), 77, 5, 1_000, "0.1.0")
}

#[test]
fn what_is_read_is_what_was_written() {
    let (read, state) = Backup::decode(&backup().encode()).unwrap();
    assert_eq!((&read, &state), (&backup(), &registry()));
    assert_eq!(
        (read.cluster_id.as_deref(), read.index, read.term),
        (Some("c1"), 77, 5)
    );
    assert_eq!(read.digest.len(), 64);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let bytes = backup().encode();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Backup::decode(&flipped).is_err(), "byte {at}");
        assert!(Backup::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(Backup::decode(&longer).is_err());
    assert_eq!(Backup::decode(b"something else"), Err(BackupError::Magic));
}

#[test]
fn another_state_under_the_same_digest_is_found() {
    let mut forged = backup();
    forged.state = record::encode(STATE_VERSION, &Registry::default()).into();
    let refused = Backup::decode(&forged.encode());
    assert!(matches!(refused, Err(BackupError::Digest { .. })));
}

#[test]
fn a_registry_of_a_newer_program_is_refused() {
    let mut newer = registry();
    newer.require("FROM_THE_FUTURE", true, &mut Touched::new());
    let refused = Backup::decode(&Backup::of(&newer, 1, 1, 0, "9").encode());
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("FROM_THE_FUTURE") && text.contains("newer version"),
        "{text}"
    );
}

#[test]
fn a_group_of_one_has_an_id_that_was_never_given_and_all_the_rest() {
    let (id, state) = backup().for_one(registry(), "m2");
    let restored: Registry = record::decode(STATE_VERSION, &state).unwrap();
    assert_eq!((id, restored.member_names().as_str()), (4, "m2"));
    restored.check().unwrap();
    assert_eq!(
        (restored.weights, restored.cluster_id),
        (registry().weights, registry().cluster_id)
    );
}

#[test]
fn a_later_restore_of_one_backup_begins_above_the_earlier_one() {
    const SECOND: i64 = 1_000_000_000;
    const YEAR: i64 = 365 * 86_400;
    let backup = backup();
    let after = |seconds: i64| backup.next_term(backup.taken_at_nanos + seconds * SECOND);
    assert_eq!(after(0), 5 + TERM_STEP);
    assert_eq!(after(-100), 5 + TERM_STEP, "the clock was set back");
    // A minute and ten elections later.
    assert!(after(3_660) > after(3_600) + 10);
    assert!(after(YEAR + 86_400) > after(YEAR) + 1_000);
    // Clients of ZooKeeper count in 31 bits.
    assert!(after(10 * YEAR) * 100 < 1 << 31);
    let last = Backup {
        term: u64::MAX,
        ..backup
    };
    assert_eq!(last.next_term(i64::MAX), u64::MAX);
}
