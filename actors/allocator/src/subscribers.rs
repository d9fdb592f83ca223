//! How frameworks come into the world, change and leave it, each as one client under each of its roles.
//!
//! Owns who is subscribed, suppressed and active. What clients hold is booked in [`crate::world`].

use std::{collections::BTreeSet, sync::Arc};

use tepui_messages::allocator::Allocation;
use tepui_protocol::{
    roles,
    v1::{AgentId, FrameworkId, FrameworkInfo, scheduler::OfferConstraints},
};

use crate::{
    constraints::Constraints,
    least::Minimums,
    world::{Capabilities, Client, ClientIx, Framework, FrameworkIx, Note, World},
};

/// A framework as the master describes it.
pub(crate) struct Description {
    pub(crate) info: Arc<FrameworkInfo>,
    pub(crate) suppressed_roles: Vec<String>,
    pub(crate) constraints: Option<Arc<OfferConstraints>>,
}

impl World {
    pub(crate) fn add_framework(
        &mut self,
        description: Description,
        active: bool,
        used: &[(AgentId, Allocation)],
    ) {
        let Some(id) = description.info.id.clone() else {
            return;
        };
        // What agents told about it before is in `used` again.
        self.remove_framework(&id);
        let framework = self.framework(&id);
        self.frameworks[framework].known = true;
        self.frameworks[framework].active = active;
        self.describe_framework(framework, &description);
        for (agent_id, allocation) in used {
            self.book_used(agent_id, allocation);
        }
    }

    /// Roles, suppression, capabilities and constraints as a whole.
    pub(crate) fn describe_framework(&mut self, framework: FrameworkIx, description: &Description) {
        let info = &description.info;
        let capabilities = Capabilities::of(info);
        let place = &mut self.frameworks[framework];
        place.capabilities = capabilities;
        place.constraints = description.constraints.clone().map(Constraints::new);
        let roles: BTreeSet<&str> = if capabilities.multi_role {
            info.roles.iter().map(String::as_str).collect()
        } else {
            BTreeSet::from([info.role.as_deref().unwrap_or(roles::ANY)])
        };
        let before: Vec<(Arc<str>, ClientIx)> = place
            .clients
            .iter()
            .map(|(role, client)| (Arc::clone(role), *client))
            .collect();
        for (role, client) in before {
            if !roles.contains(&*role) {
                self.clients[client].subscribed = false;
                self.set_minimums(client, None);
                self.filters.clear_client(client);
                self.settle_active(client);
                self.drop_if_idle(client);
            }
        }
        for role in roles {
            let client = self.client_under(framework, role);
            let suppressed = description
                .suppressed_roles
                .iter()
                .any(|other| other == role);
            self.set_minimums(client, Minimums::of_role(info.offer_filters.get(role)));
            let constraints = self.frameworks[framework].constraints.as_ref();
            let is_constrained = constraints.is_some_and(|it| it.concern(role));
            let place = &mut self.clients[client];
            place.is_constrained = is_constrained;
            place.subscribed = true;
            if std::mem::replace(&mut place.suppressed, suppressed) && !suppressed {
                self.filters.clear_client(client);
                self.holds.clear_client(framework);
            }
            self.settle_active(client);
            self.notes.push(Note::ClientWants(client));
        }
    }

    pub(crate) fn set_framework_active(&mut self, id: &FrameworkId, active: bool) {
        let Some(framework) = self.known_framework(id) else {
            return;
        };
        self.frameworks[framework].active = active;
        if !active {
            self.holds.clear_client(framework);
        }
        for client in self.clients_of(framework) {
            if !active {
                // A framework that comes back is asked about everything again.
                self.filters.clear_client(client);
            }
            self.settle_active(client);
        }
    }

    pub(crate) fn remove_framework(&mut self, id: &FrameworkId) {
        let Some(&framework) = self.framework_by_id.get(&id.value) else {
            return;
        };
        // With nothing known of it, the framework goes with its last client, or here if it has none.
        self.frameworks[framework].known = false;
        let clients = self.clients_of(framework);
        self.holds.clear_client(framework);
        if clients.is_empty() {
            self.frameworks.remove(framework);
            self.framework_by_id.remove(&id.value);
        }
        for client in clients {
            self.clients[client].subscribed = false;
            self.settle_active(client);
            for agent in self.clients[client].agents.clone().iter() {
                if let Some(held) = self.agents[agent].held_by(client).cloned() {
                    self.release(agent, client, &held);
                }
            }
            self.drop_if_idle(client);
        }
    }

    pub(crate) fn revive(&mut self, id: &FrameworkId, roles: &[String]) {
        let Some(framework) = self.known_framework(id) else {
            return;
        };
        // What it refused within the interval is open to its other roles too by this.
        if self.holds.count_of(framework) > 0 {
            self.holds.clear_client(framework);
            let clients = self.frameworks[framework].clients.values();
            self.notes.extend(clients.copied().map(Note::ClientWants));
        }
        for client in self.clients_named(id, roles) {
            self.clients[client].suppressed = false;
            self.filters.clear_client(client);
            self.settle_active(client);
            self.notes.push(Note::ClientWants(client));
        }
    }

    pub(crate) fn suppress(&mut self, id: &FrameworkId, roles: &[String]) {
        for client in self.clients_named(id, roles) {
            self.clients[client].suppressed = true;
            self.settle_active(client);
        }
    }

    pub(crate) fn known_framework(&self, id: &FrameworkId) -> Option<FrameworkIx> {
        let framework = *self.framework_by_id.get(&id.value)?;
        self.frameworks[framework].known.then_some(framework)
    }

    fn clients_of(&self, framework: FrameworkIx) -> Vec<ClientIx> {
        self.frameworks[framework]
            .clients
            .values()
            .copied()
            .collect()
    }

    /// Of the roles, or all if none are named.
    fn clients_named(&self, id: &FrameworkId, roles: &[String]) -> Vec<ClientIx> {
        let Some(framework) = self.known_framework(id) else {
            return Vec::new();
        };
        if roles.is_empty() {
            return self.clients_of(framework);
        }
        let clients = &self.frameworks[framework].clients;
        roles
            .iter()
            .filter_map(|role| clients.get(role.as_str()).copied())
            .collect()
    }

    /// The framework of an id, made if need be as one nobody told of.
    pub(crate) fn framework(&mut self, id: &FrameworkId) -> FrameworkIx {
        if let Some(framework) = self.framework_by_id.get(&id.value) {
            return *framework;
        }
        let framework = self.frameworks.insert(Framework {
            id: id.clone(),
            known: false,
            active: false,
            capabilities: Capabilities::default(),
            constraints: None,
            clients: std::collections::BTreeMap::new(),
        });
        self.framework_by_id.insert(id.value.clone(), framework);
        framework
    }

    /// The framework's client under a role, made if need be as one that is not subscribed.
    pub(crate) fn client_under(&mut self, framework: FrameworkIx, role: &str) -> ClientIx {
        if let Some(client) = self.frameworks[framework].clients.get(role) {
            return *client;
        }
        let role: Arc<str> = role.into();
        let client = Client::new(framework, Arc::clone(&role));
        let client = self.clients.insert(client);
        self.frameworks[framework].clients.insert(role, client);
        self.enter_quota(client);
        self.notes.push(Note::ClientAdded(client));
        client
    }

    fn settle_active(&mut self, client: ClientIx) {
        let place = &self.clients[client];
        let framework = &self.frameworks[place.framework];
        let active = framework.known && framework.active && place.subscribed && !place.suppressed;
        if place.active != active {
            self.clients[client].active = active;
            self.notes.push(Note::ClientActive(client));
            if !active {
                self.active.remove(client);
            } else {
                self.active.insert(client);
                self.notes.push(Note::ClientWants(client));
            }
        }
    }
}
