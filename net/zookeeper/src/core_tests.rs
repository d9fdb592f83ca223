use super::{stage::*, *};
use crate::{
    reply::{Body, Code, EventKind, Found},
    request::{ReadKind, Request, WatchSet},
};

#[test]
fn a_client_follows_the_leader_through_a_failover() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    assert!(names(stage.ask(client, read(ReadKind::Children, "/mesos", true))).is_empty());
    stage.feed(Input::Members(members(7, Some("a"), &["b"])));
    assert_eq!(
        stage.events(client),
        [event(EventKind::ChildrenChanged, "/mesos")]
    );
    let found = names(stage.ask(client, read(ReadKind::Children2, "/mesos", true)));
    assert_eq!(found, ["json.info_0000000700", "json.info_0000000701"]);
    let leader = "/mesos/json.info_0000000700";
    match stage.ask(client, read(ReadKind::Data, leader, true)) {
        Ok(Body::Found(Found::Data(data, stat))) => {
            assert_eq!((&data[..], stat.data_length), (&b"a"[..], 1))
        }
        other => panic!("{other:?}"),
    }
    stage.feed(Input::Members(members(7, None, &["b"])));
    let expected = [
        event(EventKind::Deleted, leader),
        event(EventKind::ChildrenChanged, "/mesos"),
    ];
    assert_eq!(stage.events(client), expected);
    assert!(names(stage.ask(client, read(ReadKind::Children, "/mesos", true))).is_empty());
    stage.feed(Input::Members(members(8, Some("b"), &[])));
    assert_eq!(
        stage.events(client),
        [event(EventKind::ChildrenChanged, "/mesos")]
    );
    assert_eq!(
        names(stage.ask(client, read(ReadKind::Children, "/mesos", false))),
        ["json.info_0000000800"]
    );
    stage.feed(Input::Members(members(9, Some("a"), &[])));
    assert_eq!(stage.events(client), [], "a watch fires once");
}

#[test]
fn only_exists_waits_for_a_node_that_is_not_there() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    let path = "/mesos/json.info_0000000100";
    for kind in [ReadKind::Data, ReadKind::Children, ReadKind::Children2] {
        assert_eq!(stage.ask(client, read(kind, path, true)), Err(Code::NoNode));
    }
    stage.feed(Input::Members(members(1, Some("a"), &[])));
    assert_eq!(stage.events(client), []);
    stage.feed(Input::Members(members(1, None, &[])));
    assert_eq!(
        stage.ask(
            client,
            read(ReadKind::Exists, "/mesos/json.info_0000000200", true)
        ),
        Err(Code::NoNode)
    );
    stage.feed(Input::Members(members(2, Some("a"), &[])));
    assert_eq!(
        stage.events(client),
        [event(EventKind::Created, "/mesos/json.info_0000000200")]
    );
}

#[test]
fn what_writes_is_refused_and_the_connection_lives_on() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    for (request, code) in [
        (Request::Write, Code::NotReadOnly),
        (Request::Unknown, Code::Unimplemented),
        (Request::Malformed, Code::Marshalling),
        (
            read(ReadKind::Data, &"/x".repeat(33), true),
            Code::BadArguments,
        ),
        (
            Request::Acl {
                path: "/none".to_owned(),
            },
            Code::NoNode,
        ),
    ] {
        assert_eq!(stage.ask(client, request), Err(code));
    }
    assert_eq!(stage.ask(client, Request::Ping), Ok(Body::Empty));
    let path = "/any".to_owned();
    assert_eq!(
        stage.ask(client, Request::Sync { path: path.clone() }),
        Ok(Body::Path(path))
    );
    let acl = stage.ask(
        client,
        Request::Acl {
            path: "/mesos".to_owned(),
        },
    );
    assert!(
        matches!(acl, Ok(Body::Acl(stat)) if stat.num_children == 0),
        "{acl:?}"
    );
    assert!(stage.closed.is_empty());
}

#[test]
fn digest_is_taken_and_an_unknown_scheme_ends_the_connection() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    let auth = |scheme: &str| Request::Auth {
        scheme: scheme.to_owned(),
    };
    assert_eq!(stage.ask(client, auth("digest")), Ok(Body::Empty));
    assert_eq!(stage.ask(client, auth("kerberos")), Err(Code::AuthFailed));
    assert!(stage.closed.contains(&client));
}

#[test]
fn close_is_answered_and_then_the_connection_ends() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    assert_eq!(stage.ask(client, Request::Close), Ok(Body::Empty));
    assert!(stage.closed.contains(&client));
    stage.feed(Input::Request {
        connection: client,
        numbered: Numbered {
            xid: 1,
            request: Request::Ping,
        },
    });
    assert_eq!(stage.next(client), None);
}

#[test]
fn silence_beyond_the_timeout_cuts_and_a_ping_is_enough() {
    let mut stage = Stage::new(1);
    let (mute, client) = (stage.open(), stage.client());
    stage.wait(Duration::from_millis(4_900));
    assert!(stage.closed.is_empty());
    stage.wait(Duration::from_millis(200));
    assert_eq!(
        stage.closed,
        BTreeSet::from([mute]),
        "no session within 5 s"
    );
    for _ in 0..4 {
        assert_eq!(stage.ask(client, Request::Ping), Ok(Body::Empty));
        stage.wait(Duration::from_secs(9));
    }
    assert_eq!(stage.ask(client, Request::Ping), Ok(Body::Empty));
    stage.wait(Duration::from_secs(10));
    assert!(stage.closed.contains(&client));
    assert!(stage.core.attached.is_empty() && stage.core.deadlines.is_empty());
}

#[test]
fn timeouts_are_agreed_within_bounds() {
    let stage = Stage::new(1);
    for (wished, agreed) in [
        (-1, 4_000),
        (0, 4_000),
        (10_000, 10_000),
        (i32::MAX, 40_000),
    ] {
        assert_eq!(stage.core.timeout(wished), Duration::from_millis(agreed));
    }
}

#[test]
fn a_session_moves_with_its_client_and_a_wrong_password_is_told_so() {
    let mut stage = Stage::new(1);
    let (first, timeout, session, password) = stage.connect(0, &[0; 16]);
    assert_eq!((timeout, session > 0), (10_000, true));
    let (second, _, again, same) = stage.connect(session, &password);
    assert_eq!((again, same), (session, password));
    assert!(stage.closed.contains(&first) && !stage.closed.contains(&second));
    stage.feed(Input::Closed { connection: first });
    assert_eq!(stage.ask(second, Request::Ping), Ok(Body::Empty));
    let (third, timeout, none, _) = stage.connect(session, &[1; 16]);
    assert_eq!((timeout, none, stage.closed.contains(&third)), (0, 0, true));
}

#[test]
fn watches_set_again_fire_for_what_changed_meanwhile() {
    let mut stage = Stage::new(1);
    stage.feed(Input::Members(members(1, Some("a"), &[])));
    let seen = stage.core.tree.zxid();
    let before = seen - (1 << 16);
    let (_, _, session, password) = stage.connect(0, &[0; 16]);
    let (client, ..) = stage.connect(session, &password);
    let set = |relative_zxid, data: &[&str], exist: &[&str], child: &[&str]| {
        let [data, exist, child] =
            [data, exist, child].map(|list| list.iter().map(|path| (*path).to_owned()).collect());
        Request::SetWatches {
            relative_zxid,
            data,
            exist,
            child,
        }
    };
    let leader = "/mesos/json.info_0000000100";
    let same = stage.ask_all(client, set(seen, &[leader], &[], &["/mesos"]));
    assert_eq!(same, (vec![], Ok(Body::Empty)));
    let changed = stage.ask_all(
        client,
        set(before, &[leader, "/gone"], &[leader, "/later"], &["/mesos"]),
    );
    let expected = vec![
        event(EventKind::DataChanged, leader),
        event(EventKind::Deleted, "/gone"),
        event(EventKind::Created, leader),
        event(EventKind::ChildrenChanged, "/mesos"),
    ];
    assert_eq!(changed, (expected, Ok(Body::Empty)));
    let many = stage.ask_all(
        client,
        set(0, &["/1", "/2", "/3", "/4", "/5", "/6"], &[], &[]),
    );
    assert_eq!(many, (vec![], Err(Code::BadArguments)));
}

#[test]
fn a_client_of_another_endpoint_is_taken_over_and_told_of_all_it_watches() {
    let (mut dead, mut stage) = (Stage::new(2), Stage::new(4));
    let (_, _, session, password) = dead.connect(0, &[0; 16]);
    stage.feed(Input::Members(members(1, Some("a"), &[])));
    let (client, timeout, same, _) = stage.connect(session, &password);
    assert_eq!((timeout, same), (10_000, session));
    dead.feed(Input::Members(members(9, Some("b"), &[])));
    let request = Request::SetWatches {
        relative_zxid: dead.core.tree.zxid(),
        data: vec![],
        exist: vec![],
        child: vec!["/mesos".to_owned()],
    };
    let told = vec![event(EventKind::ChildrenChanged, "/mesos")];
    assert_eq!(stage.ask_all(client, request), (told, Ok(Body::Empty)));
}

#[test]
fn watches_are_bounded_and_can_be_taken_back() {
    let mut stage = Stage::new(1);
    let client = stage.client();
    for path in ["/1", "/2", "/3", "/4", "/6"] {
        assert_eq!(
            stage.ask(client, read(ReadKind::Exists, path, true)),
            Err(Code::NoNode)
        );
    }
    assert_eq!(
        stage.ask(client, read(ReadKind::Exists, "/5", true)),
        Err(Code::BadArguments)
    );
    let remove = |path: &str, only_check| Request::RemoveWatches {
        path: path.to_owned(),
        set: WatchSet::Any,
        only_check,
    };
    assert_eq!(stage.ask(client, remove("/5", false)), Err(Code::NoWatcher));
    assert_eq!(stage.ask(client, remove("/4", true)), Ok(Body::Empty));
    assert_eq!(stage.ask(client, remove("/4", false)), Ok(Body::Empty));
    assert_eq!(stage.ask(client, remove("/4", true)), Err(Code::NoWatcher));
}

#[test]
fn four_letters_are_answered_without_a_session() {
    let mut stage = Stage::new(1);
    let connection = stage.open();
    stage.feed(Input::Word {
        connection,
        word: *b"ruok",
    });
    assert_eq!(
        stage.next(connection),
        Some(Outgoing::Text("imok".to_owned()))
    );
    assert!(stage.closed.contains(&connection));
    let connection = stage.open();
    stage.feed(Input::Request {
        connection,
        numbered: Numbered {
            xid: 1,
            request: Request::Ping,
        },
    });
    assert!(
        stage.closed.contains(&connection),
        "no request before there is a session"
    );
}
