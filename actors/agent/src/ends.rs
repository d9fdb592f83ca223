//! How containers ended, for whoever waits for one: those of executors, those of tasks within them, and those that
//! clients asked for. Owns how long an end is known; Mesos' rule: one within another for as long as the outermost lives.
//! Mesos finds the end of the outermost by a look every second, so whoever saw the output end has time to ask how; so they
//! have here.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tepui_messages::agent::ContainerEnd;

use crate::{
    core::{NodeCore, Turn},
    effect::{Effect, Now},
    guests::GuestState,
};

/// An executor may run tasks for years: the ends of so many are known, the last ones.
pub const MAX_ENDS: usize = 10_000;
/// How much longer those of containers within another one are known when that has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Ends of what is no guest any more, or never was.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Of tasks within an executor that lives.
    kept: BTreeMap<String, ContainerEnd>,
    /// The ids of these, oldest first.
    order: VecDeque<String>,
    /// Told to those who wait now, and to nobody else.
    passing: BTreeMap<String, ContainerEnd>,
    /// Known until then, the earliest first.
    lingering: VecDeque<(Duration, String, ContainerEnd)>,
}

impl Ends {
    pub(crate) fn keep(&mut self, container_id: &str, end: ContainerEnd) {
        self.kept.insert(container_id.to_owned(), end);
        self.order.push_back(container_id.to_owned());
        while self.order.len() > MAX_ENDS {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.kept.remove(&oldest));
        }
    }

    pub(crate) fn pass(&mut self, now: Duration, container_id: &str, end: ContainerEnd) {
        match container_id.contains('.') {
            true => self.linger(now, container_id.to_owned(), end),
            false => drop(self.passing.insert(container_id.to_owned(), end)),
        }
    }

    fn linger(&mut self, now: Duration, container_id: String, end: ContainerEnd) {
        self.lingering.push_back((now + LINGER, container_id, end));
        if self.lingering.len() > MAX_ENDS {
            self.lingering.pop_front();
        }
    }

    /// The outermost container has ended.
    pub(crate) fn pass_within(&mut self, now: Duration, outermost: &str) {
        let first = format!("{outermost}.");
        let within = self.kept.range(first.clone()..);
        let within = within.take_while(|(id, _)| id.starts_with(&first));
        let ids: Vec<String> = within.map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        for id in ids {
            if let Some(end) = self.kept.remove(&id) {
                self.linger(now, id, end);
            }
        }
        self.order.retain(|id| self.kept.contains_key(id));
    }

    /// Those who waited have been told.
    pub(crate) fn forget_passing(&mut self, now: Duration) {
        self.passing.clear();
        let over = self.lingering.partition_point(|(until, ..)| *until <= now);
        self.lingering.drain(..over);
    }

    fn forget(&mut self, container_id: &str) {
        if self.kept.remove(container_id).is_some() {
            self.order.retain(|id| id != container_id);
        }
    }

    fn get(&self, container_id: &str) -> Option<&ContainerEnd> {
        let kept = self.kept.get(container_id);
        let known = kept.or_else(|| self.passing.get(container_id));
        known.or_else(|| {
            let mut lingering = self.lingering.iter();
            let found = lingering.find(|(_, id, _)| id == container_id);
            found.map(|(.., end)| end)
        })
    }
}

/// What becomes of a request to remove a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It has ended, or nothing is known of it that would speak against it.
    Possible,
    Unknown,
    UnknownRoot,
    Running,
}

impl NodeCore {
    /// Whoever waited has been answered; the next input means the same.
    pub fn ends_are_told(&mut self, now: Now) {
        self.ends.forget_passing(now.monotonic);
    }

    /// What is known of a container, whoever launched it.
    pub fn container_state(&self, container_id: &str) -> GuestState {
        // One whose surroundings have ended is on its way to its own end.
        if self.lives(container_id) {
            return GuestState::Running;
        }
        match self.guest_state(container_id) {
            GuestState::Unknown => {
                let end = self.ends.get(container_id);
                end.map_or(GuestState::Unknown, |end| GuestState::Ended(end.clone()))
            }
            known => known,
        }
    }

    fn lives(&self, container_id: &str) -> bool {
        let guest = self.guests.get(container_id);
        guest.is_some_and(|it| it.end.is_none()) || self.runs(container_id)
    }

    /// Whether a container can be removed. One within another that nobody knows is removed already, as in Mesos.
    pub fn removal(&self, container_id: &str) -> Removal {
        let root = container_id.split_once('.').map(|(root, _)| root);
        let is_ended = matches!(self.guest_state(container_id), GuestState::Ended(_));
        match root {
            _ if self.lives(container_id) => Removal::Running,
            _ if is_ended => Removal::Possible,
            None => Removal::Unknown,
            Some(root) if self.runs(root) => Removal::Possible,
            Some(_) => Removal::UnknownRoot,
        }
    }

    /// Removes what is left of one that is no guest: a task's that has ended, or an unknown one.
    pub(crate) fn remove_left(&mut self, turn: &mut Turn<'_>, container_id: &str) {
        self.ends.forget(container_id);
        let Some((outer_id, name)) = container_id.rsplit_once('.') else {
            return;
        };
        if let Some(outer) = self.outer(outer_id) {
            turn.out.push(Effect::RemoveSandbox {
                root: outer.sandbox,
                name: name.to_owned(),
            });
        }
    }
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
