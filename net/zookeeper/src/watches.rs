//! Who wants to be told of which change. One-shot, as ZooKeeper's are (`WatchManager`, `DataTree`): a watch that fired is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    core::ConnectionId,
    reply::EventKind,
    tree::{Change, parent},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Left by exists and getData.
    Data,
    /// Left by getChildren.
    Children,
}

/// An event for one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) connection: ConnectionId,
    pub(crate) kind: EventKind,
    pub(crate) path: String,
}

type Place = (Table, String);

#[derive(Debug)]
pub(crate) struct Watches {
    /// Most watches of one connection.
    limit: usize,
    watchers: BTreeMap<Place, BTreeSet<ConnectionId>>,
    places: BTreeMap<ConnectionId, BTreeSet<Place>>,
}

impl Watches {
    pub(crate) fn new(limit: usize) -> Watches {
        Watches {
            limit,
            watchers: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// False where the connection has as many as it may have.
    #[must_use]
    pub(crate) fn add(&mut self, connection: ConnectionId, table: Table, path: &str) -> bool {
        let place = (table, path.to_owned());
        let places = self.places.entry(connection).or_default();
        if places.len() >= self.limit && !places.contains(&place) {
            return false;
        }
        places.insert(place.clone());
        self.watchers.entry(place).or_default().insert(connection);
        true
    }

    pub(crate) fn has(&self, connection: ConnectionId, table: Table, path: &str) -> bool {
        let places = self.places.get(&connection);
        places.is_some_and(|places| places.contains(&(table, path.to_owned())))
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId, table: Table, path: &str) {
        let place = (table, path.to_owned());
        if let Some(places) = self.places.get_mut(&connection) {
            places.remove(&place);
            if places.is_empty() {
                self.places.remove(&connection);
            }
        }
        self.forget_watcher(connection, &place);
    }

    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        for place in self.places.remove(&connection).unwrap_or_default() {
            self.forget_watcher(connection, &place);
        }
    }

    fn forget_watcher(&mut self, connection: ConnectionId, place: &Place) {
        if let Some(watchers) = self.watchers.get_mut(place) {
            watchers.remove(&connection);
            if watchers.is_empty() {
                self.watchers.remove(place);
            }
        }
    }

    /// Takes the watches that `change` fires. Whoever watched both data and children of a deleted node is told once.
    pub(crate) fn fire(&mut self, change: &Change) -> Vec<Fired> {
        let Change { kind, path } = change;
        let mut fired = Vec::new();
        let mut told = self.take(Table::Data, path);
        if *kind == EventKind::Deleted {
            told.extend(self.take(Table::Children, path));
        }
        push(&mut fired, told, *kind, path);
        if matches!(kind, EventKind::Created | EventKind::Deleted) {
            let parent = parent(path);
            let told = self.take(Table::Children, parent);
            push(&mut fired, told, EventKind::ChildrenChanged, parent);
        }
        fired
    }

    fn take(&mut self, table: Table, path: &str) -> BTreeSet<ConnectionId> {
        let place = (table, path.to_owned());
        let watchers = self.watchers.get(&place).cloned().unwrap_or_default();
        for connection in &watchers {
            self.remove(*connection, table, path);
        }
        watchers
    }

    /// Both directions say the same, nobody has more than the limit, and whoever watches is in `connections`.
    pub(crate) fn is_sound(&self, is_open: impl Fn(&ConnectionId) -> bool) -> bool {
        let there: BTreeSet<_> = self
            .watchers
            .iter()
            .flat_map(|(place, all)| all.iter().map(move |each| (*each, place)))
            .collect();
        let back: BTreeSet<_> = self
            .places
            .iter()
            .flat_map(|(each, all)| all.iter().map(move |place| (*each, place)))
            .collect();
        there == back
            && self
                .places
                .values()
                .all(|places| places.len() <= self.limit)
            && self.places.keys().all(is_open)
    }
}

fn push(fired: &mut Vec<Fired>, told: BTreeSet<ConnectionId>, kind: EventKind, path: &str) {
    fired.extend(told.into_iter().map(|connection| Fired {
        connection,
        kind,
        path: path.to_owned(),
    }));
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
