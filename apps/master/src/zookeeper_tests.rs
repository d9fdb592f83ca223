use serde_json::{Value, json};
use tepui_protocol::v1::{Address, master_info::Capability};

use super::*;
use crate::leadership::Leader;

fn own() -> MasterInfo {
    MasterInfo {
        id: "own".to_owned(),
        ip: u32::from_le_bytes([127, 0, 0, 1]),
        port: 5050,
        pid: Some("master@127.0.0.1:5050".to_owned()),
        hostname: Some("m1".to_owned()),
        version: Some("1.11.0".to_owned()),
        address: Some(Address {
            hostname: Some("m1".to_owned()),
            ip: Some("127.0.0.1".to_owned()),
            port: 5050,
        }),
        domain: None,
        capabilities: vec![
            Capability { r#type: Some(1) },
            Capability { r#type: Some(2) },
            Capability { r#type: None },
        ],
    }
}

fn info(members: &Members) -> Value {
    value(members.leader.as_ref().unwrap())
}

/// With the names of all looked up.
async fn seen(standing: Standing, others: &[String]) -> Members {
    let mut found = Found::default();
    for addresses in looked_up(&standing, others) {
        found.look_up(&own(), addresses).await;
    }
    shown(&standing, &own(), others, &found, 3)
}

fn value(master: &Master) -> Value {
    serde_json::from_slice(master.info()).unwrap()
}

#[tokio::test]
async fn the_leaders_node_is_what_mesos_writes() {
    let standing = Standing::Leading { term: 7 };
    let members = seen(standing, &[]).await;
    assert_eq!((members.term, members.followers.len()), (7, 0));
    let text = String::from_utf8(members.leader.unwrap().info().to_vec()).unwrap();
    let expected = r#"{"address":{"hostname":"m1","ip":"127.0.0.1","port":5050},"capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],"hostname":"m1","id":"own","ip":16777343,"pid":"master@127.0.0.1:5050","port":5050,"version":"1.11.0"}"#;
    assert_eq!(text, expected);
}

#[tokio::test]
async fn without_a_leader_there_is_no_node() {
    for standing in [Standing::Recovering, Standing::NoLeader] {
        let members = seen(standing, &[]).await;
        assert_eq!((members.term, members.leader), (3, None));
    }
}

#[tokio::test]
async fn another_leader_is_shown_by_its_address() {
    let leader = Leader {
        http: "127.0.0.2:6000".to_owned(),
        bridge: "127.0.0.2:6010".to_owned(),
        term: 4,
    };
    let members = seen(Standing::Following(leader), &[]).await;
    assert_eq!(members.term, 4);
    let found = info(&members);
    assert_eq!(
        found["address"],
        json!({"hostname": "127.0.0.2", "ip": "127.0.0.2", "port": 6000})
    );
    assert_eq!(
        (&found["pid"], &found["ip"]),
        (&json!("master@127.0.0.2:6000"), &json!(33_554_559))
    );
    assert_eq!(found["version"], "1.11.0");
    let unknown = named(&own(), "m2.example:6000", None);
    assert_eq!(unknown.pid(), "master@m2.example:6000");
    assert_eq!(unknown.address.unwrap().hostname(), "m2.example");
}

/// Some tools list all masters of a cluster.
#[tokio::test]
async fn the_others_are_shown_behind_the_leader() {
    let others = ["127.0.0.2:6000", "127.0.0.3:7000"].map(str::to_owned);
    let ids = |members: &Members| -> Vec<String> {
        let masters = members.leader.iter().chain(&members.followers);
        let ids = masters.map(|it| value(it)["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let members = seen(Standing::Leading { term: 7 }, &others).await;
    assert_eq!(ids(&members), ["own", "127.0.0.2:6000", "127.0.0.3:7000"]);
    let leader = Leader {
        http: others[0].clone(),
        bridge: "127.0.0.2:6010".to_owned(),
        term: 4,
    };
    let members = seen(Standing::Following(leader), &others).await;
    assert_eq!(ids(&members), ["127.0.0.2:6000", "127.0.0.3:7000", "own"]);
}

/// Where a name is not found in time the others and the leader are shown, and nobody is shown as another one later.
#[tokio::test]
async fn a_follower_that_is_not_found_hides_nobody() {
    let leader = Leader {
        http: "m1.example:6000".to_owned(),
        bridge: "m1.example:6010".to_owned(),
        term: 4,
    };
    let standing = Standing::Following(leader);
    let others = ["127.0.0.3:7000", "m2.example:6000"].map(str::to_owned);
    let mut found = Found::default();
    found.look_up(&own(), &others[..1]).await;
    let members = shown(&standing, &own(), &others, &found, 3);
    assert_eq!(info(&members)["id"], "m1.example:6000");
    let ids: Vec<_> = members
        .followers
        .iter()
        .map(|it| value(it)["id"].clone())
        .collect();
    assert_eq!(ids, ["127.0.0.3:7000", "own"]);
    let before = found.0.clone();
    found.look_up(&own(), &others[..1]).await;
    assert_eq!(found.0, before);
}

#[tokio::test]
async fn the_endpoint_follows_the_standing() {
    let leadership = Leadership::new(Standing::Recovering, Arc::new(|| Some(1)));
    let (members, mut told) = watch::channel(Members::default());
    let (reached, others) = watch::channel(Vec::new());
    let others = move || others.borrow().clone();
    let following = tokio::spawn(follow(leadership.clone(), own, others, members));
    leadership.set(Standing::Leading { term: 1 });
    told.wait_for(|members| members.leader.is_some())
        .await
        .unwrap();
    reached.send_replace(vec!["127.0.0.2:6000".to_owned()]);
    told.wait_for(|members| members.followers.len() == 1)
        .await
        .unwrap();
    leadership.set(Standing::NoLeader);
    told.wait_for(|members| members.leader.is_none())
        .await
        .unwrap();
    following.abort();
}

/// A name server that is gone keeps nobody from being told who leads.
#[tokio::test(start_paused = true)]
async fn a_lookup_that_hangs_is_given_up_and_one_in_time_is_used() {
    assert_eq!(in_time(std::future::pending::<()>()).await, None);
    let found = ["[::1]:1", "10.0.0.7:1"].map(|it| it.parse().unwrap());
    let answered = in_time(std::future::ready(found)).await;
    assert_eq!(
        first_v4(answered.unwrap().into_iter()),
        Some(Ipv4Addr::new(10, 0, 0, 7))
    );
}
