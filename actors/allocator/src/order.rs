//! Siblings in fair order: a heap whose members know where in it they are.
//!
//! Owns the order among siblings, and labels that stand for their names. Never computes a share. One grant
//! moves one member; the rest of the order need not be known, so it is kept only as far as a heap is.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use crate::slots::{Column, place};

place!(
    /// A place in the tree of the sorter.
    NodeIx
);

/// The place of a node among its siblings: least share first, then fewest allocations, then name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// What the sorter makes of share and weight.
    pub(crate) key: u64,
    pub(crate) allocations: u64,
    /// The label of the name, see [`Names`].
    pub(crate) name: u64,
    pub(crate) node: NodeIx,
}

impl Rank {
    pub(crate) fn new(node: NodeIx, name: u64) -> Self {
        Self {
            key: 0,
            allocations: 0,
            name,
            node,
        }
    }

    /// Whether it comes first, without a jump for each part: which part decides cannot be foreseen. Siblings differ in
    /// their names, so that the node never decides.
    fn is_before(&self, other: &Self) -> bool {
        let rest = |rank: &Self| u128::from(rank.allocations) << 64 | u128::from(rank.name);
        (self.key < other.key) | ((self.key == other.key) & (rest(self) < rest(other)))
    }
}

/// Where in the heap of its parent each node is.
pub(crate) type Seats = Column<NodeIx, u32>;

/// So many members below each: few levels, and what is compared on one of them lies side by side.
const BRANCHES: usize = 4;

fn parent(seat: usize) -> usize {
    (seat - 1) / BRANCHES
}

/// Some siblings, ordered by rank.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    /// No member is before its [`parent`].
    heap: Vec<Rank>,
}

impl Order {
    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(crate) fn insert(&mut self, rank: Rank, seats: &mut Seats) {
        self.heap.push(rank);
        self.rise(self.heap.len() - 1, rank, seats);
    }

    /// Takes out a member.
    pub(crate) fn remove(&mut self, node: NodeIx, seats: &mut Seats) {
        let seat = *seats.at(node) as usize;
        let last = self.heap.pop().expect("the order holds the member");
        if seat < self.heap.len() {
            self.settle(seat, last, seats);
        }
    }

    /// Gives a member a new rank.
    pub(crate) fn update(&mut self, rank: Rank, seats: &mut Seats) {
        self.settle(*seats.at(rank.node) as usize, rank, seats);
    }

    /// The first answer that `ask` has, asked in order.
    pub(crate) fn find<T>(&self, mut ask: impl FnMut(NodeIx) -> Option<T>) -> Option<T> {
        let answer = ask(self.heap.first()?.node);
        if answer.is_some() {
            return answer;
        }
        // Members whose parents in the heap were asked: the next in order is one of them.
        let mut next = BinaryHeap::new();
        let mut asked = 0;
        loop {
            let first_child = BRANCHES * asked + 1;
            let children = self.heap.iter().enumerate().skip(first_child);
            next.extend(
                children
                    .take(BRANCHES)
                    .map(|(child, rank)| Reverse((*rank, child))),
            );
            let Reverse((rank, seat)) = next.pop()?;
            let answer = ask(rank.node);
            if answer.is_some() {
                return answer;
            }
            asked = seat;
        }
    }

    /// Whether the member is where it is said to be, with this rank, and not before its parent.
    pub(crate) fn holds(&self, rank: &Rank, seats: &Seats) -> bool {
        let seat = seats
            .get(rank.node)
            .map_or(usize::MAX, |seat| *seat as usize);
        self.heap.get(seat) == Some(rank)
            && (seat == 0 || self.heap[parent(seat)] < self.heap[seat])
    }

    /// The member, if there is but one.
    pub(crate) fn only(&self) -> Option<NodeIx> {
        match &self.heap[..] {
            [rank] => Some(rank.node),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Puts `rank` at an empty seat, or where it belongs from there.
    fn settle(&mut self, seat: usize, rank: Rank, seats: &mut Seats) {
        let rises = seat > 0 && rank.is_before(&self.heap[parent(seat)]);
        let seat = if rises { seat } else { self.sink(seat, seats) };
        self.rise(seat, rank, seats);
    }

    fn rise(&mut self, mut seat: usize, rank: Rank, seats: &mut Seats) {
        while seat > 0 && rank.is_before(&self.heap[parent(seat)]) {
            self.put(seat, self.heap[parent(seat)], seats);
            seat = parent(seat);
        }
        self.put(seat, rank, seats);
    }

    /// Moves up what is below an empty seat; the seat at the bottom that is empty then. Whoever was given something
    /// mostly belongs there or near it, so that nothing is compared with it on the way.
    fn sink(&mut self, mut seat: usize, seats: &mut Seats) -> usize {
        loop {
            let first_child = BRANCHES * seat + 1;
            let Some(children) = self.heap.get(first_child..).filter(|it| !it.is_empty()) else {
                return seat;
            };
            let child = first_child + first_of(&children[..children.len().min(BRANCHES)]);
            self.put(seat, self.heap[child], seats);
            seat = child;
        }
    }

    fn put(&mut self, seat: usize, rank: Rank, seats: &mut Seats) {
        self.heap[seat] = rank;
        *seats.at(rank.node) =
            u32::try_from(seat).expect("no more members than nodes, which have 32 bits");
    }
}

/// Where the one is that comes first.
fn first_of(ranks: &[Rank]) -> usize {
    if let [a, b, c, d] = ranks {
        let (left, right) = (usize::from(b.is_before(a)), 2 + usize::from(d.is_before(c)));
        return if ranks[right].is_before(&ranks[left]) {
            right
        } else {
            left
        };
    }
    let seats = 1..ranks.len();
    seats.fold(0, |first, seat| {
        if ranks[seat].is_before(&ranks[first]) {
            seat
        } else {
            first
        }
    })
}

/// The names of siblings under labels that order as they do, so that ranks need no strings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    labels: BTreeMap<(Arc<str>, NodeIx), u64>,
}

/// Between a name and one entered at either end; halving it fits 32 names between two neighbours.
const LABEL_STEP: u64 = 1 << 32;
const FIRST_LABEL: u64 = 1 << 63;

impl Names {
    pub(crate) fn count(&self) -> usize {
        self.labels.len()
    }

    /// Whose names they are, in the order of the names.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeIx> {
        self.labels.keys().map(|(_, node)| *node)
    }

    /// Enters a name; its label, or none if there is no room: then all must be labelled anew.
    pub(crate) fn insert(&mut self, name: Arc<str>, node: NodeIx) -> Option<u64> {
        let key = (name, node);
        let before = self
            .labels
            .range(..&key)
            .next_back()
            .map(|(_, label)| *label);
        let after = self.labels.range(&key..).next().map(|(_, label)| *label);
        let label = match (before, after) {
            (None, None) => Some(FIRST_LABEL),
            (Some(before), None) => before.checked_add(LABEL_STEP),
            (None, Some(after)) => after.checked_sub(LABEL_STEP),
            (Some(before), Some(after)) => {
                let label = before + (after - before) / 2;
                (label > before).then_some(label)
            }
        };
        self.labels.insert(key, label.unwrap_or_default());
        label
    }

    pub(crate) fn remove(&mut self, name: Arc<str>, node: NodeIx) {
        self.labels.remove(&(name, node));
    }

    /// Labels all anew, with room between them; the order stays.
    pub(crate) fn relabel(&mut self) -> impl Iterator<Item = (NodeIx, u64)> {
        let labels = (1..).map(|number: u64| number * LABEL_STEP);
        let names = self.labels.iter_mut().zip(labels);
        names.map(|(((_, node), label), new)| {
            *label = new;
            (*node, new)
        })
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
