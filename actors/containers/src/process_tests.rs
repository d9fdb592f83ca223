use super::*;

const TEXT: &str = "42 (a) b (c) S 7 42 41 0 -1 4194560 100 0 0 0 11 12 0 0 20 0 3 0 987654 1000 55 18446744073709551615\n";

fn process(pid: u32, parent_pid: u32) -> (u32, Stat) {
    let mut stat = parse_stat(TEXT).unwrap();
    stat.id.pid = pid;
    stat.parent_pid = parent_pid;
    (pid, stat)
}

#[test]
fn a_name_with_brackets_does_not_shift_the_fields() {
    let stat = parse_stat(TEXT).unwrap();
    assert_eq!(
        stat.id,
        ProcessId {
            pid: 42,
            start_ticks: 987_654
        }
    );
    assert_eq!((stat.state, stat.parent_pid, stat.session), ('S', 7, 41));
    assert_eq!(
        (
            stat.user_ticks,
            stat.system_ticks,
            stat.threads,
            stat.rss_pages
        ),
        (11, 12, 3, 55)
    );
    assert_eq!(parse_stat("42 (x) S 1"), None);
    assert_eq!(parse_stat(""), None);
}

#[test]
fn the_first_process_of_a_namespace_is_known_when_it_only_waits() {
    let ending =
        "42 (tepui-init) S 7 42 41 0 -1 4194564 100 0 0 0 11 12 0 0 20 0 3 0 987654 1000 55 0\n";
    assert!(parse_stat(ending).unwrap().is_ending_first);
    for other in [
        ending.replace("4194564", "4194560"),
        ending.replace("tepui-init", "other"),
    ] {
        assert!(!parse_stat(&other).unwrap().is_ending_first);
    }
}

#[test]
fn descendants_are_found_at_any_depth_and_loops_end() {
    let processes = BTreeMap::from([
        process(2, 1),
        process(3, 2),
        process(4, 3),
        process(9, 1),
        process(7, 8),
        process(8, 7),
    ]);
    assert_eq!(descendants(2, &processes), BTreeSet::from([3, 4]));
    assert_eq!(descendants(7, &processes), BTreeSet::from([8]));
    assert_eq!(descendants(5, &processes), BTreeSet::new());
}

#[test]
fn this_process_exists_and_an_impostor_does_not() {
    let me = ProcessId::of(std::process::id()).unwrap();
    assert!(me.exists());
    assert!(
        !ProcessId {
            start_ticks: me.start_ticks + 1,
            ..me
        }
        .exists()
    );
    assert!(all().unwrap().contains_key(&me.pid));
}
