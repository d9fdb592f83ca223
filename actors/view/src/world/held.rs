//! What a framework holds of many agents, and its sum.

use std::collections::BTreeMap;

use tepui_protocol::resources::{Entry, Resources};

/// Resources by agent. The same port of two agents is one port of the sum, so only scalars can be
/// taken off a sum: theirs is kept, that of ranges and sets is taken when it is asked for.
#[derive(Debug, Default)]
pub struct Held {
    by_agent: BTreeMap<String, Resources>,
    scalars: Resources,
}

impl Held {
    /// Of all agents.
    pub fn sum(&self) -> Resources {
        let mut sum = self.scalars.clone();
        let entries = self.by_agent.values().flatten();
        for entry in entries.filter(|entry| !is_scalar(entry)) {
            sum.add_entry(entry);
        }
        sum
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_agent.values().flatten()
    }

    pub(super) fn by_agent(&self) -> impl Iterator<Item = (&str, &Resources)> {
        let held = self.by_agent.iter();
        held.map(|(agent, resources)| (agent.as_str(), resources))
    }

    pub(super) fn add(&mut self, agent: &str, resources: &Resources) {
        for entry in resources.iter().filter(|entry| is_scalar(entry)) {
            self.scalars.add_entry(entry);
        }
        match self.by_agent.get_mut(agent) {
            Some(held) => *held += resources,
            None if resources.is_empty() => {}
            None => {
                self.by_agent.insert(agent.to_owned(), resources.clone());
            }
        }
    }

    pub(super) fn subtract(&mut self, agent: &str, resources: &Resources) {
        let Some(held) = self.by_agent.get_mut(agent) else {
            return;
        };
        *held -= resources;
        if held.is_empty() {
            self.by_agent.remove(agent);
        }
        for entry in resources.iter().filter(|entry| is_scalar(entry)) {
            self.scalars.subtract_entry(entry);
        }
    }
}

fn is_scalar(entry: &Entry) -> bool {
    entry.scalar().is_some()
}
