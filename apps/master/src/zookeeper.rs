//! `--zk-port`: tells clients of ZooKeeper who leads.
//!
//! Owns what they read: the leader's `MasterInfo` as Mesos' contender writes it. Never the protocol (`net/zookeeper`).

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tepui_protocol::v1::MasterInfo;
use tepui_zookeeper::{Master, Members, Settings, ZooKeeperEndpoint};
use tokio::{
    net::lookup_host,
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    http::Door,
    leadership::{Leadership, Standing},
    unversioned,
};

/// How often the standing is looked at; a look costs next to nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

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
/// who is another one in each of its terms.
///
/// # Errors
/// `path` is none, or the listener is of no use.
pub(crate) fn serve(
    listener: TcpListener,
    path: &str,
    door: Arc<Door>,
    leadership: &Leadership,
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
    let following = tokio::spawn(follow(leadership.clone(), own, members));
    Ok(ForDetectors {
        _endpoint: endpoint,
        following,
    })
}

async fn follow(
    leadership: Leadership,
    own: impl Fn() -> MasterInfo + Send,
    members: watch::Sender<Members>,
) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        looks.tick().await;
        let standing = leadership.settled().await;
        if last.as_ref() != Some(&standing) {
            last = Some(standing.clone());
            let term = members.borrow().term;
            let own = own();
            members.send_replace(shown(standing, &own, term).await);
        }
    }
}

/// What is shown in a standing; `term` is the last one known.
async fn shown(standing: Standing, own: &MasterInfo, term: u64) -> Members {
    let (term, leader) = match standing {
        Standing::Leading { term } => (term, Some(own.clone())),
        Standing::Following(leader) => (leader.term, Some(at(own, &leader.http).await)),
        Standing::Recovering | Standing::NoLeader => (term, None),
    };
    let json = |info| Master::new(unversioned::master_info(&info).to_string());
    Members {
        term,
        leader: leader.map(json),
        followers: Vec::new(),
    }
}

/// Another master of the group, of whom only the `host:port` of its API is known; the rest is equal in a group.
async fn at(own: &MasterInfo, address: &str) -> MasterInfo {
    // Detectors on libprocess want an IPv4 address and look nothing up.
    let found = lookup_host(address).await;
    let ip = found
        .into_iter()
        .flatten()
        .find_map(|found| match found.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
    if ip.is_none() {
        tracing::warn!(
            address,
            "the leader's name has no IPv4 address; ZooKeeper's clients are told the name alone"
        );
    }
    named(own, address, ip)
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
