//! Who runs the masters' machines: asks for a larger or smaller group, puts a new master in the place of a lost one,
//! and sets up and takes away machines accordingly. What the group makes of it is the real registry and steward.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tepui_kit::Random;
use tepui_registry::{Command, Registry};
use tokio::time::{Instant, sleep, timeout};

use crate::member::{Roster, Running};

/// Between two looks at the group.
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// So many masters.
    Size(usize),
    /// Another one in this one's place.
    Replace(u64),
}

/// A master's id, name and address at the beginning.
pub fn founder(id: u64) -> (u64, String, String) {
    (id, format!("m{id}"), format!("m{id}:1"))
}

/// Cheap to clone; one a run.
#[derive(Clone, Default)]
pub struct Wishes(Arc<Mutex<VecDeque<Wish>>>);

impl Wishes {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Wish>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wanted after all that was wanted before.
    pub fn add(&self, wish: Wish) {
        let mut wishes = self.lock();
        if !wishes.contains(&wish) {
            wishes.push_back(wish);
        }
    }

    /// How many are not fulfilled.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Fulfils one after the other, asking again and again.
    pub async fn serve(self, roster: Roster, mut random: Random) {
        loop {
            sleep(PAUSE).await;
            let Some(wish) = self.lock().front().copied() else {
                continue;
            };
            let Some(leader) = leader(&roster) else {
                continue;
            };
            let next = leader
                .reader
                .with(|registry| next_command(registry, wish, &mut random));
            match next {
                // Whatever became of it shows in the registry.
                Some(command) => {
                    let proposed = leader.consensus.propose(command.encode());
                    let _ = timeout(PATIENCE, proposed).await;
                }
                None => drop(self.lock().pop_front()),
            }
        }
    }
}

/// The member that leads and is confirmed.
pub fn leader(roster: &Roster) -> Option<Running> {
    let now = Instant::now().into_std();
    let mut running = roster.running().into_values();
    running.find(|it| it.consensus.status().borrow().may_lead(now))
}

/// What is still to be asked for.
fn next_command(registry: &Registry, wish: Wish, random: &mut Random) -> Option<Command> {
    let members = &registry.members;
    let next = registry.last_member_id + 1;
    match wish {
        Wish::Size(wanted) if members.len() < wanted => {
            let (_, name, address) = founder(next);
            let replace = false;
            Some(Command::AddMember {
                name,
                address,
                replace,
            })
        }
        Wish::Size(wanted) if members.len() > wanted => {
            let at = random.below(members.len() as u64) as usize;
            let name = members.values().nth(at).map(|it| it.name.clone());
            name.map(|name| Command::RemoveMember { name })
        }
        Wish::Size(_) => None,
        Wish::Replace(id) => members.get(&id).map(|old| Command::AddMember {
            name: old.name.clone(),
            address: format!("{}:{next}", old.name),
            replace: true,
        }),
    }
}

#[cfg(test)]
#[path = "operator_tests.rs"]
mod tests;
