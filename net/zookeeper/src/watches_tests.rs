use super::*;

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn change(kind: EventKind, path: &str) -> Change {
    Change {
        kind,
        path: path.to_owned(),
    }
}

fn fired(list: &[(ConnectionId, EventKind, &str)]) -> Vec<Fired> {
    let fired = list.iter().map(|(connection, kind, path)| Fired {
        connection: *connection,
        kind: *kind,
        path: (*path).to_owned(),
    });
    fired.collect()
}

#[test]
fn creation_tells_who_waited_for_the_node_and_who_lists_its_parent_once() {
    let mut watches = Watches::new(9);
    assert!(watches.add(A, Table::Data, "/mesos/x") && watches.add(B, Table::Children, "/mesos"));
    let created = change(EventKind::Created, "/mesos/x");
    let expected = [
        (A, EventKind::Created, "/mesos/x"),
        (B, EventKind::ChildrenChanged, "/mesos"),
    ];
    assert_eq!(watches.fire(&created), fired(&expected));
    assert_eq!(watches.fire(&created), []);
    assert!(watches.is_sound(|_| false));
}

#[test]
fn deletion_tells_a_connection_once_of_the_node() {
    let mut watches = Watches::new(9);
    for (table, path) in [
        (Table::Data, "/m/x"),
        (Table::Children, "/m/x"),
        (Table::Children, "/m"),
    ] {
        assert!(watches.add(A, table, path));
    }
    let expected = [
        (A, EventKind::Deleted, "/m/x"),
        (A, EventKind::ChildrenChanged, "/m"),
    ];
    assert_eq!(
        watches.fire(&change(EventKind::Deleted, "/m/x")),
        fired(&expected)
    );
}

#[test]
fn a_connection_has_no_more_than_its_limit_and_gives_all_back() {
    let mut watches = Watches::new(2);
    assert!(watches.add(A, Table::Data, "/a") && watches.add(A, Table::Data, "/b"));
    assert!(!watches.add(A, Table::Data, "/c"));
    assert!(
        watches.add(A, Table::Data, "/a"),
        "one that it has is no further one"
    );
    assert!(watches.add(B, Table::Data, "/a"));
    watches.remove(A, Table::Data, "/b");
    assert!(watches.add(A, Table::Data, "/c") && watches.has(A, Table::Data, "/c"));
    watches.forget(A);
    assert!(!watches.has(A, Table::Data, "/c") && watches.is_sound(|each| *each == B));
    assert_eq!(
        watches.fire(&change(EventKind::Deleted, "/a")),
        fired(&[(B, EventKind::Deleted, "/a")])
    );
}
