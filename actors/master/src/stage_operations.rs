//! Operations, and calls of operators, in tests of the core: their JSON, and what agents answer to them.

use serde_json::{Value, json};
use tepui_messages::{
    allocator::WorldChange,
    change::OperationKey,
    master::{AgentMessage, Answer},
};
use tepui_protocol::{
    node,
    resources::{Conversion, Resources, conversions},
    v1::{
        Operation, OperationState, OperationStatus, Uuid,
        agent_info::{Capability, capability::Type as Ability},
    },
};

use crate::{
    core::{Input, Order, Token},
    stage::{Node, Scheduler, Stage, accept, decode},
};

pub(crate) const TOTAL: &str = "cpus:4;mem:4096;disk(r):1024;disk:1024";

/// An agent that can do `abilities`, and a framework of role `r` with principal `p`.
pub(crate) fn with_agent(abilities: &[Ability]) -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let mut request = stage.agent(TOTAL).request;
    let capability = |kind: &Ability| Capability {
        r#type: Some(*kind as i32),
    };
    request.capabilities = abilities.iter().map(capability).collect();
    let (node, _) = stage.register(request);
    let fw = stage.subscribe(framework());
    (stage, node, fw)
}

pub(crate) fn framework() -> Value {
    json!({"roles": ["r"], "capabilities": [{"type": "MULTI_ROLE"}], "principal": "p", "failover_timeout": 3600.0})
}

pub(crate) fn able() -> (Stage, Node, Scheduler) {
    with_agent(&[
        Ability::HierarchicalRole,
        Ability::ReservationRefinement,
        Ability::ResizeVolume,
        Ability::ResourceProvider,
        Ability::AgentOperationFeedback,
        Ability::TaskResourceLimits,
    ])
}

pub(crate) fn reserved(name: &str, amount: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": "r", "principal": "p"}]})
}

/// Of the disk that is configured for the role.
pub(crate) fn volume(amount: f64) -> Value {
    json!({"name": "disk", "type": "SCALAR", "scalar": {"value": amount},
        "reservations": [{"type": "STATIC", "role": "r"}],
        "disk": {"persistence": {"id": "v", "principal": "p"}, "volume": {"mode": "RW", "container_path": "c"}}})
}

pub(crate) fn reserve(resource: Value) -> Value {
    json!({"type": "RESERVE", "reserve": {"resources": [resource]}})
}

pub(crate) fn unreserve(resource: Value) -> Value {
    json!({"type": "UNRESERVE", "unreserve": {"resources": [resource]}})
}

pub(crate) fn create(volume: Value) -> Value {
    json!({"type": "CREATE", "create": {"volumes": [volume]}})
}

pub(crate) fn destroy(volume: Value) -> Value {
    json!({"type": "DESTROY", "destroy": {"volumes": [volume]}})
}

pub(crate) fn named(mut operation: Value, id: &str) -> Value {
    operation["id"] = json!({"value": id});
    operation
}

impl Stage {
    pub(crate) fn operator(&mut self, call: Value) -> Answer {
        let token = self.operator_asks(call);
        self.answer(token).expect("an answer")
    }

    pub(crate) fn operator_asks(&mut self, call: Value) -> Token {
        let token = self.next();
        let call = Box::new(decode(&call));
        let principal = self.caller.clone();
        self.input(Input::Operator {
            token,
            principal,
            call,
        });
        token
    }

    /// Offers all that is free and accepts it with these operations; gives what came of it.
    pub(crate) fn operate(
        &mut self,
        fw: &Scheduler,
        node: &Node,
        operations: Value,
    ) -> Vec<WorldChange> {
        let free = self.ledger.free(&node.id).to_proto();
        self.propose_resources(&fw.id, "r", &node.id, free);
        let offer = self.core.offers.values().next_back().expect("an offer");
        let offer = offer.offer.id.value.clone();
        self.told(fw);
        self.world.clear();
        self.call(fw, accept(&[&offer], operations));
        std::mem::take(&mut self.world)
    }

    /// Operations ordered since the last look; other orders stay.
    pub(crate) fn operations_ordered(&mut self, node: &Node) -> Vec<node::ApplyOperation> {
        let orders = self.orders.remove(&node.peer).unwrap_or_default();
        let mut operations = Vec::new();
        for order in orders {
            match order {
                Order::ApplyOperation(apply) => operations.push(*apply),
                other => self.orders.entry(node.peer).or_default().push(other),
            }
        }
        operations
    }

    /// The agent has done what it was ordered, and says so.
    pub(crate) fn finish_operations(&mut self, node: &Node) -> Vec<OperationKey> {
        let ordered = self.operations_ordered(node);
        let mut keys = Vec::new();
        for apply in ordered {
            let key = OperationKey::try_from(apply.uuid.as_ref()).expect("16 bytes");
            let update = operation_update(node, &apply, OperationState::OperationFinished);
            let update = AgentMessage::OperationUpdate(Box::new(update));
            self.says(node, update);
            keys.push(key);
        }
        keys
    }

    pub(crate) fn acknowledge_operation(
        &mut self,
        fw: &Scheduler,
        node: &Node,
        id: &str,
        uuid: &[u8],
    ) {
        let mut call = tepui_protocol::v1::scheduler::Call {
            framework_id: Some(tepui_protocol::v1::FrameworkId {
                value: fw.id.clone(),
            }),
            ..Default::default()
        };
        call.r#type =
            Some(tepui_protocol::v1::scheduler::call::Type::AcknowledgeOperationStatus as i32);
        call.acknowledge_operation_status = Some(
            tepui_protocol::v1::scheduler::call::AcknowledgeOperationStatus {
                agent_id: Some(crate::stage::agent_id(&node.id)),
                uuid: uuid.to_vec().into(),
                operation_id: tepui_protocol::v1::OperationId {
                    value: id.to_string(),
                },
                ..Default::default()
            },
        );
        let token = self.next();
        self.input(Input::Call {
            token,
            stream_id: Some(fw.stream.clone()),
            principal: None,
            call: Box::new(call),
        });
        self.answer(token).expect("an answer");
    }

    /// `id STATE message` of the operations told of since the last look, with the uuid to acknowledge.
    pub(crate) fn operations_told(&mut self, fw: &Scheduler) -> Vec<(String, Vec<u8>)> {
        let events = self.events_of(&fw.stream);
        let statuses = events
            .iter()
            .filter(|event| event["type"] == "UPDATE_OPERATION_STATUS")
            .map(|event| &event["update_operation_status"]["status"]);
        statuses
            .map(|status| {
                let status: OperationStatus = decode(status);
                let id = status.operation_id.clone().unwrap_or_default().value;
                let shown = format!("{id} {} {}", status.state().as_str_name(), status.message());
                let uuid = status
                    .uuid
                    .map_or_else(Vec::new, |uuid| uuid.value.to_vec());
                (shown.trim_end().to_string(), uuid)
            })
            .collect()
    }

    /// What the agent has, as the master believes.
    pub(crate) fn total(&self, node: &Node) -> String {
        let total = &self.core.agents[&node.id].record.total;
        Resources::from_proto_unchecked(total).to_string()
    }

    pub(crate) fn reconcile_operations(&mut self, fw: &Scheduler, operations: Value) {
        let call = json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {"operations": operations}});
        self.told(fw);
        self.call(fw, call);
    }
}

/// Its status has the operation's own uuid, as well as any other.
pub(crate) fn operation_update(
    node: &Node,
    apply: &node::ApplyOperation,
    state: OperationState,
) -> node::OperationUpdate {
    node::OperationUpdate {
        framework_id: apply.framework_id.clone(),
        uuid: apply.uuid.clone(),
        status: OperationStatus {
            operation_id: apply.operation.id.clone(),
            state: state as i32,
            agent_id: Some(crate::stage::agent_id(&node.id)),
            uuid: Some(Uuid {
                value: apply.uuid.clone(),
            }),
            ..Default::default()
        },
        checkpointed_resources: Vec::new(),
    }
}

/// What an agent remembers: applied operations nobody acknowledged, and what came of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied {
    pub(crate) total: Resources,
    pub(crate) operations: Vec<Operation>,
    pub(crate) known: Vec<Vec<u8>>,
}

impl Applied {
    pub(crate) fn new(node: &Node) -> Applied {
        Applied {
            total: Resources::from_proto_unchecked(&node.request.agent_info.resources),
            ..Applied::default()
        }
    }

    /// The answer, unless the order came before.
    pub(crate) fn apply(
        &mut self,
        node: &Node,
        apply: &node::ApplyOperation,
    ) -> Option<node::OperationUpdate> {
        let uuid = apply.uuid.to_vec();
        if self.known.contains(&uuid) {
            return None;
        }
        self.known.push(uuid);
        let conversions = conversions(&apply.operation).expect("the master checked it");
        let conversions: Vec<Conversion> =
            conversions.iter().map(Conversion::unallocated).collect();
        self.total = self
            .total
            .apply_all(&conversions)
            .expect("the master never orders what does not fit");
        let update = operation_update(node, apply, OperationState::OperationFinished);
        self.operations.push(Operation {
            framework_id: apply.framework_id.clone(),
            agent_id: update.status.agent_id.clone(),
            info: apply.operation.clone(),
            latest_status: update.status.clone(),
            statuses: vec![update.status.clone()],
            uuid: Uuid {
                value: apply.uuid.clone(),
            },
        });
        Some(update)
    }

    /// What it says when it registers again.
    pub(crate) fn tell(&self, request: &mut node::RegisterAgent) {
        request.checkpointed_resources = self.total.to_checkpoint().to_proto();
        request.operations.clone_from(&self.operations);
    }

    pub(crate) fn forget(&mut self, acknowledged: &node::AcknowledgeOperation) {
        self.operations
            .retain(|operation| operation.uuid.value != acknowledged.uuid);
    }
}
