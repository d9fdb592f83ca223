//! Three masters in one process, on loopback and real disks: the lead goes round, and each reign ends wholly.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
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
use tokio::time::sleep;

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

fn settings(work_dir: &Path, name: &str, peers: &Peers) -> MasterSettings {
    MasterSettings {
        work_dir: work_dir.join(name),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 1,
        bridge_port: peers[name].rsplit_once(':').unwrap().1.parse().unwrap(),
        hostname: name.to_owned(),
        hostname_lookup: false,
        patience: Default::default(),
        kept: Default::default(),
        removal_rate: None,
        roles: None,
        root_submissions: true,
        offer_timeout: None,
        domain: None,
        require_agent_domain: false,
        whitelist: None,
        allocation: Default::default(),
        forgetting: Default::default(),
        rate_limits: Default::default(),
        security: Default::default(),
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

type Peers = BTreeMap<String, String>;

/// Names, and addresses that are free.
fn peers() -> Peers {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = sockets.map(|socket| socket.local_addr().unwrap().to_string());
    let names = ["m1", "m2", "m3"].map(str::to_owned);
    names.into_iter().zip(addresses).collect()
}

async fn start(work_dir: &Path, name: &str, peers: &Peers) -> Member {
    let settings = settings(work_dir, name, peers);
    std::fs::create_dir_all(&settings.work_dir).unwrap();
    let parts = assemble(settings, ViewConfig::default(), VersionInfo::default());
    let parts = parts.await.unwrap();
    Member {
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
    }
}

async fn three(work_dir: &Path, peers: &Peers) -> Vec<Member> {
    let mut members = Vec::new();
    for name in peers.keys() {
        members.push(start(work_dir, name, peers).await);
    }
    members
}

/// Ends a member as if its process had gone.
async fn end(member: Member) {
    member.gate.set(None);
    member.running.abort();
    let _ = member.running.await;
    member.ground.consensus.shutdown();
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
    OperatorCall {
        principal: None,
        call: Call {
            r#type: Some(call::Type::UpdateWeights as i32),
            update_weights: Some(call::UpdateWeights {
                weight_infos: vec![WeightInfo {
                    role: Some("r".to_owned()),
                    weight: value,
                }],
            }),
            ..Call::default()
        },
    }
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
        let members = three(work_dir.path(), &peers()).await;
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
        for member in members {
            end(member).await;
        }
    });
}

/// Neither the write's success nor its failure is told, and nobody waits for ever.
#[test]
fn a_leader_whose_write_comes_to_no_end_leads_no_more() {
    let work_dir = tempfile::tempdir().unwrap();
    System::new().block_on(async {
        let mut members = three(work_dir.path(), &peers()).await;
        let (index, _) = leader(&members).await;
        let leading = members.remove(index);
        let http = leading.door.current();
        assert_eq!(http.operator.ask(weight(2.0)).await.unwrap().status, 200);
        for member in members {
            end(member).await;
        }
        let asked = http.operator.ask(weight(3.0)).await;
        assert_eq!(asked, Err(AskError::Closed));
        until(|| leading.leads().is_none().then_some(())).await;
        end(leading).await;
    });
}

#[test]
fn a_master_that_lags_too_far_behind_is_brought_up_by_a_snapshot_of_many_parts() {
    let (work_dir, peers) = (tempfile::tempdir().unwrap(), peers());
    System::new().block_on(async {
        let mut members = three(work_dir.path(), &peers).await;
        leader(&members).await;
        let index = members.iter().position(|it| it.leads().is_none()).unwrap();
        end(members.remove(index)).await;
        let name = peers.keys().nth(index).unwrap();

        let (at, _) = leader(&members).await;
        let consensus = members[at].ground.consensus.clone();
        let value = bytes::Bytes::from(vec![7; 4_000]);
        for batch in 0..13 {
            let written = (0..1_000).map(|number| {
                let command = tepui_registry::Command::PutDocument {
                    collection: "c".to_owned(),
                    name: format!("{batch}-{number}"),
                    value: value.clone(),
                };
                consensus.propose(command.encode())
            });
            let written: Vec<_> = written.collect();
            for written in written {
                written.await.unwrap();
            }
        }
        let whole = members[at].ground.reader.copy();
        assert_eq!(whole.documents["c"].len(), 13_000);

        members.push(start(work_dir.path(), name, &peers).await);
        let late = members.last().unwrap();
        until(|| late.ground.reader.with(|it| *it == whole).then_some(())).await;
        // Shown only once all of it is installed.
        let mut status = late.ground.consensus.status();
        let installed = status.wait_for(|it| it.counters.snapshots_installed > 0);
        drop(installed.await.unwrap());
        for member in members {
            end(member).await;
        }
    });
}
