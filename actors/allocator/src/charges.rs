//! How what agents have and what clients hold comes into the books of quota.
//!
//! Owns what is charged to whom; the books are [`crate::quota`]'s. Without quota it costs one look.

use tepui_protocol::v1::quota::QuotaConfig;

use crate::{
    bundle::Bundle,
    kinds::Kinds,
    quota::{QuotaIx, Quotas},
    world::{ClientIx, Note, World},
};

impl Quotas {
    /// Counts (`sign` 1) what an agent has in all, or no longer (-1): reservations are consumed, given away
    /// or not; the rest is available.
    fn count_total(&mut self, kinds: &Kinds, total: &Bundle, sign: i64, notes: &mut Vec<Note>) {
        for (name, amount) in kinds.charged_by_name(total) {
            self.see_agent(name, amount);
            self.change(None, name, (0, sign * amount), notes);
        }
        for (kind, amount) in total.scalars() {
            let kind = kinds.get(kind);
            if let (Some(name), Some(role)) = (kind.name, kind.reserved_role())
                && let Some(role) = self.of(role)
            {
                self.change(Some(role), name, (sign * amount, 0), notes);
            }
        }
    }

    /// Charges (`sign` 1) what a client of a role got, or takes it back (-1).
    fn count_held(
        &mut self,
        kinds: &Kinds,
        role: Option<QuotaIx>,
        bundle: &Bundle,
        sign: i64,
        notes: &mut Vec<Note>,
    ) {
        for (name, amount) in kinds.charged(bundle) {
            self.change(role, name, (sign * amount, -sign * amount), notes);
        }
    }
}

impl World {
    pub(crate) fn count_for_quota(&mut self, total: &Bundle, sign: i64) {
        if !self.quotas.is_empty() {
            let quotas = &mut self.quotas;
            quotas.count_total(&self.kinds, total, sign, &mut self.notes);
        }
    }

    pub(crate) fn charge(&mut self, client: ClientIx, bundle: &Bundle, sign: i64) {
        if !self.quotas.is_empty() {
            let role = self.clients[client].quota;
            let quotas = &mut self.quotas;
            quotas.count_held(&self.kinds, role, bundle, sign, &mut self.notes);
        }
    }

    /// Replaces all quota. Costs as much as there are agents and clients, and comes from an operator.
    pub(crate) fn set_quota(&mut self, configs: &[QuotaConfig]) {
        let minimums = self.min_allocatable.clone();
        self.quotas = Quotas::new(configs, &mut self.kinds, minimums);
        let clients: Vec<ClientIx> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            self.enter_quota(client);
        }
        if !self.quotas.is_empty() {
            let mut quotas = std::mem::take(&mut self.quotas);
            self.count_all(&mut quotas);
            self.quotas = quotas;
        }
        self.notes.push(Note::Quota);
    }

    /// Counts everything into books in which nothing is counted yet.
    pub(crate) fn count_all(&self, quotas: &mut Quotas) {
        let mut nobody_waits = Vec::new();
        for (_, agent) in self.agents.iter() {
            quotas.count_total(&self.kinds, &agent.total, 1, &mut nobody_waits);
            for (client, bundle) in &agent.held {
                let role = self.clients[*client].quota;
                quotas.count_held(&self.kinds, role, bundle, 1, &mut nobody_waits);
            }
            nobody_waits.clear();
        }
    }

    /// Finds out which quota a client falls under.
    pub(crate) fn enter_quota(&mut self, client: ClientIx) {
        let role = self.quotas.of(&self.clients[client].role);
        self.clients[client].quota = role;
        self.quotas.enter(role, client);
    }
}
