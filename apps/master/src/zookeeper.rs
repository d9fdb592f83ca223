//! `--zk-port`: tells clients of ZooKeeper who leads, and which other masters there are.
//!
//! Owns what they read: `MasterInfo` as Mesos' contender writes it. Never the protocol (`net/zookeeper`).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use futures_util::future::{join, join_all};
use tepui_protocol::v1::MasterInfo;
use tepui_zookeeper::{Master, Members, Settings, ZooKeeperEndpoint};
use tokio::{
    net::lookup_host,
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    group::Group,
    http::Door,
    leadership::{Leadership, Standing},
    unversioned,
};

/// How often the standing is looked at; a look costs next to nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Clients wait for the new leader meanwhile, and a name server may have gone down with the old one.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(1);
/// Until a lookup that took too long is tried again.
const LOOKUP_PAUSE: Duration = Duration::from_secs(5);

/// The endpoint and what feeds it; dropping it ends both.
pub(crate) struct ForDetectors {
    _endpoint: ZooKeeperEndpoint,
    following: JoinHandle<()>,
}

impl Drop for ForDetectors {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// Serves on `listener`, with the masters below `path`, for as long as the result lives; the door knows this master,
/// who is another one in each of its terms, and the group the others.
///
/// # Errors
/// `path` is none, or the listener is of no use.
pub(crate) fn serve(
    listener: TcpListener,
    path: &str,
    door: Arc<Door>,
    leadership: &Leadership,
    group: Arc<Group>,
) -> anyhow::Result<ForDetectors> {
    listener.set_nonblocking(true).context("--zk-port")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("--zk-port")?;
    let (members, shown) = watch::channel(Members::default());
    let settings = Settings {
        base: path.to_owned(),
        ..Settings::default()
    };
    let endpoint = ZooKeeperEndpoint::serve(listener, shown, settings).context("--zk-path")?;
    tracing::info!(zookeeper = %endpoint.address(), "clients of ZooKeeper are told who leads");
    let own = move || door.current().facts.master.clone();
    let others = move || others(&group);
    let following = tokio::spawn(follow(leadership.clone(), own, others, members));
    Ok(ForDetectors {
        _endpoint: endpoint,
        following,
    })
}

/// The APIs of the other masters that can be reached.
fn others(group: &Group) -> Vec<String> {
    let places = group.reachable().into_iter();
    places
        .filter_map(|id| Some(group.place(id)?.http))
        .collect()
}

async fn follow(
    leadership: Leadership,
    own: impl Fn() -> MasterInfo + Send,
    others: impl Fn() -> Vec<String> + Send,
    members: watch::Sender<Members>,
) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    let mut again_at: Option<Instant> = None;
    loop {
        looks.tick().await;
        let seen = (leadership.settled().await, others());
        let is_again = again_at.is_some_and(|at| Instant::now() >= at);
        if last.as_ref() != Some(&seen) || is_again {
            last = Some(seen.clone());
            let (standing, others) = seen;
            let term = members.borrow().term;
            let own = own();
            let (showing, is_whole) = shown(standing, &own, &others, term).await;
            members.send_replace(showing);
            again_at = (!is_whole).then(|| Instant::now() + LOOKUP_PAUSE);
        }
    }
}

/// What is shown in a standing, and whether that is all: `others` are the APIs of masters that can be reached, `term` is the
/// last one known.
async fn shown(
    standing: Standing,
    own: &MasterInfo,
    others: &[String],
    term: u64,
) -> (Members, bool) {
    let json = |info: &MasterInfo| Master::new(unversioned::master_info(info).to_string());
    let find = async |address: &String| {
        let (info, is_whole) = at(own, address).await;
        (json(&info), is_whole)
    };
    let (term, leader, own_as_follower) = match &standing {
        Standing::Leading { term } => (*term, None, None),
        Standing::Following(leader) => (leader.term, Some(&leader.http), Some(json(own))),
        Standing::Recovering | Standing::NoLeader => {
            let nobody = Members {
                term,
                ..Members::default()
            };
            return (nobody, true);
        }
    };
    let found_leader = async {
        match leader {
            Some(address) => find(address).await,
            None => (json(own), true),
        }
    };
    let followers = others.iter().filter(|it| Some(*it) != leader).map(find);
    let (found_leader, followers) = join(found_leader, join_all(followers)).await;
    let is_whole = found_leader.1 && followers.iter().all(|it| it.1);
    let followers = followers.into_iter().map(|(master, _)| master);
    let members = Members {
        term,
        leader: Some(found_leader.0),
        followers: followers.chain(own_as_follower).collect(),
    };
    (members, is_whole)
}

/// Another master of the group, of whom only the `host:port` of its API is known; the rest is equal in a group. False
/// where its address is still to be found.
async fn at(own: &MasterInfo, address: &str) -> (MasterInfo, bool) {
    // Detectors on libprocess want an IPv4 address and look nothing up.
    let found = in_time(lookup_host(address)).await;
    let is_whole = found.is_some();
    let ip = found.and_then(Result::ok).and_then(first_v4);
    if ip.is_none() {
        tracing::warn!(
            address,
            "no IPv4 address was found for a master's name; ZooKeeper's clients are told the name alone"
        );
    }
    (named(own, address, ip), is_whole)
}

/// What a lookup gives; none where it takes too long.
async fn in_time<T>(lookup: impl Future<Output = T>) -> Option<T> {
    timeout(LOOKUP_DEADLINE, lookup).await.ok()
}

fn first_v4(mut found: impl Iterator<Item = SocketAddr>) -> Option<Ipv4Addr> {
    found.find_map(|found| match found.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    })
}

fn named(own: &MasterInfo, address: &str, ip: Option<Ipv4Addr>) -> MasterInfo {
    let mut info = own.clone();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let port: u16 = port.parse().unwrap_or_default();
    let shown = ip.map_or_else(|| host.to_owned(), |ip| ip.to_string());
    info.id = address.to_owned();
    info.ip = ip.map_or(0, |ip| u32::from_le_bytes(ip.octets()));
    info.port = u32::from(port);
    info.pid = Some(format!("master@{shown}:{port}"));
    info.hostname = Some(host.to_owned());
    if let Some(address) = &mut info.address {
        address.hostname = Some(host.to_owned());
        address.ip = Some(shown);
        address.port = i32::from(port);
    }
    info
}

#[cfg(test)]
#[path = "zookeeper_tests.rs"]
mod tests;
