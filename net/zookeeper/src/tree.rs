//! The tree that is served: the path down to the masters, and a node for each of them.
//!
//! Owns names, numbers and statistics. Nodes are named as Mesos' contender names them, `json.info_` and ten digits, and the
//! lowest number is the leader's (Mesos: `src/master/detector/zookeeper.cpp`, `src/zookeeper/group.cpp`). A number is never
//! used again, and a node's data never changes: detectors remember what they read under a name.
//!
//! States (`zxid`) are `term << 32 | count << 16 | origin`, and numbers begin at 100 times the term. So both go on growing when a
//! client moves to the endpoint of a later leader, though endpoints share nothing but the term. Within a term the states of two
//! endpoints do not compare; `origin` tells whose a state is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    members::{MAX_FOLLOWERS, Master, Members},
    reply::{EventKind, Stat},
};

const NAME: &str = "json.info_";
const NUMBERS_PER_TERM: u64 = 100;
const ORIGIN_BITS: u32 = 16;

/// What became of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: EventKind,
    pub(crate) path: String,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    data: Bytes,
    children: BTreeSet<String>,
    stat: Stat,
}

impl Node {
    pub(crate) fn data(&self) -> &Bytes {
        &self.data
    }

    pub(crate) fn children(&self) -> Vec<String> {
        self.children.iter().cloned().collect()
    }

    pub(crate) fn stat(&self) -> Stat {
        Stat {
            data_length: i32::try_from(self.data.len()).unwrap_or(i32::MAX),
            num_children: i32::try_from(self.children.len()).unwrap_or(i32::MAX),
            ..self.stat
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    /// The masters' parent.
    base: String,
    zxid: i64,
    origin: u16,
    term: u64,
    next_number: u64,
    /// The leader's node first.
    shown: Vec<(String, Master)>,
}

impl Tree {
    /// `base` is `/` or a path without a slash at its end; `origin` tells this tree's states from those of others.
    pub(crate) fn new(base: &str, origin: u16, now_ms: i64) -> Tree {
        let mut tree = Tree {
            nodes: BTreeMap::from([("/".to_owned(), Node::default())]),
            base: base.to_owned(),
            zxid: i64::from(origin),
            origin,
            term: 0,
            next_number: 0,
            shown: Vec::new(),
        };
        let ends = base.match_indices('/').map(|(at, _)| at).skip(1);
        let ends: Vec<usize> = ends.chain([base.len()]).collect();
        for end in ends {
            if end > 1 {
                tree.create(&base[..end], Bytes::new(), 0, now_ms);
            }
        }
        tree
    }

    pub(crate) fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Whether a state is one of this tree's, so that it compares with the others.
    pub(crate) fn has_been_at(&self, zxid: i64) -> bool {
        zxid & ((1 << ORIGIN_BITS) - 1) == i64::from(self.origin)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// An empty path is the root, as in ZooKeeper.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(if path.is_empty() { "/" } else { path })
    }

    /// Makes the tree show `members`; returns what changed, in order.
    pub(crate) fn show(&mut self, members: &Members, now_ms: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let wanted: Vec<&Master> = match &members.leader {
            None => Vec::new(),
            Some(leader) => {
                let followers = members.followers.iter().filter(|each| *each != leader);
                [leader]
                    .into_iter()
                    .chain(followers.take(MAX_FOLLOWERS))
                    .collect()
            }
        };
        let leads_on = members.term == self.term
            && self.shown.first().map(|first| &first.1) == wanted.first().copied();
        self.term = members.term;
        // A new leader has the lowest number only if everybody's is new.
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.shown)
            .into_iter()
            .partition(|(_, master)| leads_on && wanted.contains(&master));
        for (path, _) in gone {
            self.delete(&path, &mut changes);
        }
        self.shown = kept;
        for master in wanted {
            if !self.shown.iter().any(|(_, shown)| shown == master) {
                let path = self.next_path();
                let owner = self.zxid | 1 << 56;
                self.create(&path, master.info().clone(), owner, now_ms);
                self.shown.push((path.clone(), master.clone()));
                let kind = EventKind::Created;
                changes.push(Change { kind, path });
            }
        }
        changes
    }

    fn next_path(&mut self) -> String {
        let first = self.term.saturating_mul(NUMBERS_PER_TERM);
        let number = self.next_number.max(first);
        self.next_number = number.saturating_add(1);
        let separator = if self.base == "/" { "" } else { "/" };
        format!("{}{separator}{NAME}{number:010}", self.base)
    }

    fn next_zxid(&mut self) -> i64 {
        let epoch = i64::from(i32::try_from(self.term).unwrap_or(i32::MAX));
        let count = (self.zxid >> ORIGIN_BITS) + 1;
        let first = (epoch << (32 - ORIGIN_BITS)) + 1;
        self.zxid = count.max(first) << ORIGIN_BITS | i64::from(self.origin);
        self.zxid
    }

    fn create(&mut self, path: &str, data: Bytes, owner: i64, now_ms: i64) {
        let zxid = self.next_zxid();
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: now_ms,
            mtime_ms: now_ms,
            ephemeral_owner: owner,
            ..Stat::default()
        };
        let node = Node {
            data,
            stat,
            children: BTreeSet::new(),
        };
        self.nodes.insert(path.to_owned(), node);
        self.touch_parent(path, zxid, |children, name| {
            children.insert(name.to_owned());
        });
    }

    fn delete(&mut self, path: &str, changes: &mut Vec<Change>) {
        let zxid = self.next_zxid();
        self.nodes.remove(path);
        self.touch_parent(path, zxid, |children, name| {
            children.remove(name);
        });
        changes.push(Change {
            kind: EventKind::Deleted,
            path: path.to_owned(),
        });
    }

    fn touch_parent(
        &mut self,
        path: &str,
        zxid: i64,
        change: impl Fn(&mut BTreeSet<String>, &str),
    ) {
        let (_, name) = split(path);
        let parent = self.nodes.get_mut(parent(path));
        let parent =
            parent.expect("a node is created below one that exists, and leaves are deleted only");
        change(&mut parent.children, name);
        parent.stat.cversion = parent.stat.cversion.wrapping_add(1);
        parent.stat.pzxid = zxid;
    }

    /// The leader's node is the lowest of the masters' and each node is known to its parent.
    pub(crate) fn is_sound(&self) -> bool {
        let base = self.get(&self.base).map(Node::children).unwrap_or_default();
        let masters = base.iter().find(|name| name.starts_with(NAME));
        let leader = self.shown.first().map(|(path, _)| split(path).1);
        let known = self.nodes.keys().filter(|path| *path != "/").all(|path| {
            let parent = self.get(parent(path));
            parent.is_some_and(|parent| parent.children.contains(split(path).1))
        });
        known && masters.map(String::as_str) == leader
    }
}

/// A path's parent and its last name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a node's parent.
pub(crate) fn parent(path: &str) -> &str {
    match split(path).0 {
        "" => "/",
        parent => parent,
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
