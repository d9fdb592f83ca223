//! Sums kept at every change: tasks by state, resources by role, the cluster's total and use.

use std::collections::BTreeMap;

use tepui_protocol::{
    resources::{Entry, Quantity, Resources, Value},
    roles,
    v1::TaskState,
};

use super::OperationCounts;

/// One more than the largest number of a task state.
const STATES: usize = TaskState::TaskUnknown as usize + 1;

/// How many tasks are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskCounts([u64; STATES]);

impl TaskCounts {
    pub fn of(&self, state: TaskState) -> u64 {
        self.0[state as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    pub(super) fn add(&mut self, state: TaskState) {
        self.0[state as usize] += 1;
    }

    pub(super) fn remove(&mut self, state: TaskState) {
        let count = &mut self.0[state as usize];
        *count = count
            .checked_sub(1)
            .expect("a task is counted before it is taken off the count");
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine
                .checked_sub(theirs)
                .expect("a part is never larger than the whole");
        }
    }
}

/// How much there is of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Of ranges and sets: how many members.
    pub quantity: Quantity,
    pub is_scalar: bool,
}

/// Amounts by resource name, in alphabetical order; none is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts(BTreeMap<String, Amount>);

impl Amounts {
    pub fn iter(&self) -> impl Iterator<Item = (&str, Amount)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.adjust(name, amount);
        }
    }

    fn adjust(&mut self, name: &str, by: Amount) {
        let Some(amount) = self.0.get_mut(name) else {
            if !by.quantity.is_zero() {
                self.0.insert(name.to_owned(), by);
            }
            return;
        };
        amount.quantity += by.quantity;
        if amount.quantity.is_zero() {
            self.0.remove(name);
        }
    }
}

/// What a role holds, itself only: its subroles have their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleTotals {
    pub allocated: Amounts,
    pub offered: Amounts,
    pub reserved: Amounts,
    /// What counts against its quota beside the reservations.
    pub unreserved_allocated: Amounts,
}

impl RoleTotals {
    pub fn add(&mut self, other: &Self) {
        self.allocated.add(&other.allocated);
        self.offered.add(&other.offered);
        self.reserved.add(&other.reserved);
        self.unreserved_allocated.add(&other.unreserved_allocated);
    }

    fn is_empty(&self) -> bool {
        self.allocated.is_empty() && self.offered.is_empty() && self.reserved.is_empty()
    }
}

/// Scalars in the order cpus, gpus, mem, disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub firm: [Quantity; 4],
    pub revocable: [Quantity; 4],
}

impl Sums {
    pub const NAMES: [&'static str; 4] = ["cpus", "gpus", "mem", "disk"];

    fn adjust(&mut self, entry: &Entry, sign: i64) {
        let Some(amount) = entry.scalar() else {
            return;
        };
        if let Some(at) = Self::NAMES.iter().position(|name| **entry.name() == **name) {
            let sums = if entry.is_revocable() {
                &mut self.revocable
            } else {
                &mut self.firm
            };
            sums[at] += Quantity(amount.0 * sign);
        }
    }
}

/// The sums over all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub total: Sums,
    pub used: Sums,
    /// Roles that hold something.
    pub roles: BTreeMap<String, RoleTotals>,
    /// Tasks of registered frameworks: live, unreachable and completed ones that are remembered.
    pub tasks: TaskCounts,
    pub offers: usize,
}

/// Whether something is put on a sum or taken off.
#[derive(Clone, Copy)]
pub(super) enum Put {
    On = 1,
    Off = -1,
}

impl Totals {
    pub(super) fn total(&mut self, resources: &Resources, put: Put) {
        for entry in resources {
            self.total.adjust(entry, put as i64);
            if let Some(role) = entry.reservation_role() {
                self.role(role, |totals| {
                    totals.reserved.adjust(entry.name(), amount(entry, put));
                });
            }
        }
    }

    pub(super) fn used(&mut self, resources: &Resources, put: Put) {
        for entry in resources {
            self.used.adjust(entry, put as i64);
            self.role(entry.allocation_role().unwrap_or(roles::ANY), |totals| {
                totals.allocated.adjust(entry.name(), amount(entry, put));
                if !entry.is_reserved() && !entry.is_revocable() {
                    let unreserved = &mut totals.unreserved_allocated;
                    unreserved.adjust(entry.name(), amount(entry, put));
                }
            });
        }
    }

    pub(super) fn offered(&mut self, resources: &Resources, put: Put) {
        for entry in resources {
            self.role(entry.allocation_role().unwrap_or(roles::ANY), |totals| {
                totals.offered.adjust(entry.name(), amount(entry, put));
            });
        }
    }

    fn role(&mut self, role: &str, change: impl FnOnce(&mut RoleTotals)) {
        if let Some(totals) = self.roles.get_mut(role) {
            change(totals);
            if totals.is_empty() {
                self.roles.remove(role);
            }
            return;
        }
        let mut totals = RoleTotals::default();
        change(&mut totals);
        if !totals.is_empty() {
            self.roles.insert(role.to_owned(), totals);
        }
    }
}

fn amount(entry: &Entry, put: Put) -> Amount {
    let members = |count: u64| Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX));
    let (quantity, is_scalar) = match entry.value() {
        Value::Scalar(quantity) => (*quantity, true),
        Value::Ranges(ranges) => (members(ranges.count()), false),
        Value::Set(items) => (members(items.len() as u64), false),
    };
    Amount {
        quantity: Quantity(quantity.0 * put as i64),
        is_scalar,
    }
}

/// What happened since this master leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tasks that reached each terminal state.
    pub ended: TaskCounts,
    pub agent_registrations: u64,
    pub agent_reregistrations: u64,
    pub agents_unreachable: u64,
    pub agents_removed: u64,
    pub operations: OperationCounts,
}
