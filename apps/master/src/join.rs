//! How a new master gets into a group that runs: it asks for its id until the operator has added it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tepui_bridge::{Bridge, Disconnect, Hello, Identity, Membership, Peer, Role, Router, Service};
use tepui_consensus::{Applied, Identity as Owner, ProposeError, Status};
use tepui_engine::SharedEngine;
use tepui_protocol::node::{GroupFounder, JoinGroup, JoinedGroup};
use tepui_registry::{Command, Outcome};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};

use crate::{MasterSettings, entrance::Roster, group::Group};

/// Between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(500);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Asks the masters of `--peers` in turn until one of them lets this one in, and notes the id it was given.
///
/// # Errors
/// What writing the directory gives.
pub(crate) async fn join(
    settings: &MasterSettings,
    engine: &SharedEngine,
    disk: String,
) -> anyhow::Result<Owner> {
    let names: Vec<&str> = settings.peers.keys().map(String::as_str).collect();
    tracing::info!(
        "this master, {}, is not among --peers ({}) and waits to be added to their group: `tepui cluster add \
         {}=HOST:{}`",
        settings.name,
        names.join(","),
        settings.name,
        settings.bridge_port
    );
    let mut told = String::new();
    let joined = loop {
        match ask_all(settings, &disk).await {
            Ok(joined) => break joined,
            Err(text) if text != told => {
                tracing::warn!("not let into the group yet: {text}");
                told = text;
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
    };
    let founders = joined.founders.into_iter();
    let identity = Owner {
        node_id: joined.id,
        name: settings.name.clone(),
        disk,
        founders: founders.map(|it| (it.id, it.name)).collect(),
        cluster_id: joined.cluster_id,
    };
    identity.write(engine)?;
    tracing::info!(id = identity.node_id, "let into the group");
    Ok(identity)
}

/// The first answer, or what is most worth telling: all refusals, since the leader's says most, before a master that
/// cannot be reached.
async fn ask_all(settings: &MasterSettings, disk: &str) -> Result<JoinedGroup, String> {
    let mut refused: Vec<String> = Vec::new();
    let mut unreachable = String::new();
    for address in settings.peers.values() {
        match ask(settings, disk, address).await {
            Ok(joined) => return Ok(joined),
            Err(Trouble::Refused(text)) if refused.contains(&text) => {}
            Err(Trouble::Refused(text)) => refused.push(text),
            Err(Trouble::Unreachable(text)) => unreachable = text,
        }
    }
    if refused.is_empty() {
        return Err(unreachable);
    }
    Err(refused.join("; "))
}

enum Trouble {
    Refused(String),
    Unreachable(String),
}

/// The answer of the master there, or of the leader it names.
async fn ask(settings: &MasterSettings, disk: &str, address: &str) -> Result<JoinedGroup, Trouble> {
    let answer = ask_one(settings, disk, address).await?;
    let Some(leader) = answer.leader else {
        return Ok(answer);
    };
    let answer = ask_one(settings, disk, &leader).await?;
    match answer.leader {
        // The lead goes over at this moment; it is asked again soon.
        Some(next) => Err(Trouble::Refused(format!(
            "{address} named {leader} as the leader, which names {next}"
        ))),
        None => Ok(answer),
    }
}

async fn ask_one(
    settings: &MasterSettings,
    disk: &str,
    address: &str,
) -> Result<JoinedGroup, Trouble> {
    let found = timeout(ANSWER_DEADLINE, lookup_host(address)).await;
    let found = found.unwrap_or_else(|late| Err(late.into()));
    let found = found.map_err(|error| Trouble::Unreachable(format!("'{address}': {error}")))?;
    let bridge = Bridge::new(
        tepui_bridge::Settings::default(),
        Arc::new(Joiner::new(settings, disk)),
    );
    let none = Trouble::Unreachable(format!("'{address}' has no address"));
    let peer = connect_any(&bridge, found).await;
    let peer = peer.map_err(|trouble| trouble.unwrap_or(none))?;
    let answer = peer
        .ask_within(
            JoinGroup {
                follows: Some(true),
            },
            ANSWER_DEADLINE,
        )
        .await;
    peer.close("it was answered");
    answer.map_err(|error| Trouble::Refused(error.to_string()))
}

/// A connection to the first address that gives one: a name may have some that nobody answers. Otherwise a refusal
/// goes before the rest; without addresses there is nothing to tell.
async fn connect_any(
    bridge: &Bridge,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Peer, Option<Trouble>> {
    let mut trouble = None;
    for address in found {
        let error = match bridge.connect(address).await {
            Ok(peer) => return Ok(peer),
            Err(error) => error,
        };
        let refused = matches!(
            error,
            tepui_bridge::Error::RefusedHere(_) | tepui_bridge::Error::RefusedThere(_)
        );
        if refused {
            trouble = Some(Trouble::Refused(error.to_string()));
        } else if trouble.is_none() {
            trouble = Some(Trouble::Unreachable(error.to_string()));
        }
    }
    Err(trouble)
}

/// The asking side.
struct Joiner {
    name: String,
    membership: Membership,
}

impl Joiner {
    fn new(settings: &MasterSettings, disk: &str) -> Joiner {
        Joiner {
            name: settings.name.clone(),
            membership: Membership {
                group: String::new(),
                disk: disk.to_owned(),
                http: format!("{}:{}", settings.hostname, settings.port),
                bridge: String::new(),
                id: None,
                last_index: None,
            },
        }
    }
}

impl Service for Joiner {
    fn hello(&self) -> Hello {
        let mut hello = Hello::new(Role::Master, &self.name, env!("CARGO_PKG_VERSION"));
        hello.identity.membership = Some(self.membership.clone());
        hello
    }

    fn router(&self, _peer: &Peer) -> Arc<Router> {
        Arc::default()
    }

    fn recognise(&self, theirs: &Identity) -> Result<(), String> {
        if theirs.role == Role::Master {
            return Ok(());
        }
        Err(format!("{} is no master; correct --peers", theirs.name))
    }

    fn on_connect(&self, _peer: &Peer) {}

    fn on_disconnect(&self, _peer: &Peer, _end: &Disconnect) {}

    fn on_failed(&self, _address: Option<SocketAddr>, _error: &tepui_bridge::Error) {}
}

/// Gives a master that was added its id, once the group has noted which disk takes it. Only the leader can; another
/// names it.
pub(crate) fn admit(
    group: &Arc<Group>,
    peer: &Peer,
    asked: JoinGroup,
) -> BoxFuture<'static, Result<JoinedGroup, String>> {
    let name = peer.remote().name.clone();
    let disk = peer.remote().membership.as_ref().map(|it| it.disk.clone());
    let group = Arc::clone(group);
    Box::pin(async move {
        if let Some(leader) = elsewhere(&group).filter(|_| asked.follows()) {
            return Ok(JoinedGroup {
                leader: Some(leader),
                ..JoinedGroup::default()
            });
        }
        let id = claimable(&group.roster(), group.status().as_ref(), &name)?;
        let (Some(disk), Some(consensus)) = (disk, group.consensus()) else {
            return Err(no_master_yet(&name));
        };
        let claim = Command::ClaimMember { id, disk }.encode();
        accepted(consensus.propose(claim).await)?;
        let founders = group.identity().founders.iter();
        Ok(JoinedGroup {
            id,
            founders: founders
                .map(|(id, name)| GroupFounder {
                    id: *id,
                    name: name.clone(),
                })
                .collect(),
            cluster_id: group.cluster_id(),
            leader: None,
        })
    })
}

fn no_master_yet(name: &str) -> String {
    format!("{name} is no master of this group yet")
}

/// The id that a master of this name may ask for. A founder takes its id for no disk, so the registry knows none: where
/// Raft has it already, another directory must not come in its place.
///
/// # Errors
/// The text of the refusal.
fn claimable(roster: &Roster, status: Option<&Status>, name: &str) -> Result<u64, String> {
    let id = roster.id_of(name).ok_or_else(|| no_master_yet(name))?;
    let has_disk = roster.members.get(&id).is_some_and(|it| it.disk.is_some());
    if !has_disk && status.is_some_and(|it| it.has_member(id)) {
        return Err(format!(
            "{name} (id {id}) is a master of this group already, with another directory than this empty one: start it \
             with the directory it had and nothing else under its name. If that is lost, put a new master in its place: \
             `tepui cluster add {name}=ADDRESS --replace`"
        ));
    }
    Ok(id)
}

/// `host:port` of the bridge of the leader, if that is another master that has said so.
fn elsewhere(group: &Group) -> Option<String> {
    let status = group.status()?;
    let leader = status.leader.filter(|id| *id != status.node_id)?;
    let place = group.leader(leader, status.term)?;
    Some(place.bridge).filter(|bridge| !bridge.is_empty())
}

/// Whether a command to the registry took effect.
///
/// # Errors
/// The text of its refusal, or why nobody knows.
pub(crate) fn accepted(proposed: Result<Applied, ProposeError>) -> Result<(), String> {
    let applied = proposed.map_err(|error| error.to_string())?;
    match Outcome::decode(&applied.outcome) {
        Ok(Outcome::Applied { .. }) => Ok(()),
        Ok(Outcome::Refused { reason }) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
