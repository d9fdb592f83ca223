//! `--zk-port`: tells clients of ZooKeeper who leads, and which other masters there are.
//!
//! Owns what they read: `MasterInfo` as Mesos' contender writes it. Never the protocol (`net/zookeeper`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use futures_util::future::join_all;
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
    let mut last: Option<(Standing, Vec<String>)> = None;
    let mut found = Found::default();
    let mut again_at: Option<Instant> = None;
    loop {
        looks.tick().await;
        let seen = (leadership.settled().await, others());
        let is_again = again_at.is_some_and(|at| Instant::now() >= at);
        if last.as_ref() == Some(&seen) && !is_again {
            continue;
        }
        let (standing, others) = &seen;
        // While nothing else changes nobody is another one: a leader that was would look like the next.
        if last.as_ref().is_none_or(|(before, _)| before != standing) {
            found = Found::default();
        }
        let own = own();
        let term = members.borrow().term;
        let mut is_whole = true;
        for addresses in looked_up(standing, others) {
            is_whole &= found.look_up(&own, addresses).await;
            members.send_replace(shown(standing, &own, others, &found, term));
        }
        again_at = (!is_whole).then(|| Instant::now() + LOOKUP_PAUSE);
        last = Some(seen);
    }
}

/// The leader first: the names of others may take their time. Nobody is shown where there is none.
fn looked_up<'a>(standing: &'a Standing, others: &'a [String]) -> [&'a [String]; 2] {
    match standing {
        Standing::Leading { .. } | Standing::Following(_) => [leader_of(standing), others],
        Standing::Recovering | Standing::NoLeader => [&[], &[]],
    }
}

fn leader_of(standing: &Standing) -> &[String] {
    match standing {
        Standing::Following(leader) => std::slice::from_ref(&leader.http),
        _ => &[],
    }
}

/// Masters that were found, by the `host:port` of their API.
#[derive(Default)]
struct Found(BTreeMap<String, MasterInfo>);

impl Found {
    /// Of masters of the group besides `own` only addresses are known; the rest is equal in a group. False where one is
    /// still to be found.
    async fn look_up(&mut self, own: &MasterInfo, addresses: &[String]) -> bool {
        let new = addresses.iter().filter(|it| !self.0.contains_key(*it));
        let lookups = new.map(async |address| (address, in_time(lookup_host(address)).await));
        let looked_up = join_all(lookups).await;
        let mut is_whole = true;
        for (address, found) in looked_up {
            // Detectors on libprocess want an IPv4 address and look nothing up.
            let ip = found.map(|found| found.ok().and_then(first_v4));
            if ip.flatten().is_none() {
                tracing::warn!(
                    address,
                    "no IPv4 address was found for a master's name; ZooKeeper's clients are told the name alone"
                );
            }
            if let Some(ip) = ip {
                self.0.insert(address.clone(), named(own, address, ip));
            }
            is_whole &= ip.is_some();
        }
        is_whole
    }
}

/// What is shown in a standing: `others` are the APIs of masters that can be reached, `term` is the last one known.
fn shown(
    standing: &Standing,
    own: &MasterInfo,
    others: &[String],
    found: &Found,
    term: u64,
) -> Members {
    let json = |info: &MasterInfo| Master::new(unversioned::master_info(info).to_string());
    let known = |address: &String| found.0.get(address).map(json);
    let (term, leader, own_as_follower) = match standing {
        Standing::Leading { term } => (*term, json(own), None),
        Standing::Following(leader) => {
            let of_name = || json(&named(own, &leader.http, None));
            let shown = known(&leader.http).unwrap_or_else(of_name);
            (leader.term, shown, Some(json(own)))
        }
        Standing::Recovering | Standing::NoLeader => {
            return Members {
                term,
                ..Members::default()
            };
        }
    };
    let others = others.iter().filter(|it| !leader_of(standing).contains(it));
    Members {
        term,
        leader: Some(leader),
        followers: others.filter_map(known).chain(own_as_follower).collect(),
    }
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
