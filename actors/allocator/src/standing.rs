//! What quota lets each client have in the course of a run: the books of the world and what the run gave.
//!
//! Owns the answer for every policy, and which rule was behind it. Never changes the world: the core books
//! the grants after the run, and then both agree.

use std::{borrow::Cow, sync::Arc};

use smallvec::SmallVec;

use crate::{
    amounts::Amounts,
    bundle::Bundle,
    kinds::{KindIx, NameIx},
    quota::{self, Account, Books, Phase, QuotaIx},
    slots::{Column, Place},
    world::{ClientIx, World},
};

/// See the module. One for a run, which tells it each grant.
pub struct Standing<'w> {
    world: &'w World,
    /// Accounts the run has booked in.
    changed: Column<QuotaIx, Option<Box<Account>>>,
    required: Amounts,
    available: Amounts,
}

/// Why quota lets a client have no more of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaRule {
    /// The limit of this role, the client's own or one above it.
    Limit(Arc<str>),
    /// What is free is kept for guarantees of others.
    Headroom,
}

impl Books for Standing<'_> {
    fn account(&mut self, role: QuotaIx) -> &mut Account {
        let booked = self.world.quotas.account(role);
        let changed = self.changed.at(role);
        changed.get_or_insert_with(|| Box::new(booked.clone()))
    }

    fn required(&mut self) -> &mut Amounts {
        &mut self.required
    }
}

impl<'w> Standing<'w> {
    /// As booked in the world.
    pub fn new(world: &'w World) -> Self {
        Self {
            world,
            changed: Column::default(),
            required: world.quotas.required.clone(),
            available: world.quotas.available.clone(),
        }
    }

    /// Whether nobody has any quota, so that everything is allowed.
    pub fn is_free(&self) -> bool {
        self.world.quotas.is_empty()
    }

    /// Whether something is still kept back for guarantees.
    pub fn has_unsatisfied(&self) -> bool {
        self.required.iter().any(|(_, amount)| amount > 0)
    }

    /// Whether those who are guaranteed nothing more may have enough for any offer.
    pub fn has_surplus(&self) -> bool {
        let surplus = |name| quota::surplus(&self.required, &self.available, name);
        self.is_free() || !self.world.quotas.is_less_than_any_offer(surplus)
    }

    /// The part of an offer that limits and headroom let the client have: of unreserved, non-revocable
    /// scalars as much as fits, of everything else all.
    pub fn shrink<'a>(&self, client: ClientIx, offer: Cow<'a, Bundle>) -> Cow<'a, Bundle> {
        if self.is_free() {
            return offer;
        }
        let mut excess = Bundle::default();
        for (name, amount) in self.world.kinds.charged_by_name(&offer) {
            let (allowed, _) = self.allowed(client, name);
            if allowed < amount {
                self.cut(&offer, name, allowed, &mut excess);
            }
        }
        if excess.is_empty() {
            return offer;
        }
        let mut offer = offer.into_owned();
        offer.subtract(&excess);
        Cow::Owned(offer)
    }

    /// Adds to `excess` what must go so that only `allowed` of a name stays. What cannot be divided stays
    /// whole or goes, the smallest first, so that more allowed never means that something else goes.
    fn cut(&self, offer: &Bundle, name: NameIx, mut allowed: i64, excess: &mut Bundle) {
        let kinds = &self.world.kinds;
        let mine = offer
            .scalars()
            .filter(|(kind, _)| kinds.get(*kind).charged_name() == Some(name));
        // Whether it stays whole, how much it is, and of what.
        let mut mine: SmallVec<[(bool, i64, KindIx); 4]> = mine
            .map(|(kind, amount)| (!kinds.get(kind).is_divisible, amount, kind))
            .collect();
        mine.sort_unstable();
        for (whole, amount, kind) in mine {
            let kept = if whole && amount > allowed {
                0
            } else {
                amount.min(allowed)
            };
            allowed -= kept;
            excess.add_scalar(kind, amount - kept);
        }
    }

    /// How much more of a name the client may have, and the rule that says so if it is one.
    fn allowed(&self, client: ClientIx, name: NameIx) -> (i64, Option<QuotaRuleIx>) {
        let quotas = &self.world.quotas;
        let mut unsatisfied = 0_i64;
        let (mut least, mut by) = (i64::MAX, None);
        for role in quotas.chain(self.world.clients[client].quota) {
            let account = self.get(role);
            let rest = quotas.roles[role.index()].rest(account, name);
            if rest < least {
                (least, by) = (rest, Some(QuotaRuleIx::Limit(role)));
            }
            unsatisfied += account.unsatisfied(name);
        }
        let surplus = quota::surplus(&self.required, &self.available, name);
        let headroom = surplus.saturating_add(unsatisfied);
        if headroom < least {
            return (headroom, Some(QuotaRuleIx::Headroom));
        }
        (least, by)
    }

    fn get(&self, role: QuotaIx) -> &Account {
        let changed = self.changed.get(role).and_then(Option::as_deref);
        changed.unwrap_or_else(|| self.world.quotas.account(role))
    }

    /// The rules that shrink an offer, by name of resource.
    pub fn rules_against(&self, client: ClientIx, offer: &Bundle) -> Vec<(NameIx, QuotaRule)> {
        if self.is_free() {
            return Vec::new();
        }
        let amounts = self.world.kinds.charged_by_name(offer).into_iter();
        let rules = amounts.filter_map(|(name, amount)| {
            let (allowed, rule) = self.allowed(client, name);
            let rule = rule.filter(|_| allowed < amount)?;
            Some((name, self.named(rule)))
        });
        rules.collect()
    }

    fn named(&self, rule: QuotaRuleIx) -> QuotaRule {
        match rule {
            QuotaRuleIx::Headroom => QuotaRule::Headroom,
            QuotaRuleIx::Limit(role) => {
                QuotaRule::Limit(Arc::clone(&self.world.quotas.roles[role.index()].role))
            }
        }
    }

    /// Whether the client's limits leave so little that no offer of unreserved resources can be worth it. Of one with
    /// minimums of its own nobody knows that.
    pub fn is_full(&self, client: ClientIx) -> bool {
        if self.world.choosy.contains(client) {
            return false;
        }
        let mut phases = self.phases(client);
        phases.any(|phase| phase.is_full)
    }

    /// Whether the client may draw on a guarantee that is not yet met.
    pub fn is_unsatisfied(&self, client: ClientIx) -> bool {
        let mut phases = self.phases(client);
        phases.any(|phase| phase.is_unsatisfied)
    }

    fn phases(&self, client: ClientIx) -> impl Iterator<Item = Phase> {
        let quotas = &self.world.quotas;
        let chain = quotas.chain(self.world.clients[client].quota);
        chain.map(|role| quotas.phase_of(role, self.get(role)))
    }

    /// Whether something in the offer brings a guarantee of the client nearer.
    pub fn is_progress(&self, client: ClientIx, offer: &Bundle) -> bool {
        let quotas = &self.world.quotas;
        let mut charged = self.world.kinds.charged(offer);
        charged.any(|(name, _)| {
            let mut chain = quotas.chain(self.world.clients[client].quota);
            chain.any(|role| self.get(role).unsatisfied(name) > 0)
        })
    }

    /// Whether some of it is kept back for a guarantee.
    pub fn is_required(&self, bundle: &Bundle) -> bool {
        let mut charged = self.world.kinds.charged(bundle);
        charged.any(|(name, _)| self.required.get(name) > 0)
    }

    /// Counts a grant; the roles whose clients are now asked otherwise than before.
    pub fn grant(&mut self, client: ClientIx, granted: &Bundle) -> SmallVec<[QuotaIx; 2]> {
        let mut turned = SmallVec::new();
        if self.is_free() {
            return turned;
        }
        let world = self.world;
        let role = world.clients[client].quota;
        let phases = |standing: &Self| -> SmallVec<[(QuotaIx, Phase); 4]> {
            let chain = world.quotas.chain(role);
            chain
                .map(|role| (role, world.quotas.phase_of(role, standing.get(role))))
                .collect()
        };
        let before = phases(self);
        for (name, amount) in world.kinds.charged(granted) {
            quota::charge(self, &world.quotas.guarantees(role, name), name, amount);
            *self.available.at(name) -= amount;
        }
        let changes = phases(self).into_iter().zip(before);
        turned.extend(
            changes
                .filter(|(now, before)| now != before)
                .map(|(now, _)| now.0),
        );
        turned
    }
}

/// A rule before it has a name.
#[derive(Debug, Clone, Copy)]
enum QuotaRuleIx {
    Limit(QuotaIx),
    Headroom,
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
