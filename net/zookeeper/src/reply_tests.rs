//! The bytes are those of a ZooKeeper 3.8.0, recorded.

use super::*;

fn hex(outgoing: &Outgoing) -> String {
    let mut bytes = BytesMut::new();
    outgoing.put(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reply(xid: i32, zxid: i64, result: Result<Body, Code>) -> String {
    hex(&Outgoing::Reply { xid, zxid, result })
}

/// Of ZooKeeper's own `/zookeeper`.
fn stat() -> Stat {
    Stat {
        cversion: -2,
        num_children: 2,
        ..Stat::default()
    }
}

const STAT: &str = "000000000000000000000000000000000000000000000000000000000000000000000000fffffffe00000000000000000000000000000000000000020000000000000000";

#[test]
fn a_session_is_told_with_and_without_the_mode() {
    let connected = |timeout_ms, session, tells_mode| {
        hex(&Outgoing::Connected {
            timeout_ms,
            session,
            password: [0x5a; 16],
            tells_mode,
        })
    };
    let password = "5a".repeat(16);
    let with = format!("00000025000000000000271001000008bb46000000000010{password}00");
    assert_eq!(connected(10_000, 0x0100_0008_bb46_0000, true), with);
    let without = format!("00000024000000000000271001000008bb46000100000010{password}");
    assert_eq!(connected(10_000, 0x0100_0008_bb46_0001, false), without);
    let none = Outgoing::Connected {
        timeout_ms: 0,
        session: 0,
        password: [0; 16],
        tells_mode: true,
    };
    let expected = format!("00000025{:024x}0000000000000010{:034x}", 0, 0);
    assert_eq!(hex(&none), expected);
}

#[test]
fn answers_are_as_zookeeper_writes_them() {
    assert_eq!(
        reply(-2, 5, Ok(Body::Empty)),
        "00000010fffffffe000000000000000500000000"
    );
    assert_eq!(
        reply(3, 5, Err(Code::NoNode)),
        "00000010000000030000000000000005ffffff9b"
    );
    let exists = reply(2, 5, Ok(Body::Found(Found::Stat(stat()))));
    assert_eq!(
        exists,
        format!("00000054000000020000000000000005{:08x}{STAT}", 0)
    );
    let data = reply(4, 5, Ok(Body::Found(Found::Data(Bytes::new(), stat()))));
    assert_eq!(
        data,
        format!("00000058000000040000000000000005{:016x}{STAT}", 0)
    );
    let names = vec!["config".to_owned(), "quota".to_owned()];
    let children = reply(7, 5, Ok(Body::Found(Found::Children(names))));
    assert_eq!(
        children,
        "00000027000000070000000000000005000000000000000200000006636f6e6669670000000571756f7461"
    );
    let synced = reply(9, 5, Ok(Body::Path("/none".into())));
    assert_eq!(
        synced,
        "0000001900000009000000000000000500000000000000052f6e6f6e65"
    );
}

#[test]
fn an_access_list_lets_anybody_read() {
    // ZooKeeper's own has 1f, every right.
    let acl = reply(8, 5, Ok(Body::Acl(stat())));
    let expected = format!("000000010000000100000005776f726c6400000006616e796f6e65{STAT}");
    assert_eq!(acl[40..], expected);
}

#[test]
fn a_bundle_has_a_header_for_each_result() {
    let names = vec!["config".to_owned(), "quota".to_owned()];
    let results = vec![
        Ok(Found::Data(Bytes::new(), stat())),
        Err(Code::NoNode),
        Ok(Found::Children(names)),
    ];
    let expected = format!(
        "00000004000000000000000000{STAT}ffffffff00ffffff9bffffff9b0000000800000000000000000200000006636f6e6669670000000571756f7461ffffffff01ffffffff"
    );
    assert_eq!(reply(12, 7, Ok(Body::Many(results)))[40..], expected);
}

#[test]
fn an_event_has_no_state_of_its_own() {
    let event = hex(&Outgoing::Event {
        kind: EventKind::Deleted,
        path: "/gone".to_owned(),
    });
    assert_eq!(
        event,
        "00000021ffffffffffffffffffffffff000000000000000200000003000000052f676f6e65"
    );
}
