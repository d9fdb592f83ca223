//! Frameworks: subscription, failover, update, disconnection and end (Mesos: `Master::subscribe` and its neighbours).

use std::{collections::BTreeSet, sync::Arc};

use tepui_messages::{
    allocator::WorldChange,
    change::{Change, FrameworkRecord},
    framework::HEARTBEAT_INTERVAL,
    master::{Answer, PeerId},
};
use tepui_protocol::{
    node,
    v1::{
        FrameworkId, FrameworkInfo,
        framework_info::capability::Type as Capability,
        scheduler::{Event, event},
    },
    validate,
};

use crate::{
    away::failover_timer,
    commands,
    core::{MasterCore, Order, Pending, SubscribeRequest, Token, Turn},
    subscriptions::refuse,
    tables::{Framework, has_capability},
};

impl MasterCore {
    pub(crate) fn add_framework(
        &mut self,
        id: &str,
        request: SubscribeRequest,
        turn: &mut Turn<'_>,
    ) {
        let record = FrameworkRecord {
            info: request.info.clone(),
            active: true,
            connected: true,
            recovered: false,
            registered_at: turn.now,
            reregistered_at: None,
            suppressed_roles: request.suppressed_roles.clone(),
            offer_constraints: request.offer_constraints.clone(),
        };
        let mut framework = Framework::new(record.clone());
        self.count_for(&mut framework);
        framework.stream_id = Some(request.stream_id.clone());
        self.change(turn, Change::FrameworkAdded(Arc::new(record)));
        self.send_subscribed(&request, turn);
        framework.told_at = turn.allocator(WorldChange::FrameworkAdded {
            info: Arc::new(request.info),
            suppressed_roles: request.suppressed_roles,
            offer_constraints: request.offer_constraints.map(Arc::new),
            active: true,
            used: Vec::new(),
        });
        self.frameworks.insert(id.to_string(), framework);
    }

    /// A framework this master knows has a new stream; offers of the old one are forgotten without RESCIND.
    pub(crate) fn reconnect(&mut self, id: &str, request: SubscribeRequest, turn: &mut Turn<'_>) {
        let framework = self
            .frameworks
            .get_mut(id)
            .expect("reconnect is called for a known framework");
        if let Some(old) = framework.stream_id.replace(request.stream_id.clone()) {
            self.streams.remove(&old);
            refuse(&old, "Framework failed over".to_string(), turn);
        }
        tracing::info!(framework = id, "a framework has subscribed again");
        self.discard_offers(id, turn);
        self.discard_inverse_offers(id, turn);
        self.timers.cancel(&failover_timer(id));
        self.forget_refusals_outside(id, &request, turn);
        let framework = self.frameworks.get_mut(id).expect("still there");
        framework.registered = true;
        framework.deadline_is_written = false;
        let record = &mut framework.record;
        record.info = request.info.clone();
        record.active = true;
        record.connected = true;
        if std::mem::take(&mut record.recovered) {
            record.registered_at = turn.now;
        } else {
            record.reregistered_at = Some(turn.now);
        }
        record.suppressed_roles = request.suppressed_roles.clone();
        record.offer_constraints = request.offer_constraints.clone();
        self.send_subscribed(&request, turn);
        self.publish_framework(id, turn);
        turn.allocator(WorldChange::FrameworkActive {
            framework_id: framework_id(id),
            active: true,
        });
        self.restore_refusals_of(id, turn);
        self.ask_again(id);
        self.ask_returned_framework();
        self.tell_agents_of_update(id, turn);
    }

    /// Roles that it leaves, or wants offers for again: the allocator forgets what was refused under them.
    fn forget_refusals_outside(
        &mut self,
        id: &str,
        request: &SubscribeRequest,
        turn: &mut Turn<'_>,
    ) {
        let framework = &self.frameworks[id];
        let new = validate::framework::roles(&request.info);
        let before: BTreeSet<&String> = framework.record.suppressed_roles.iter().collect();
        let after: BTreeSet<&String> = request.suppressed_roles.iter().collect();
        let roles = framework.roles().into_iter().filter(|role| {
            let left = !new.contains(role.as_str());
            left || before.contains(role) && !after.contains(role)
        });
        let roles: BTreeSet<String> = roles.collect();
        if !roles.is_empty() {
            self.forget_refusals(id, &roles, turn);
        }
    }

    fn send_subscribed(&self, request: &SubscribeRequest, turn: &mut Turn<'_>) {
        let subscribed = event::Subscribed {
            framework_id: request.info.id.clone().expect("admitted with an id"),
            heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
            master_info: Some(self.config.info.clone()),
        };
        turn.event(
            &request.stream_id,
            Event {
                r#type: Some(event::Type::Subscribed as i32),
                subscribed: Some(subscribed),
                ..Default::default()
            },
        );
    }

    /// Tells view and allocator what the framework is now.
    fn publish_framework(&mut self, id: &str, turn: &mut Turn<'_>) {
        let record = self.tell_allocator_of_framework(id, turn);
        self.change(turn, Change::FrameworkUpdated(record));
    }

    fn tell_allocator_of_framework(&self, id: &str, turn: &mut Turn<'_>) -> Arc<FrameworkRecord> {
        let record = self.frameworks[id].record.clone();
        turn.allocator(WorldChange::FrameworkUpdated {
            info: Arc::new(record.info.clone()),
            suppressed_roles: record.suppressed_roles.clone(),
            offer_constraints: record.offer_constraints.clone().map(Arc::new),
        });
        Arc::new(record)
    }

    fn tell_agents_of_update(&self, id: &str, turn: &mut Turn<'_>) {
        let framework = &self.frameworks[id];
        let agents: BTreeSet<&String> =
            framework.executors.keys().map(|(agent, _)| agent).collect();
        let holders = framework
            .tasks
            .values()
            .map(|entry| &entry.task.agent_id.value);
        for agent_id in agents
            .into_iter()
            .chain(holders)
            .collect::<std::collections::BTreeSet<_>>()
        {
            if let Some(peer) = self.agents.get(agent_id).and_then(|agent| agent.peer) {
                turn.order(peer, self.update_order(framework.info()));
            }
        }
    }

    /// What frameworks have become while the agent was away (Mesos: `Master::updateSlaveFrameworks`).
    pub(crate) fn tell_of_frameworks(
        &self,
        peer: PeerId,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) {
        for known in &request.frameworks {
            let id = known.id.as_ref().map_or("", |id| &id.value);
            let info = self.frameworks.get(id).map(Framework::info);
            if let Some(info) = info.filter(|info| *info != known) {
                turn.order(peer, self.update_order(info));
            }
        }
    }

    fn update_order(&self, info: &FrameworkInfo) -> Order {
        Order::UpdateFramework(Box::new(node::UpdateFramework {
            framework_info: info.clone(),
            term: self.term,
        }))
    }

    /// UPDATE_FRAMEWORK: unlike a resubscription, what may not change is an error.
    pub(crate) fn update_framework(
        &mut self,
        token: Token,
        id: &str,
        request: Box<SubscribeRequest>,
        turn: &mut Turn<'_>,
    ) {
        let old = self.frameworks[id].info();
        if let Err(reason) = self.check_framework_info(&request.info, &request.suppressed_roles) {
            return turn.answer(
                token,
                Answer::refused(
                    400,
                    format!("Supplied FrameworkInfo is not valid: {reason}"),
                ),
            );
        }
        if let Err(reason) = validate::framework::validate_update(old, &request.info) {
            return turn.answer(
                token,
                Answer::refused(400, format!("FrameworkInfo update is not valid: {reason}")),
            );
        }
        if let Some(Err(reason)) = request
            .offer_constraints
            .as_ref()
            .map(validate::constraints::validate)
        {
            let text = format!("'UpdateFramework.offer_constraints' are not valid: {reason}");
            return turn.answer(token, Answer::refused(400, text));
        }
        if let Err(reason) = self.authorize_subscription(&request.info) {
            return turn.answer(token, Answer::refused(403, reason));
        }
        let command = commands::update_framework(&request.info, request.suppressed_roles.clone());
        self.write(
            turn,
            command,
            Pending::FrameworkUpdated {
                framework_id: id.to_string(),
                request,
                token,
            },
        );
    }

    pub(crate) fn framework_updated(
        &mut self,
        id: &str,
        request: SubscribeRequest,
        turn: &mut Turn<'_>,
    ) {
        if !self.frameworks.contains_key(id) {
            return;
        }
        self.ask_again(id);
        let record = &self.frameworks[id].record;
        let is_same = record.info == request.info;
        if is_same
            && record.suppressed_roles == request.suppressed_roles
            && record.offer_constraints == request.offer_constraints
        {
            // Nobody needs to hear of it.
            return;
        }
        self.forget_refusals_outside(id, &request, turn);
        let framework = self.frameworks.get_mut(id).expect("just looked up");
        framework.record.info = request.info;
        framework.record.suppressed_roles = request.suppressed_roles;
        framework.record.offer_constraints = request.offer_constraints;
        let roles = framework.roles();
        let record = self.tell_allocator_of_framework(id, turn);
        self.rescind_offers_outside(id, &roles, turn);
        // Of what it wants to be offered only the allocator needs to hear.
        if is_same {
            return self.change(turn, Change::FrameworkMarked(record));
        }
        self.change(turn, Change::FrameworkUpdated(record));
        self.tell_agents_of_update(id, turn);
    }

    pub(crate) fn stream_lost(&mut self, stream_id: &str, turn: &mut Turn<'_>) {
        let Some(id) = self.streams.remove(stream_id) else {
            for pending in self.pending.values_mut() {
                if let Pending::Subscribe { request, lost } = pending
                    && request.stream_id == stream_id
                {
                    *lost = true;
                }
            }
            return;
        };
        self.disconnect(&id, turn);
    }

    pub(crate) fn add_unsubscribed(
        &mut self,
        info: FrameworkInfo,
        suppressed_roles: Vec<String>,
        turn: &mut Turn<'_>,
    ) {
        let record = FrameworkRecord {
            info: info.clone(),
            active: false,
            connected: false,
            recovered: true,
            // It has not subscribed to this master.
            registered_at: 0,
            reregistered_at: None,
            suppressed_roles: suppressed_roles.clone(),
            offer_constraints: None,
        };
        let mut framework = Framework::new(record.clone());
        self.count_for(&mut framework);
        self.change(turn, Change::FrameworkAdded(Arc::new(record)));
        framework.told_at = turn.allocator(WorldChange::FrameworkAdded {
            info: Arc::new(info),
            suppressed_roles,
            offer_constraints: None,
            active: false,
            used: Vec::new(),
        });
        self.frameworks
            .insert(framework.id().to_string(), framework);
    }

    pub(crate) fn is_partition_aware(&self, framework: &str) -> bool {
        self.frameworks
            .get(framework)
            .is_some_and(|framework| has_capability(framework.info(), Capability::PartitionAware))
    }
}

pub(crate) fn framework_id(id: &str) -> FrameworkId {
    FrameworkId {
        value: id.to_string(),
    }
}

/// ERROR and the end of the stream.
#[cfg(test)]
#[path = "frameworks_tests.rs"]
mod tests;
