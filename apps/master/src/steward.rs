//! Brings Raft's voters to the members that the registry wants, one step at a time, while this master leads. So a
//! change that an operator asked for goes on under the next leader.

use std::{sync::Arc, time::Duration};

use tepui_consensus::{Consensus, MembershipChange, Status};
use tepui_registry::{Command, Registry};
use tokio::time::{Instant, sleep};

use crate::{ground::Ground, join::accepted};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A learner that lags no more than so many entries gets a vote: it catches up with them in no time.
const NEARLY_THERE: u64 = 256;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Propose(Command),
    Change(MembershipChange),
    /// Lets that member lead, since this one is to leave.
    GiveAway(u64),
}

/// What a step is decided by.
pub struct Sight<'a> {
    pub status: &'a Status,
    pub registry: &'a Registry,
    /// The founders with their addresses: id, name and address.
    pub founders: Vec<(u64, String, String)>,
    /// Where this master's bridge is reached.
    pub own_address: String,
    /// Of this master.
    pub own_disk: &'a str,
    /// The members that have a connection to this one.
    pub reachable: Vec<u64>,
}

/// Runs until aborted.
pub(crate) async fn serve(ground: Arc<Ground>) {
    take_steps(&ground.consensus, |status| look(&ground, status)).await;
}

/// Takes one step after the other while this member may lead; `look` says which is next. Runs until aborted.
pub async fn take_steps(consensus: &Consensus, look: impl Fn(&Status) -> Option<Step>) {
    let mut told = String::new();
    loop {
        sleep(LOOK_INTERVAL).await;
        let status = consensus.status().borrow().clone();
        if !status.may_lead(Instant::now().into_std()) {
            continue;
        }
        let Some(step) = look(&status) else {
            continue;
        };
        match take(consensus, step.clone()).await {
            Ok(()) => tracing::info!(?step, "the group has changed by a step"),
            Err(text) if text != told => {
                tracing::warn!(?step, "a step of changing the group failed: {text}");
                told = text;
            }
            Err(_) => {}
        }
    }
}

fn look(ground: &Ground, status: &Status) -> Option<Step> {
    let group = &ground.group;
    let founders = group.identity().founders.iter().map(|(id, name)| {
        let address = match *id == status.node_id {
            true => group.bridge(),
            false => ground.settings.peers.get(name).cloned().unwrap_or_default(),
        };
        (*id, name.clone(), address)
    });
    let (founders, own_address) = (founders.collect(), group.bridge());
    let (own_disk, reachable) = (&group.identity().disk, group.reachable());
    ground.reader.with(|registry| {
        next_step(&Sight {
            status,
            registry,
            founders,
            own_address,
            own_disk,
            reachable,
        })
    })
}

async fn take(consensus: &Consensus, step: Step) -> Result<(), String> {
    match step {
        Step::Propose(command) => accepted(consensus.propose(command.encode()).await),
        Step::Change(change) => {
            let changed = consensus.change_membership(change).await;
            changed.map(drop).map_err(|error| error.to_string())
        }
        Step::GiveAway(to) => {
            let given = consensus.transfer_leader(to);
            given.map_err(|error| error.to_string())
        }
    }
}

/// What brings the group nearer to what is wanted, if anything does.
pub fn next_step(sight: &Sight<'_>) -> Option<Step> {
    let Sight {
        status, registry, ..
    } = sight;
    let own = status.node_id;
    if registry.members.is_empty() {
        let members = sight.founders.clone();
        return Some(Step::Propose(Command::FoundMembers { members }));
    }
    let moved = |address: &String| *address != sight.own_address && !sight.own_address.is_empty();
    let known = registry.members.get(&own);
    if known.is_some_and(|it| moved(&it.address)) {
        let address = sight.own_address.clone();
        return Some(Step::Propose(Command::MoveMember { id: own, address }));
    }
    // A founder took its disk without asking. Others forget with which one it came, or were not there.
    if known.is_some_and(|it| it.disk.is_none()) {
        let disk = sight.own_disk.to_owned();
        return Some(Step::Propose(Command::ClaimMember { id: own, disk }));
    }
    let is_wanted = |id: &u64| registry.members.contains_key(id);
    // Those without a vote first: they cost no majority.
    let present = || status.learners.iter().chain(&status.voters);
    let mut leaving = present().filter(|id| **id != own && !is_wanted(id));
    if let Some(id) = leaving.find(|id| bears_leaving(sight, **id) && !holds_a_place(sight, **id)) {
        return Some(Step::Change(MembershipChange::Remove(*id)));
    }
    if known.is_none() {
        let mut heirs = status.voters.iter().copied();
        let heir = heirs.find(|id| is_wanted(id) && is_up_to_date(sight, *id));
        // Without one, who comes is let in first.
        if let Some(heir) = heir {
            return Some(Step::GiveAway(heir));
        }
    }
    let mut wanted = registry.members.keys().copied();
    let is_present = |id: u64| present().any(|it| *it == id);
    if let Some(id) = wanted.find(|id| !is_present(*id) && sight.reachable.contains(id)) {
        return Some(Step::Change(MembershipChange::AddLearner(id)));
    }
    let mut learners = status.learners.iter().copied();
    let ready = learners.find(|id| is_wanted(id) && is_up_to_date(sight, *id));
    ready.map(|id| Step::Change(MembershipChange::Promote(id)))
}

/// Whether those who keep a vote without `id` have a majority that is there: the group could decide nothing otherwise,
/// nor be changed any more. If not, who comes goes before who leaves.
fn bears_leaving(sight: &Sight<'_>, id: u64) -> bool {
    let voters = sight.status.voters.iter().copied();
    let rest: Vec<u64> = voters.filter(|it| *it != id).collect();
    let is_there = |it: &&u64| **it == sight.status.node_id || is_up_to_date(sight, **it);
    2 * rest.iter().filter(is_there).count() > rest.len()
}

/// Whether `id` runs and votes in the place of one that is to come: without it a group of three could not lose any more
/// until then. What it has of the log does not count: a new leader has heard of nobody yet.
fn holds_a_place(sight: &Sight<'_>, id: u64) -> bool {
    let voters = &sight.status.voters;
    voters.contains(&id)
        && voters.len() <= sight.registry.members.len()
        && sight.reachable.contains(&id)
}

fn is_up_to_date(sight: &Sight<'_>, id: u64) -> bool {
    let mut acknowledged = sight.status.acknowledged.iter();
    let acknowledged = acknowledged.find(|(it, _)| *it == id);
    let near = acknowledged
        .is_some_and(|(_, index)| *index > 0 && index + NEARLY_THERE >= sight.status.last_index);
    near && sight.reachable.contains(&id)
}

#[cfg(test)]
#[path = "steward_tests.rs"]
mod tests;
