//! Reservations and volumes in the [`World`] of histories: agents that do what they are ordered, and may be lost
//! before they could or before they have said so.

use serde_json::{Value, json};
use tepui_messages::master::AgentMessage;
use tepui_protocol::{node, resources::Resources};

use crate::{
    core::Order,
    feedback::total_of,
    history::World,
    stage::{Node, accept},
    stage_operations::named,
};

fn reserved(name: &str, amount: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": "dev"}]})
}

fn volume(amount: f64) -> Value {
    let mut volume = reserved("disk", amount);
    volume["disk"] =
        json!({"persistence": {"id": "v"}, "volume": {"mode": "RW", "container_path": "c"}});
    volume
}

/// One of them; whether it fits is another question.
fn operation(number: u16) -> Value {
    let (kind, field, body) = match number % 8 {
        0 => (
            "RESERVE",
            "reserve",
            json!({"resources": [reserved("cpus", 1.0)]}),
        ),
        1 => (
            "RESERVE",
            "reserve",
            json!({"resources": [reserved("disk", 100.0), reserved("cpus", 0.5)]}),
        ),
        2 => ("CREATE", "create", json!({"volumes": [volume(50.0)]})),
        3 => ("DESTROY", "destroy", json!({"volumes": [volume(50.0)]})),
        4 => (
            "UNRESERVE",
            "unreserve",
            json!({"resources": [reserved("cpus", 0.5)]}),
        ),
        5 => (
            "UNRESERVE",
            "unreserve",
            json!({"resources": [reserved("disk", 50.0)]}),
        ),
        6 => (
            "GROW_VOLUME",
            "grow_volume",
            json!({"volume": volume(50.0), "addition": reserved("disk", 10.0)}),
        ),
        _ => (
            "SHRINK_VOLUME",
            "shrink_volume",
            json!({"volume": volume(60.0), "subtract": {"value": 10.0}}),
        ),
    };
    let mut operation = json!({"type": kind});
    operation[field] = body;
    operation
}

impl World {
    /// An offer of all that is free, accepted with up to five operations and a task with a reserved cpu or the volume.
    pub(crate) fn operate(&mut self, framework: usize, operations: u16, with_ids: bool) {
        let Some(scheduler) = self.scheduler(framework) else {
            return;
        };
        let Some((offer, agent)) = self.offers_of(&scheduler).into_iter().next() else {
            return;
        };
        let mut list = Vec::new();
        for place in 0..=(operations % 5) {
            let one = operation(operations >> (2 * place));
            self.next_task += 1;
            let id = format!("o{}", self.next_task);
            list.push(if with_ids { named(one, &id) } else { one });
        }
        if operations.is_multiple_of(3) {
            let uses = if operations.is_multiple_of(2) {
                json!([reserved("cpus", 0.5)])
            } else {
                json!([reserved("cpus", 0.5), volume(50.0)])
            };
            self.next_task += 1;
            let id = format!("t{}", self.next_task);
            let task = json!({"name": id, "task_id": {"value": id}, "agent_id": {"value": agent},
                "command": {"value": "true"}, "resources": uses});
            list.push(json!({"type": "LAUNCH", "launch": {"task_infos": [task]}}));
        }
        self.stage.call(&scheduler, accept(&[&offer], json!(list)));
        self.agents_take_what_is_booked(&agent, &scheduler.id);
    }

    pub(crate) fn operator_operates(&mut self, agent: usize, number: u8) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let operation = operation(number.into());
        let (kind, field) = match operation["type"].as_str().unwrap_or_default() {
            "RESERVE" => ("RESERVE_RESOURCES", "reserve"),
            "UNRESERVE" => ("UNRESERVE_RESOURCES", "unreserve"),
            "CREATE" => ("CREATE_VOLUMES", "create"),
            "DESTROY" => ("DESTROY_VOLUMES", "destroy"),
            "GROW_VOLUME" => ("GROW_VOLUME", "grow_volume"),
            _ => ("SHRINK_VOLUME", "shrink_volume"),
        };
        let mut body = operation[field].clone();
        body["agent_id"] = json!({"value": node.id});
        let mut call = json!({"type": kind});
        call[kind.to_lowercase()] = body;
        self.stage.operator_asks(call);
    }

    /// All orders that are on the connection arrive, in order.
    pub(crate) fn agent_obeys(&mut self, agent: usize, told: bool) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        // Orders that overtake the answer to a registration wait for it.
        let asked = self.asked.get(&node.id);
        if asked.is_some_and(|token| !self.stage.registrations.contains_key(token)) {
            return;
        }
        let Some(mut applied) = self.applied.remove(&node.id) else {
            return;
        };
        let mut answers = Vec::new();
        for order in self.stage.orders.remove(&node.peer).unwrap_or_default() {
            match order {
                Order::ApplyOperation(apply) => answers.extend(applied.apply(&node, &apply)),
                Order::AcknowledgeOperation(acknowledge) => applied.forget(&acknowledge),
                other => self.stage.orders.entry(node.peer).or_default().push(other),
            }
        }
        self.applied.insert(node.id.clone(), applied);
        if told && self.stage.is_connected(node.peer) {
            for answer in answers {
                let said = AgentMessage::OperationUpdate(Box::new(answer));
                self.stage.says(&node, said);
            }
        }
    }

    /// Of all that the agent has told and the master remembers.
    pub(crate) fn acknowledge_operations(&mut self, agent: usize) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let known = self.stage.core.agents.get(&node.id);
        let operations: Vec<_> = known
            .into_iter()
            .flat_map(|agent| agent.operations.values().cloned())
            .collect();
        for operation in operations {
            let framework = operation.framework_id.clone().unwrap_or_default().value;
            let id = operation.info.id.clone().unwrap_or_default().value;
            let uuid = operation.latest_status.uuid.clone().unwrap_or_default();
            if let Some(scheduler) = self.subscribed(&framework) {
                self.stage
                    .acknowledge_operation(&scheduler, &node, &id, &uuid.value);
            }
        }
    }

    /// What the agent says of them when it registers. It does not start where its configuration lacks what it keeps.
    pub(crate) fn tell_of_operations(&mut self, id: &str, request: &mut node::RegisterAgent) {
        let Some(applied) = self.applied.get_mut(id) else {
            return;
        };
        let kept = applied.total.to_checkpoint().to_proto();
        if total_of(&request.agent_info.resources, &kept).is_err() {
            request.agent_info.resources =
                crate::stage::parse("cpus:5;mem:4096;disk:1024;ports:[31000-31099]");
        }
        applied.total = total_of(&request.agent_info.resources, &kept).expect("it fits now");
        applied.tell(request);
    }

    /// Once every order has arrived, master and agents have the same in mind.
    pub(crate) fn all_agents_agree(&mut self) {
        for agent in 0..self.nodes.len() {
            let node: Node = self.nodes[agent].clone();
            if self.stage.core.peers.get(&node.peer) != Some(&node.id) {
                continue;
            }
            self.agent_obeys(agent, true);
            let Some(believed) = self.stage.core.agents.get(&node.id) else {
                // It was the last of what it was to end before it is gone.
                continue;
            };
            let believed = &believed.record.total;
            let believed = Resources::from_proto_unchecked(believed).to_checkpoint();
            let kept = self.applied[&node.id].total.to_checkpoint();
            assert_eq!(believed, kept, "{}", node.id);
        }
    }
}
