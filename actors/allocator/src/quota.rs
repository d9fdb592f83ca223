//! What roles are guaranteed and limited to, what they consume of it, and what is kept back for guarantees.
//!
//! Owns the tree of roles that have quota, and its books. Never decides who is next. A role consumes what
//! is reserved for it or below, given away or not, and what unreserved, non-revocable scalars clients in or
//! below it hold. Unlike Mesos, where only roles at the top have quota, any role may; guarantees below a
//! role are part of its own. Source: Mesos `hierarchical.cpp`, `__generateOffers`.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;
use tepui_protocol::{resources::Quantity, roles, v1::quota::QuotaConfig};

use crate::{
    amounts::Amounts,
    kinds::{Kinds, NameIx},
    least::Minimums,
    places::PlaceSet,
    slots::{Place, place},
    world::{ClientIx, Note},
};

place!(
    /// A role with quota in [`Quotas`]; it names another one after the configuration changed.
    QuotaIx
);

/// A role that has quota.
#[derive(Debug)]
pub struct QuotaRole {
    pub role: Arc<str>,
    /// The nearest role above it that has quota.
    pub parent: Option<QuotaIx>,
    pub guarantees: Amounts,
    /// Names that are not here are unlimited.
    pub limits: SmallVec<[(NameIx, i64); 4]>,
    /// All clients in and below it.
    pub clients: PlaceSet<ClientIx>,
}

/// What is booked for a role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    pub consumed: Amounts,
    /// What must stay free so that the guarantees of the role and of those below can be met.
    pub required: Amounts,
    /// Of that, what the roles below require.
    pub below: Amounts,
}

impl Account {
    /// What the role itself may take of what is kept back.
    pub fn unsatisfied(&self, name: NameIx) -> i64 {
        self.required.get(name) - self.below.get(name)
    }

    fn is_unsatisfied(&self) -> bool {
        let mut required = self.required.iter();
        required.any(|(name, _)| self.unsatisfied(name) > 0)
    }
}

impl QuotaRole {
    /// What the limits leave to an account; the greatest number where there is none.
    pub fn rest(&self, account: &Account, name: NameIx) -> i64 {
        let mut limits = self.limits.iter();
        let limit = limits.find(|(other, _)| *other == name);
        limit.map_or(i64::MAX, |(_, limit)| {
            (limit - account.consumed.get(name)).max(0)
        })
    }
}

/// What decides who is asked: whether a role's limits leave enough for any offer, and whether some of its
/// guarantees are not yet met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) is_full: bool,
    pub(crate) is_unsatisfied: bool,
}

/// All quota of the cluster. Empty and without cost where none is set.
#[derive(Debug, Default)]
pub struct Quotas {
    pub(crate) roles: Vec<QuotaRole>,
    by_role: HashMap<Arc<str>, QuotaIx>,
    pub(crate) accounts: Vec<Account>,
    /// What must stay free for all guarantees.
    pub(crate) required: Amounts,
    /// Unreserved, non-revocable scalars that nobody holds.
    pub(crate) available: Amounts,
    /// The most of them any agent had in all: a rest that is not below never shrinks an offer.
    most_on_an_agent: Amounts,
    pub(crate) minimums: Minimums,
}

/// Accounts that can be booked in: those of the world, or those of a run that is not booked yet.
pub(crate) trait Books {
    fn account(&mut self, role: QuotaIx) -> &mut Account;
    fn required(&mut self) -> &mut Amounts;
}

impl Books for Quotas {
    fn account(&mut self, role: QuotaIx) -> &mut Account {
        &mut self.accounts[role.index()]
    }

    fn required(&mut self) -> &mut Amounts {
        &mut self.required
    }
}

/// Charges `amount` to a role and those above it: what they require falls as long as they are below their
/// guarantees. `parent` leads up the tree.
pub(crate) fn charge(books: &mut impl Books, chain: &[(QuotaIx, i64)], name: NameIx, amount: i64) {
    let mut change = 0;
    for (role, guarantee) in chain {
        let account = books.account(*role);
        *account.consumed.at(name) += amount;
        *account.below.at(name) += change;
        let unmet = guarantee - account.consumed.get(name);
        let required = unmet.max(account.below.get(name)).max(0);
        change = required - account.required.get(name);
        *account.required.at(name) = required;
    }
    *books.required().at(name) += change;
}

/// Roles from one upwards, with what each is guaranteed of a name.
pub(crate) type Chain = SmallVec<[(QuotaIx, i64); 4]>;

impl Quotas {
    /// The quota as configured; nothing is consumed yet.
    pub(crate) fn new(configs: &[QuotaConfig], kinds: &mut Kinds, minimums: Minimums) -> Self {
        let mut quotas = Self {
            minimums,
            ..Self::default()
        };
        let mut configs: Vec<&QuotaConfig> = configs.iter().collect();
        // A role comes after those above it.
        configs.sort_by(|left, right| left.role.cmp(&right.role));
        for config in configs {
            let mut guarantees = Amounts::default();
            for (name, value) in &config.guarantees {
                if let Some(name) = kinds.name(name) {
                    *guarantees.at(name) = thousandths(value.value);
                }
            }
            let limits = config.limits.iter();
            let limits = limits
                .filter_map(|(name, value)| Some((kinds.name(name)?, thousandths(value.value))));
            let role: Arc<str> = config.role.as_str().into();
            quotas.roles.push(QuotaRole {
                parent: quotas.nearest(roles::ancestors(&role)),
                role: Arc::clone(&role),
                limits: limits.collect(),
                guarantees,
                clients: PlaceSet::default(),
            });
            let place = u32::try_from(quotas.accounts.len()).expect("fewer than 2^32 roles");
            quotas.by_role.insert(role, QuotaIx::at(place));
            quotas.accounts.push(Account::default());
        }
        quotas.require();
        quotas
    }

    /// What guarantees require while nothing is consumed.
    fn require(&mut self) {
        for index in (0..self.roles.len()).rev() {
            let mut required = self.accounts[index].below.clone();
            for (name, guarantee) in self.roles[index].guarantees.iter() {
                let more = guarantee.max(required.get(name));
                *required.at(name) = more;
            }
            for (name, amount) in required.iter() {
                match self.roles[index].parent {
                    Some(parent) => *self.accounts[parent.index()].below.at(name) += amount,
                    None => *self.required.at(name) += amount,
                }
            }
            self.accounts[index].required = required;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    pub fn get(&self, role: QuotaIx) -> Option<&QuotaRole> {
        self.roles.get(role.index())
    }

    pub fn account(&self, role: QuotaIx) -> &Account {
        &self.accounts[role.index()]
    }

    /// The same quota with empty books; for invariants.
    pub(crate) fn emptied(&self) -> Self {
        let roles = self.roles.iter().map(|role| QuotaRole {
            role: Arc::clone(&role.role),
            parent: role.parent,
            guarantees: role.guarantees.clone(),
            limits: role.limits.clone(),
            clients: PlaceSet::default(),
        });
        let mut quotas = Self {
            roles: roles.collect(),
            by_role: self.by_role.clone(),
            accounts: vec![Account::default(); self.accounts.len()],
            minimums: self.minimums.clone(),
            ..Self::default()
        };
        quotas.require();
        quotas
    }

    /// Whether the books agree; for invariants.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let mut pairs = self.accounts.iter().zip(&other.accounts);
        self.required == other.required
            && (self.is_empty() || self.available == other.available)
            && pairs.all(|(mine, theirs)| mine == theirs)
    }

    /// Whether anything is guaranteed to anybody.
    pub fn has_guarantees(&self) -> bool {
        let mut roles = self.roles.iter();
        roles.any(|role| role.guarantees.iter().any(|(_, amount)| amount > 0))
    }

    /// The role itself if it has quota, or the nearest above it that has.
    pub fn of(&self, role: &str) -> Option<QuotaIx> {
        if self.is_empty() {
            return None;
        }
        self.nearest(std::iter::once(role).chain(roles::ancestors(role)))
    }

    fn nearest<'a>(&self, mut roles: impl Iterator<Item = &'a str>) -> Option<QuotaIx> {
        roles.find_map(|role| self.by_role.get(role).copied())
    }

    /// The role and those above it that have quota.
    pub fn chain(&self, role: Option<QuotaIx>) -> impl Iterator<Item = QuotaIx> {
        std::iter::successors(role, |role| self.roles[role.index()].parent)
    }

    pub(crate) fn guarantees(&self, role: Option<QuotaIx>, name: NameIx) -> Chain {
        let chain = self.chain(role);
        chain
            .map(|role| (role, self.roles[role.index()].guarantees.get(name)))
            .collect()
    }

    pub(crate) fn enter(&mut self, role: Option<QuotaIx>, client: ClientIx) {
        let mut next = role;
        while let Some(role) = next {
            let place = &mut self.roles[role.index()];
            place.clients.insert(client);
            next = place.parent;
        }
    }

    pub(crate) fn leave(&mut self, role: Option<QuotaIx>, client: ClientIx) {
        let mut next = role;
        while let Some(role) = next {
            let place = &mut self.roles[role.index()];
            place.clients.remove(client);
            next = place.parent;
        }
    }

    /// What may be given to those who are guaranteed nothing more, so that enough stays free.
    pub(crate) fn surplus(&self, name: NameIx) -> i64 {
        surplus(&self.required, &self.available, name)
    }

    /// An agent with so much of a name has come.
    pub(crate) fn see_agent(&mut self, name: NameIx, amount: i64) {
        let most = self.most_on_an_agent.at(name);
        *most = amount.max(*most);
    }

    /// Books that a role consumes so much more, and that so much more is available. What that makes possible
    /// for whom is noted; a limit or a headroom so wide that it shrank no offer made nothing impossible.
    pub(crate) fn change(
        &mut self,
        role: Option<QuotaIx>,
        name: NameIx,
        (consumed, available): (i64, i64),
        notes: &mut Vec<Note>,
    ) {
        let most = self.most_on_an_agent.get(name);
        let surplus = self.surplus(name);
        let chain = self.guarantees(role, name);
        let before: SmallVec<[(Phase, i64); 4]> = chain
            .iter()
            .map(|(role, _)| (self.phase(*role), self.rest(*role, name)))
            .collect();
        charge(self, &chain, name, consumed);
        *self.available.at(name) += available;
        if surplus < most && self.surplus(name) > surplus {
            notes.push(Note::HeadroomGrew);
        }
        let mut freed = None;
        for ((role, guarantee), (phase, rest)) in chain.into_iter().zip(before) {
            if self.phase(role) != phase {
                notes.push(Note::QuotaPhase(role));
            }
            let is_below_guarantee = self.accounts[role.index()].consumed.get(name) < guarantee;
            if consumed < 0 && (rest < most || (is_below_guarantee && surplus < most)) {
                freed = Some(role);
            }
        }
        if let Some(role) = freed {
            notes.push(Note::QuotaFreed(role));
        }
    }

    fn rest(&self, role: QuotaIx, name: NameIx) -> i64 {
        self.roles[role.index()].rest(&self.accounts[role.index()], name)
    }

    fn phase(&self, role: QuotaIx) -> Phase {
        self.phase_of(role, &self.accounts[role.index()])
    }

    pub(crate) fn phase_of(&self, role: QuotaIx, account: &Account) -> Phase {
        let place = &self.roles[role.index()];
        let is_full = !place.limits.is_empty()
            && self.is_less_than_any_offer(|name| place.rest(account, name));
        Phase {
            is_full,
            is_unsatisfied: account.is_unsatisfied(),
        }
    }

    /// Whether no offer of so little can be worth making.
    pub(crate) fn is_less_than_any_offer(&self, rest: impl Fn(NameIx) -> i64) -> bool {
        self.minimums.are_above(rest)
    }
}

/// What is available above what is required; the greatest number where nothing is required.
pub(crate) fn surplus(required: &Amounts, available: &Amounts, name: NameIx) -> i64 {
    match required.get(name) {
        0 => i64::MAX,
        required => (available.get(name) - required).max(0),
    }
}

fn thousandths(value: f64) -> i64 {
    Quantity::from_f64(value).unwrap_or_default().thousandths()
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
