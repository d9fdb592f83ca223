use std::{collections::BTreeMap, net::TcpListener};

use tepui_registry::{MemberRecord, Registry};

use super::*;

fn owner() -> Owner {
    Owner {
        node_id: 1,
        name: "m1".to_owned(),
        disk: "d1".to_owned(),
        founders: (1..=3).map(|id| (id, format!("m{id}"))).collect(),
        cluster_id: None,
    }
}

/// Three founders, and m4, which was added and has its disk or not.
fn roster(disk_of_m4: Option<&str>) -> Roster {
    let member = |id: u64| (id, MemberRecord::new(format!("m{id}"), format!("m{id}:1")));
    let mut registry = Registry {
        members: (1..=4).map(member).collect(),
        last_member_id: 4,
        ..Registry::default()
    };
    registry.members.get_mut(&4).unwrap().disk = disk_of_m4.map(str::to_owned);
    Roster::of(&registry, &owner(), &BTreeMap::new())
}

#[test]
fn an_empty_directory_cannot_take_the_place_of_a_founder() {
    let status = Status {
        voters: vec![1, 2, 3],
        ..Status::default()
    };
    let text = claimable(&roster(None), Some(&status), "m3").unwrap_err();
    for part in [
        "m3 (id 3)",
        "the directory it had",
        "tepui cluster add m3=ADDRESS --replace",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        claimable(&roster(None), Some(&status), "m4"),
        Ok(4),
        "it was added"
    );
    let text = claimable(&roster(None), Some(&status), "m5").unwrap_err();
    assert!(text.contains("m5 is no master of this group yet"), "{text}");
}

/// It may have ended before it noted its id, and the registry knows whether it is the same disk.
#[test]
fn one_that_was_added_may_ask_again() {
    let status = Status {
        voters: vec![1, 2, 3],
        learners: vec![4],
        ..Status::default()
    };
    assert_eq!(claimable(&roster(Some("d4")), Some(&status), "m4"), Ok(4));
}

fn bridge() -> Bridge {
    let joiner = Joiner {
        name: "m9".to_owned(),
        membership: Membership {
            group: String::new(),
            disk: "d9".to_owned(),
            http: "m9:5050".to_owned(),
            bridge: String::new(),
            id: None,
            last_index: None,
        },
    };
    Bridge::new(tepui_bridge::Settings::default(), Arc::new(joiner))
}

#[tokio::test]
async fn a_name_is_tried_at_all_its_addresses() {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = bridge().listen(here).await.unwrap();
    let gone = TcpListener::bind(here).unwrap().local_addr().unwrap();
    let found = [gone, listener.address()];
    let peer = connect_any(&bridge(), found.into_iter()).await;
    assert_eq!(peer.ok().unwrap().address(), Some(listener.address()));
    let failed = connect_any(&bridge(), [gone].into_iter()).await.err();
    assert!(matches!(failed, Some(Some(Trouble::Unreachable(_)))));
}
