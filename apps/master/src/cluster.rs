//! The operator's desk: shows the group and takes changes of it. Each change is a command to the registry, which the
//! leader's steward carries out; what is answered here is only that it was taken, or why not.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tepui_consensus::{Consensus, Role, Status};
use tepui_kit::{Ask, AskError};
use tepui_protocol::node::{DescribeMember, MemberState};
use tepui_registry::{Backup, Command, RegistryReader};
use tokio::time::timeout;

use crate::{
    group::Group,
    http::{ClusterCall, Refusal},
    join::accepted,
    naming::{EXPECTED_NAME, is_address, is_member_name},
    roster::Roster,
};

/// A member that answers later counts as not reachable.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);
/// A member further behind than this is told of.
const MUCH_LAG: u64 = 1_000;
/// The least that a change of the lead is waited for.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(3);

type Answered = Result<Bytes, Refusal>;

/// A cheap handle.
#[derive(Clone)]
pub(crate) struct Desk {
    /// As people call the cluster (`--cluster`).
    pub(crate) name: Option<String>,
    pub(crate) group: Arc<Group>,
    pub(crate) consensus: Consensus,
    pub(crate) registry: RegistryReader,
    pub(crate) election_timeout: Duration,
}

impl Ask<ClusterCall> for Desk {
    fn ask(&self, call: ClusterCall) -> BoxFuture<'static, Result<Answered, AskError>> {
        let desk = self.clone();
        Box::pin(async move {
            Ok(match call {
                ClusterCall::Describe => Ok(desk.describe().await),
                ClusterCall::Add {
                    name,
                    address,
                    replace,
                } => desk.add(name, address, replace).await,
                ClusterCall::Remove { name } => desk.remove(name).await,
                ClusterCall::TransferLeader { name } => desk.transfer(&name).await,
                ClusterCall::Backup => desk.backup().await,
            })
        })
    }
}

/// How far this member is, for another one that asks.
pub(crate) fn describe_own(group: &Group) -> Result<MemberState, String> {
    let status = group.status().ok_or("this master is starting")?;
    Ok(state_of(&status))
}

fn state_of(status: &Status) -> MemberState {
    let role = match status.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
    };
    MemberState {
        term: status.term,
        role: role.to_owned(),
        applied_index: status.applied_index,
        committed_index: status.committed_index,
    }
}

fn conflict(text: impl Into<String>) -> Refusal {
    Refusal {
        status: 409,
        text: text.into(),
    }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal {
        status: 400,
        text: text.into(),
    }
}

impl Desk {
    fn status(&self) -> Status {
        self.consensus.status().borrow().clone()
    }

    /// The whole group, as far as it can be seen from here.
    async fn describe(&self) -> Bytes {
        let (status, roster) = (self.status(), self.group.roster());
        let mut ids: BTreeSet<u64> = roster.members.keys().copied().collect();
        ids.extend(status.voters.iter().chain(&status.learners));
        let states = ids.iter().map(|id| self.state(*id, &status));
        let states: Vec<Option<MemberState>> = join_all(states).await;
        let committed = states.iter().flatten().map(|it| it.committed_index).max();
        let committed = committed.unwrap_or(status.committed_index);
        let members: Vec<Shown> = ids
            .iter()
            .zip(states)
            .map(|(id, state)| self.show(*id, state, &status, &roster))
            .collect();
        let leader = status.leader.filter(|_| status.stopped.is_none());
        let healthy = leader.is_some() && members.iter().all(|it| it.is_well(committed));
        let answer = json!({
            "cluster_id": self.group.cluster_id(),
            "cluster_name": self.name,
            "answered_by": self.group.identity().name,
            "leader": leader.and_then(|id| name_of(&roster, id)),
            "term": status.term,
            "committed_index": committed,
            "healthy": healthy,
            "members": members.iter().map(|it| it.json(committed)).collect::<Vec<_>>(),
        });
        answer.to_string().into()
    }

    async fn state(&self, id: u64, own: &Status) -> Option<MemberState> {
        if id == own.node_id {
            return Some(state_of(own));
        }
        let peer = self.group.way(id)?;
        let asked = peer.ask_within(DescribeMember {}, ANSWER_DEADLINE);
        asked.await.ok()
    }

    fn show(&self, id: u64, state: Option<MemberState>, status: &Status, roster: &Roster) -> Shown {
        let entry = roster.members.get(&id);
        let place = match id == status.node_id {
            true => Some(self.group.own().clone()),
            false => self.group.place(id),
        };
        let reported = state.as_ref().map(|it| it.role.clone());
        let role = if entry.is_none() {
            "leaving".to_owned()
        } else if status.learners.contains(&id) {
            "learner".to_owned()
        } else if !status.voters.contains(&id) {
            "joining".to_owned()
        } else {
            reported.unwrap_or_else(|| "unknown".to_owned())
        };
        let trouble = state.is_none().then(|| self.group.last_trouble(id));
        Shown {
            id,
            name: entry.map_or_else(|| format!("#{id}"), |it| it.name.clone()),
            address: entry.and_then(|it| it.addresses.first().cloned()),
            http: place.as_ref().map(|it| it.http.clone()),
            disk: place.map(|it| it.disk),
            role,
            voter: status.voters.contains(&id),
            state,
            trouble: trouble.flatten(),
        }
    }

    async fn add(self, name: String, address: String, replace: bool) -> Answered {
        if !is_member_name(&name) {
            return Err(invalid(format!("'{name}' is no name: {EXPECTED_NAME}")));
        }
        if !is_address(&address) {
            return Err(invalid(format!(
                "'{address}' is no address: expected host:port of the new master's bridge, such as 10.0.0.4:5060"
            )));
        }
        if replace {
            self.expect_majority_without(&name)?;
        }
        let command = Command::AddMember {
            name: name.clone(),
            address,
            replace,
        };
        self.commit(command).await?;
        let id = self.group.roster().id_of(&name);
        Ok(json!({"name": name, "id": id}).to_string().into())
    }

    async fn remove(self, name: String) -> Answered {
        let id = self.group.roster().id_of(&name);
        self.expect_majority_without(&name)?;
        let command = Command::RemoveMember { name: name.clone() };
        self.commit(command).await?;
        Ok(json!({"name": name, "id": id}).to_string().into())
    }

    async fn commit(&self, command: Command) -> Result<(), Refusal> {
        let proposed = self.consensus.propose(command.encode()).await;
        accepted(proposed).map_err(conflict)
    }

    /// Refuses to take away a member whose absence leaves no majority of those that remain: nothing could be written.
    fn expect_majority_without(&self, name: &str) -> Result<(), Refusal> {
        let (status, roster) = (self.status(), self.group.roster());
        let leaves = roster.id_of(name);
        let reachable = self.group.reachable();
        let stay = status.voters.iter().filter(|id| Some(**id) != leaves);
        let stay: Vec<u64> = stay.copied().collect();
        let is_here = |id: &&u64| **id == status.node_id || reachable.contains(id);
        let here = stay.iter().filter(is_here).count();
        if stay.is_empty() || here > stay.len() / 2 {
            return Ok(());
        }
        let missing = stay.iter().filter(|id| !is_here(id));
        let missing: Vec<String> = missing.filter_map(|id| name_of(&roster, *id)).collect();
        Err(conflict(format!(
            "without {name} the group has {} masters, of which {} cannot be reached: it could not write any more; \
             bring them back first",
            stay.len(),
            missing.join(", ")
        )))
    }

    async fn transfer(self, name: &str) -> Answered {
        let (status, roster) = (self.status(), self.group.roster());
        let answer = |term: u64| Ok(json!({"leader": name, "term": term}).to_string().into());
        let Some(id) = roster.id_of(name) else {
            return Err(invalid(format!(
                "{name} is no master of this group; `tepui cluster status` lists them"
            )));
        };
        if id == status.node_id {
            return answer(status.term);
        }
        if !status.voters.contains(&id) {
            return Err(conflict(format!(
                "{name} has no vote yet; wait until `tepui cluster status` shows it as a follower"
            )));
        }
        if !self.group.reachable().contains(&id) {
            return Err(conflict(format!(
                "{name} cannot be reached ({}); it must run to lead",
                self.group.last_trouble(id).unwrap_or_default()
            )));
        }
        let given = self.consensus.transfer_leader(id);
        given.map_err(|error| conflict(error.to_string()))?;
        let patience = TRANSFER_PATIENCE.max(4 * self.election_timeout);
        let mut watched = self.consensus.status();
        let done = watched.wait_for(|it| it.term > status.term && it.leader.is_some());
        let next = match timeout(patience, done).await {
            Ok(Ok(next)) => next.clone(),
            _ => {
                return Err(conflict(format!(
                    "{name} did not begin to lead within {} s, and {} still does: {name} may lag or lose messages; \
                     look at `tepui cluster status` and try again",
                    patience.as_secs(),
                    self.group.identity().name
                )));
            }
        };
        match next.leader {
            Some(leader) if leader == id => answer(next.term),
            other => Err(conflict(format!(
                "another master, {}, was elected meanwhile; try again",
                other
                    .and_then(|id| name_of(&roster, id))
                    .unwrap_or_default()
            ))),
        }
    }

    /// Everything that was acknowledged before it was asked for.
    async fn backup(self) -> Answered {
        let index = self.consensus.read().await.map_err(|error| Refusal {
            status: 503,
            text: error.to_string(),
        })?;
        let term = self.status().term;
        let made = tokio::task::spawn_blocking(move || {
            let now = tepui_kit::Clock::system().unix_nanos() as i64;
            let registry = self.registry.copy();
            let backup = Backup::of(&registry, index, term, now, env!("CARGO_PKG_VERSION"));
            Bytes::from(backup.encode())
        });
        made.await.map_err(|error| Refusal {
            status: 500,
            text: format!("the backup could not be made: {error}"),
        })
    }
}

fn name_of(roster: &Roster, id: u64) -> Option<String> {
    roster.members.get(&id).map(|it| it.name.clone())
}

/// One member, as it is shown.
struct Shown {
    id: u64,
    name: String,
    address: Option<String>,
    http: Option<String>,
    disk: Option<String>,
    role: String,
    voter: bool,
    state: Option<MemberState>,
    trouble: Option<String>,
}

impl Shown {
    fn lag(&self, committed: u64) -> Option<u64> {
        let state = self.state.as_ref()?;
        Some(committed.saturating_sub(state.applied_index))
    }

    fn is_well(&self, committed: u64) -> bool {
        let part = matches!(self.role.as_str(), "leader" | "follower");
        part && self.lag(committed).is_some_and(|lag| lag <= MUCH_LAG)
    }

    fn json(&self, committed: u64) -> serde_json::Value {
        json!({
            "id": self.id,
            "name": self.name,
            "address": self.address,
            "http": self.http,
            "role": self.role,
            "voter": self.voter,
            "reachable": self.state.is_some(),
            "term": self.state.as_ref().map(|it| it.term),
            "applied_index": self.state.as_ref().map(|it| it.applied_index),
            "lag": self.lag(committed),
            "disk": self.disk,
            "trouble": self.trouble,
        })
    }
}
