use super::super::scene::{amount, cpus, disk, parse, shared_volume, volume};
use super::super::*;

/// Each says something else about what is otherwise the same.
const TERMS: [&str; 13] = [
    "",
    r#""reservations":[{"type":"STATIC","role":"role1"}]"#,
    r#""reservations":[{"type":"STATIC","role":"role2"}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role1","principal":"p1"}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role1","principal":"p2"}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role2","principal":"p1"}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role2","principal":"p2"}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role1","principal":"p2","labels":{"labels":[{"key":"foo","value":"bar"}]}}]"#,
    r#""reservations":[{"type":"DYNAMIC","role":"role1","principal":"p2","labels":{"labels":[{"key":"foo","value":"baz"}]}}]"#,
    r#""revocable":{}"#,
    r#""provider_id":{"value":"provider"}"#,
    r#""allocation_info":{"role":"role1"}"#,
    r#""allocation_info":{"role":"role2"}"#,
];

#[test]
fn what_stands_on_the_same_terms_is_one_entry() {
    for terms in TERMS {
        let (four, eight, twelve) = (cpus(4, terms), cpus(8, terms), cpus(12, terms));
        assert_eq!(&eight + &four, twelve, "{terms}");
        assert_eq!((&four + &eight).len(), 1, "{terms}");
        assert_eq!(&twelve - &four, eight, "{terms}");
        assert!((&four - &four).is_empty(), "{terms}");
        assert!(twelve.contains(&four) && four.contains(&four), "{terms}");
        assert!(!four.contains(&twelve) && four != twelve, "{terms}");
    }
}

#[test]
fn what_stands_on_other_terms_is_neither_merged_nor_taken() {
    for (at, left_terms) in TERMS.iter().enumerate() {
        for right_terms in &TERMS[at + 1..] {
            let case = format!("{left_terms} and {right_terms}");
            for name in ["cpus", "disk"] {
                let left: Resources = amount(name, 8, left_terms).into();
                let right: Resources = amount(name, 12, right_terms).into();
                let both = &left + &right;
                assert_eq!(both.len(), 2, "{case}");
                assert_eq!(both.scalar(name), Quantity::from_units(20), "{case}");
                assert_eq!(both, &right + &left, "{case}");
                assert!(both.contains(&left) && both.contains(&right), "{case}");
                assert!(both.contains(&both), "{case}");
                for (one, other) in [(&left, &right), (&right, &left)] {
                    assert_ne!(one, other, "{case}");
                    assert!(!one.contains(other) && !one.contains(&both), "{case}");
                    assert!(!both.contains(&(one + one)), "{case}");
                    assert_ne!(both, one + one, "{case}");
                    assert_eq!(&(&both - one), other, "{case}");
                    assert_eq!(&(one - other), one, "{case}");
                }
            }
        }
    }
    // Terms matter even where the value is one and the same.
    let same_value = TERMS.map(|terms| cpus(8, terms));
    for (at, one) in same_value.iter().enumerate() {
        let alike = same_value.iter().filter(|other| *other == one);
        assert_eq!(alike.count(), 1, "{}", TERMS[at]);
    }
}

const PATH: &str = r#""source":{"type":"PATH","path":{"root":"mnt"}}"#;
const OTHER_PATH: &str = r#""source":{"type":"PATH","path":{"root":"mnt2"}}"#;
const MOUNT: &str = r#""source":{"type":"MOUNT","mount":{"root":"mnt"}}"#;
const OTHER_MOUNT: &str = r#""source":{"type":"MOUNT","mount":{"root":"mnt2"}}"#;

#[test]
fn a_disk_is_told_by_its_source_and_the_id_of_its_volume_not_by_where_it_is_mounted() {
    let mounted = |at: &str| format!(r#""volume":{{"mode":"RW","container_path":"{at}"}}"#);
    let info = |fields: &[&str]| format!(r#""disk":{{{}}}"#, fields.join(","));
    let role = |rest: String| format!(r#""reservations":[{{"type":"STATIC","role":"r"}}],{rest}"#);
    let (first, second) = (mounted("path1"), mounted("path2"));
    let id = |id: &str| format!(r#""persistence":{{"id":"{id}"}}"#);
    let mut alike: Vec<Vec<String>> = vec![
        vec![String::new()],
        vec![info(&[&first]), info(&[&second])],
        vec![role(info(&[&second]))],
        vec![
            role(info(&[&id("1"), &first])),
            role(info(&[&id("1"), &second])),
        ],
        vec![role(info(&[&id("2"), &second]))],
    ];
    for source in [PATH, OTHER_PATH, MOUNT, OTHER_MOUNT] {
        alike.extend([
            vec![
                info(&[source]),
                info(&[source, &first]),
                info(&[source, &second]),
            ],
            vec![role(info(&[source, &second]))],
            vec![
                role(info(&[source, &id("1"), &first])),
                role(info(&[source, &id("1"), &second])),
            ],
            vec![role(info(&[source, &id("2"), &second]))],
        ]);
    }
    for (group, members) in alike.iter().enumerate() {
        for (other, others) in alike.iter().enumerate() {
            for (one, two) in members
                .iter()
                .flat_map(|m| others.iter().map(move |o| (m, o)))
            {
                let same = disk(10, one) == disk(10, two);
                assert_eq!(same, group == other, "{one} and {two}");
            }
        }
    }
}

#[test]
fn mounts_blocks_and_raw_disks_with_an_id_are_never_divided_or_joined() {
    for kind in ["RAW", "PATH", "BLOCK", "MOUNT"] {
        for given in 0..8_u8 {
            let fields: Vec<&str> = [r#""vendor":"v""#, r#""id":"i""#, r#""profile":"p""#]
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| given & (1 << bit) != 0)
                .map(|(_, field)| field)
                .collect();
            let more: String = fields.iter().map(|field| format!(",{field}")).collect();
            let source = format!(r#""disk":{{"source":{{"type":"{kind}"{more}}}}}"#);
            let (one, two) = (disk(1, &source), disk(2, &source));
            let twice = &one + &one;
            let has_id = given & 2 != 0;
            let divides = kind == "PATH" || kind == "RAW" && !has_id;
            assert!(one.contains(&one), "{source}");
            assert_eq!(two.contains(&one), divides, "{source}");
            assert_eq!(twice == two, divides, "{source}");
            assert_eq!(twice.len(), if divides { 1 } else { 2 }, "{source}");
        }
    }
}

#[test]
fn of_a_path_a_part_can_be_had_of_a_mount_or_a_volume_only_the_whole() {
    let on = |source: &str| format!(r#""disk":{{{source}}}"#);
    let held = |source: &str| {
        format!(
            r#""reservations":[{{"type":"STATIC","role":"r"}}],"disk":{{{source},"persistence":{{"id":"1"}},"volume":{{"mode":"RW","container_path":"path"}}}}"#
        )
    };
    // The disk, one of another source, and whether it divides.
    let cases = [
        (on(PATH), on(OTHER_PATH), true),
        (on(MOUNT), on(OTHER_MOUNT), false),
        (held(PATH), held(OTHER_PATH), false),
        (held(MOUNT), held(OTHER_MOUNT), false),
    ];
    for (here, elsewhere, divides) in &cases {
        let (ten, twenty, other) = (disk(10, here), disk(20, here), disk(10, elsewhere));
        assert!(ten.contains(&ten) && twenty.contains(&twenty), "{here}");
        assert_eq!(twenty.contains(&ten), *divides, "{here}");
        assert_eq!(twenty.contains(&(&ten + &ten)), *divides, "{here}");
        assert_eq!(&ten + &ten == twenty, *divides, "{here}");
        let rest = if *divides {
            ten.clone()
        } else {
            twenty.clone()
        };
        assert_eq!(&twenty - &ten, rest, "{here}");
        assert_eq!((&(&twenty - &ten) - &ten).is_empty(), *divides, "{here}");
        assert!((&ten - &ten).is_empty(), "{here}");
        // What is elsewhere is neither added to it nor taken from it.
        assert_eq!((&ten + &other).len(), 2, "{here}");
        assert_ne!(&ten + &other, twenty, "{here}");
        assert_ne!(&ten + &ten, disk(20, elsewhere), "{here}");
        assert_eq!(&other - &ten, other, "{here}");
    }
    let (path, mount) = (disk(10, &on(PATH)), disk(10, &on(MOUNT)));
    assert_ne!(&path + &mount, disk(20, &on(PATH)));
    assert_eq!(&mount - &path, mount);
}

/// How often an entry that is alike in value and terms is held.
fn copies(all: &Resources, wanted: &Resources) -> u32 {
    let wanted = wanted.iter().next().expect("one entry");
    let found = all
        .iter()
        .find(|entry| entry.same_terms(wanted) && entry.value() == wanted.value());
    found.map_or(0, Entry::copies)
}

#[test]
fn copies_of_a_shared_volume_come_and_go_one_by_one() {
    let plain = parse("cpus:2;mem:10");
    let shared = disk(50, &shared_volume("1"));
    let times = |n: usize| (0..n).fold(plain.clone(), |sum, _| sum + &shared);
    let (four, three) = (times(4), times(3));
    assert_eq!((copies(&four, &shared), copies(&three, &shared)), (4, 3));
    let cases = [
        (&(&four + &four) - &four, &four),
        (&(&four + &three) - &four, &three),
        (&(&three + &four) - &three, &four),
        (&(&three + &four) - &four, &three),
        (&(&three - &four) + &four, &four),
        (&(&four - &three) + &three, &four),
        (&four - &three, &shared),
    ];
    for (number, (result, expected)) in cases.iter().enumerate() {
        assert_eq!(&result, expected, "case {number}");
    }
    assert!((&three - &four).is_empty());

    // A volume of its own is in a sum as often as it was added, each time as a single one; an amount
    // is no longer what it was.
    let own = disk(50, &volume("1"));
    assert_eq!(copies(&own, &own), 1);
    assert_eq!(copies(&(&own + &own), &own), 1);
    let cpu = parse("cpus:1");
    assert_eq!((copies(&cpu, &cpu), copies(&(&cpu + &cpu), &cpu)), (1, 0));
}

#[test]
fn shared_volumes_that_differ_leave_each_other_alone() {
    let (one, two) = (
        disk(50, &shared_volume("1")),
        disk(100, &shared_volume("2")),
    );
    let both = &one + &two;
    assert_eq!((copies(&both, &one), copies(&both, &two)), (1, 1));
    assert_eq!(&both - &one, two);
    assert_eq!(&one - &two, one);

    // Of one id too: a copy is the whole volume.
    let larger = disk(100, &shared_volume("1"));
    let both = &one + &larger;
    assert_eq!((copies(&both, &one), copies(&both, &larger)), (1, 1));

    // The same volume, shared and not.
    let (shared, own) = (disk(100, &shared_volume("1")), disk(100, &volume("1")));
    let with = |volume: &Resources| parse("cpus:1;mem:5") + volume;
    assert!(!with(&shared).contains(&with(&own)) && !with(&own).contains(&with(&shared)));
    let all = &(&shared + &shared) + &own;
    assert_eq!((all.len(), all.disk()), (2, Quantity::from_units(200)));
    assert_eq!((copies(&all, &shared), copies(&all, &own)), (2, 1));
    assert_eq!(&own - &shared, own);
}
