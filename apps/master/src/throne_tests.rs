//! Three masters in one process, on loopback and real disks: the lead goes round, and each reign ends wholly.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
};

use futures_util::StreamExt;
use tepui_consensus::Options;
use tepui_kit::{AskError, System};
use tepui_messages::{master::OperatorCall, view::Encoding};
use tepui_protocol::v1::{
    VersionInfo, WeightInfo,
    master::{Call, call},
};
use tepui_view::ViewConfig;

use super::*;
use crate::{MasterSettings, ground::assemble, http::MasterHttp, leadership::Leader};

/// One master; its throne runs on a task.
struct Member {
    ground: Arc<Ground>,
    gate: Arc<Gate>,
    door: Arc<Door>,
    http: String,
    running: tokio::task::JoinHandle<()>,
}

impl Member {
    fn leads(&self) -> Option<u64> {
        match self.ground.leadership.confirmed() {
            Some(Standing::Leading { term }) => Some(term),
            _ => None,
        }
    }

    fn follows(&self, http: &str) -> bool {
        matches!(
            self.ground.leadership.confirmed(),
            Some(Standing::Following(Leader { http: leader, .. })) if leader == http
        )
    }
}

fn settings(work_dir: &Path, name: &str, peers: &BTreeMap<String, String>) -> MasterSettings {
    MasterSettings {
        work_dir: work_dir.join(name),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 1,
        bridge_port: peers[name].rsplit_once(':').unwrap().1.parse().unwrap(),
        hostname: name.to_owned(),
        roles: None,
        root_submissions: true,
        zk_port: None,
        zk_path: "/mesos".to_string(),
        cluster: None,
        name: name.to_owned(),
        peers: peers.clone(),
        election_timeout: Options::DEFAULT_ELECTION_TIMEOUT,
        log_file: None,
        verbosity: Default::default(),
    }
}

async fn three(work_dir: &Path) -> Vec<Member> {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = sockets.map(|socket| socket.local_addr().unwrap().to_string());
    let names = ["m1", "m2", "m3"].map(str::to_owned);
    let peers: BTreeMap<String, String> = names.clone().into_iter().zip(addresses).collect();
    let mut members = Vec::new();
    for name in &names {
        let settings = settings(work_dir, name, &peers);
        std::fs::create_dir_all(&settings.work_dir).unwrap();
        let parts = assemble(settings, ViewConfig::default(), VersionInfo::default());
        let parts = parts.await.unwrap();
        members.push(Member {
            ground: Arc::clone(&parts.ground),
            gate: Arc::clone(&parts.gate),
            door: parts.throne.door(),
            http: format!("{name}:1"),
            running: tokio::task::spawn_local(async move {
                // All of them: the ways to others close with the rest.
                let mut parts = parts;
                let error = parts.throne.run().await;
                panic!("{error}");
            }),
        });
    }
    members
}

/// The first true answer; the test's runner knows when to give up.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

async fn leader(members: &[Member]) -> (usize, u64) {
    until(|| {
        let mut terms = members.iter().map(Member::leads).enumerate();
        terms.find_map(|(index, term)| Some((index, term?)))
    })
    .await
}

fn weight(value: f64) -> OperatorCall {
    OperatorCall(Call {
        r#type: Some(call::Type::UpdateWeights as i32),
        update_weights: Some(call::UpdateWeights {
            weight_infos: vec![WeightInfo {
                role: Some("r".to_owned()),
                weight: value,
            }],
        }),
        ..Call::default()
    })
}

/// What was reached through an earlier reign answers nothing any more.
async fn assert_over(old: &MasterHttp, mut records: tepui_framework::Records) {
    assert_eq!(old.operator.ask(weight(9.0)).await, Err(AskError::Closed));
    while let Some(record) = records.next().await {
        if record.is_err() {
            return;
        }
    }
    panic!("the stream ended as if all were well");
}

#[test]
fn the_lead_goes_round_and_nothing_of_a_reign_outlives_it() {
    let work_dir = tempfile::tempdir().unwrap();
    System::new().block_on(async {
        let members = three(work_dir.path()).await;
        let mut ids = Vec::new();
        let (mut index, mut term) = leader(&members).await;
        for round in 1..=5_u32 {
            let old = members[index].door.current();
            ids.push(old.facts.master.id.clone());
            let value = f64::from(round) + 1.0;
            assert_eq!(old.operator.ask(weight(value)).await.unwrap().status, 200);
            let (_stream, records) = old.proxies.open("s".to_owned(), Encoding::Json);

            let next = (index + 1) % members.len();
            let id = members[next].ground.consensus.status().borrow().node_id;
            until(|| {
                // Refused while the one asked lags; it is asked again.
                let _ = members[index].ground.consensus.transfer_leader(id);
                members[next].leads().map(drop)
            })
            .await;
            let (now, later) = leader(&members).await;
            assert!(later > term && now == next, "{later} {term} {now} {next}");
            assert_eq!(members[index].leads(), None);
            assert_over(&old, records).await;
            for member in &members {
                until(|| {
                    (member.http == members[now].http || member.follows(&members[now].http))
                        .then_some(())
                })
                .await;
            }
            let weights = members[now].ground.reader.with(|it| it.weights.clone());
            assert_eq!(weights.get("r"), Some(&value));
            (index, term) = (now, later);
        }
        ids.push(members[index].door.current().facts.master.id.clone());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 6, "each reign gives ids of its own");
        let cluster_ids: Vec<_> = members
            .iter()
            .map(|it| it.ground.group.cluster_id())
            .collect();
        assert!(cluster_ids[0].is_some() && cluster_ids.windows(2).all(|pair| pair[0] == pair[1]));
        for member in &members {
            member.gate.set(None);
            member.running.abort();
            member.ground.consensus.shutdown();
        }
    });
}
