use proptest::prelude::*;

use super::*;

fn key(name: &str) -> Key {
    (Some("user".to_owned()), name.to_owned())
}

/// Fetched and let go.
fn put(table: &mut Table, name: &str, bytes: u64) -> Option<Vec<Serial>> {
    let Found::Wanted { serial } = table.find(&key(name)) else {
        panic!("{name} is there");
    };
    let Some(victims) = table.reserve(&key(name), bytes) else {
        table.remove(&key(name), serial);
        return None;
    };
    table.complete(&key(name));
    table.release(&key(name), serial);
    Some(victims)
}

#[test]
fn the_least_recently_used_make_way_in_order() {
    let mut table = Table::new(10);
    for name in ["a", "b", "c"] {
        assert_eq!(put(&mut table, name, 3), Some(vec![]));
    }
    let Found::Whole { serial } = table.find(&key("a")) else {
        panic!("it is there");
    };
    table.release(&key("a"), serial);
    assert_eq!(put(&mut table, "d", 5), Some(vec![2, 3]));
    assert_eq!(table.used(), 8);
    assert_eq!(put(&mut table, "e", 2), Some(vec![]));
    assert!(matches!(table.find(&key("b")), Found::Wanted { .. }));
}

#[test]
fn what_is_held_or_coming_stays_and_others_do_without_the_cache() {
    let mut table = Table::new(10);
    put(&mut table, "a", 6).unwrap();
    assert!(matches!(table.find(&key("a")), Found::Whole { .. }));
    assert_eq!(put(&mut table, "b", 5), None, "a is being read");
    assert!(matches!(table.find(&key("c")), Found::Wanted { .. }));
    assert_eq!(table.reserve(&key("c"), 4), Some(vec![]));
    assert_eq!(table.find(&key("c")), Found::Coming);
    assert_eq!(put(&mut table, "b", 1), None, "c is being written");
    assert_eq!(put(&mut table, "big", 11), None);
    assert_eq!(table.used(), 10);
}

#[test]
fn each_user_has_files_of_his_own() {
    let mut table = Table::new(10);
    put(&mut table, "a", 1).unwrap();
    let others = (Some("other".to_owned()), "a".to_owned());
    assert!(matches!(table.find(&others), Found::Wanted { serial: 2 }));
    let agents = (None, "a".to_owned());
    assert!(matches!(table.find(&agents), Found::Wanted { serial: 3 }));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Find,
    Reserve(u64),
    Complete,
    Release,
    Remove,
}

proptest! {
    /// Whatever comes in whatever order: never more than fits, and the sum is that of the entries.
    #[test]
    fn the_capacity_holds(steps in prop::collection::vec(
        (0_usize..4, prop_oneof![
            4 => Just(Step::Find),
            3 => (0_u64..12).prop_map(Step::Reserve),
            2 => Just(Step::Complete),
            2 => Just(Step::Release),
            1 => Just(Step::Remove),
        ]),
        0..200,
    )) {
        let mut table = Table::new(20);
        let mut writing: [Option<Serial>; 4] = [None; 4];
        let mut reserved = [false; 4];
        let mut reading: [Vec<Serial>; 4] = Default::default();
        for (at, step) in steps {
            let key = key(&at.to_string());
            match step {
                Step::Find => match table.find(&key) {
                    Found::Whole { serial } => reading[at].push(serial),
                    Found::Coming => prop_assert!(writing[at].is_some()),
                    Found::Wanted { serial } => {
                        prop_assert!(writing[at].is_none());
                        writing[at] = Some(serial);
                    }
                },
                Step::Reserve(bytes) if writing[at].is_some() && !reserved[at] => {
                    reserved[at] = table.reserve(&key, bytes).is_some();
                }
                Step::Complete if reserved[at] => {
                    reserved[at] = false;
                    table.complete(&key);
                    reading[at].extend(writing[at].take());
                }
                Step::Release => {
                    if let Some(serial) = reading[at].pop() {
                        table.release(&key, serial);
                    }
                }
                Step::Remove => {
                    if let Some(serial) = writing[at].take() {
                        reserved[at] = false;
                        table.remove(&key, serial);
                    }
                }
                _ => {}
            }
            let sum: u64 = table.entries.values().map(|it| it.bytes).sum();
            prop_assert_eq!(sum, table.used());
            prop_assert!(table.used() <= table.capacity());
            for (at, held) in reading.iter().enumerate() {
                let key = (Some("user".to_owned()), at.to_string());
                let entry = table.entries.get(&key);
                let holders = held.iter().filter(|it| entry.is_some_and(|entry| entry.serial == **it));
                prop_assert!(entry.is_none_or(|entry| entry.holders as usize >= holders.count()));
            }
        }
    }
}
