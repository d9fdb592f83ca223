//! Tasks, the allocator's and the agents' side of the [`Stage`].

use serde_json::{Value, json};
use tepui_messages::{
    allocator::{Proposal, Proposals},
    master::{AgentMessage, Answer, PeerId},
};
use tepui_protocol::{
    node,
    v1::{
        AgentInfo, FrameworkId, Resource, Task, TaskState, TaskStatus,
        agent_info::{Capability, capability},
    },
};

use crate::{
    core::{Input, Order, Token},
    stage::{Node, Scheduler, Stage, agent_id, decode, parse, task},
};

impl Stage {
    /// Offers what the task needs and launches it.
    pub(crate) fn run(&mut self, scheduler: &Scheduler, node: &Node, id: &str, resources: &str) {
        let offer = self.offer(scheduler, node, resources);
        let answer = self.accept(scheduler, &[&offer], &[task(id, node, resources)]);
        assert_eq!(answer, Answer::ACCEPTED);
        assert_eq!(self.state(scheduler, id), Some(TaskState::TaskStaging));
    }

    pub(crate) fn state(&self, scheduler: &Scheduler, task: &str) -> Option<TaskState> {
        let framework = self.core.frameworks.get(&scheduler.id)?;
        Some(framework.tasks.get(task)?.task.state())
    }

    /// A new agent.
    pub(crate) fn agent(&mut self, resources: &str) -> Node {
        let number = self.next();
        let request = node::RegisterAgent {
            agent_info: AgentInfo {
                hostname: format!("host-{number}"),
                port: Some(5051),
                resources: parse(resources),
                ..Default::default()
            },
            version: "1.11.0".to_string(),
            capabilities: vec![Capability {
                r#type: Some(capability::Type::AgentDraining as i32),
            }],
            pid: format!("slave(1)@127.0.0.1:{}", 5000 + number),
            ..Default::default()
        };
        let (node, registration) = self.register(request);
        assert_eq!(registration.refusal, None);
        node
    }

    /// Registers on a new connection.
    pub(crate) fn register(
        &mut self,
        request: node::RegisterAgent,
    ) -> (Node, node::AgentRegistration) {
        let peer = PeerId(self.next());
        self.register_on(peer, request)
    }

    pub(crate) fn register_on(
        &mut self,
        peer: PeerId,
        mut request: node::RegisterAgent,
    ) -> (Node, node::AgentRegistration) {
        let token = self.begin_registration(peer, request.clone());
        let registration = self.registration(token).expect("an answer");
        let id = registration
            .agent_id
            .clone()
            .or_else(|| request.agent_info.id.take());
        request.agent_info.id = id.clone();
        let id = id.unwrap_or_default().value;
        (Node { id, peer, request }, registration)
    }

    pub(crate) fn begin_registration(
        &mut self,
        peer: PeerId,
        request: node::RegisterAgent,
    ) -> Token {
        let token = self.next();
        self.input(Input::AgentRegisters {
            token,
            peer,
            address: [127, 0, 0, 1].into(),
            request: Box::new(request),
        });
        token
    }

    pub(crate) fn registration(&mut self, token: Token) -> Option<node::AgentRegistration> {
        self.registrations.remove(&token)
    }

    /// The agent returns on a new connection with all that this master (or the one before) gave it.
    pub(crate) fn back(
        &mut self,
        node: &Node,
        tasks: Vec<Task>,
    ) -> (Node, node::AgentRegistration) {
        let mut request = node.request.clone();
        request.tasks = tasks;
        self.register(request)
    }

    pub(crate) fn lose(&mut self, node: &Node) {
        let peer = node.peer;
        self.input(Input::AgentLost {
            peer,
            silent: false,
        });
    }

    pub(crate) fn says(&mut self, node: &Node, what: AgentMessage) {
        self.input(Input::AgentSays {
            peer: node.peer,
            what,
        });
    }

    /// A status update of the agent, with a uuid of sixteen times `uuid`.
    pub(crate) fn update(
        &mut self,
        node: &Node,
        scheduler: &Scheduler,
        task: &str,
        state: TaskState,
        uuid: u8,
    ) {
        self.update_behind(node, scheduler, task, state, uuid, state);
    }

    /// An update whose task has gone further meanwhile.
    pub(crate) fn update_behind(
        &mut self,
        node: &Node,
        scheduler: &Scheduler,
        task: &str,
        state: TaskState,
        uuid: u8,
        latest: TaskState,
    ) {
        let status = TaskStatus {
            task_id: tepui_protocol::v1::TaskId {
                value: task.to_string(),
            },
            state: state as i32,
            agent_id: Some(agent_id(&node.id)),
            uuid: Some(vec![uuid; 16].into()),
            ..Default::default()
        };
        let update = node::StatusUpdate {
            framework_id: FrameworkId {
                value: scheduler.id.clone(),
            },
            status,
            latest_state: latest as i32,
        };
        self.says(node, AgentMessage::StatusUpdate(Box::new(update)));
    }

    pub(crate) fn acknowledge(
        &mut self,
        scheduler: &Scheduler,
        node: &Node,
        task: &str,
        uuid: u8,
    ) -> Answer {
        let stream = scheduler.stream.clone();
        let uuid = tepui_protocol::v1::scheduler::call::Acknowledge {
            agent_id: agent_id(&node.id),
            task_id: tepui_protocol::v1::TaskId {
                value: task.to_string(),
            },
            uuid: vec![uuid; 16].into(),
        };
        let token = self.next();
        let mut call: tepui_protocol::v1::scheduler::Call =
            decode(&json!({"type": "ACKNOWLEDGE", "framework_id": {"value": scheduler.id}}));
        call.acknowledge = Some(uuid);
        self.input(Input::Call {
            token,
            stream_id: Some(stream),
            principal: None,
            call: Box::new(call),
        });
        self.answers.remove(&token).expect("an answer")
    }

    /// What the agent was told since the last look: the order's name and what it concerns.
    pub(crate) fn ordered(&mut self, node: &Node) -> Vec<String> {
        self.orders
            .remove(&node.peer)
            .unwrap_or_default()
            .iter()
            .map(show_order)
            .collect()
    }

    pub(crate) fn propose(&mut self, framework: &str, role: &str, agent: &str, resources: &str) {
        self.propose_resources(framework, role, agent, parse(resources));
    }

    pub(crate) fn propose_resources(
        &mut self,
        framework: &str,
        role: &str,
        agent: &str,
        resources: Vec<Resource>,
    ) {
        self.ledger.hold(agent, framework, role, &resources);
        self.propose_seen(self.core.told, framework, role, agent, resources);
    }

    /// A proposal of an allocator that had been told of `seen` changes; the ledger is not asked.
    pub(crate) fn propose_seen(
        &mut self,
        seen: u64,
        framework: &str,
        role: &str,
        agent: &str,
        resources: Vec<Resource>,
    ) {
        let proposals = vec![Proposal {
            framework_id: FrameworkId {
                value: framework.to_string(),
            },
            role: role.to_string(),
            agents: vec![(agent_id(agent).into(), resources.into())],
        }];
        self.input(Input::Proposals(Proposals { proposals, seen }));
    }

    /// The live task as the agent would report it.
    pub(crate) fn task(&self, scheduler: &Scheduler, task: &str) -> Task {
        let entry = &self.core.frameworks[&scheduler.id].tasks[task];
        (*entry.task).clone()
    }
}

fn show_order(order: &Order) -> String {
    match order {
        Order::RunTask(run) => format!("run {}", run.task.task_id.value),
        Order::RunTaskGroup(run) => {
            let tasks = run.task_group.tasks.iter();
            let ids: Vec<&str> = tasks.map(|task| task.task_id.value.as_str()).collect();
            let executor = if run.launch_executor { "new" } else { "known" };
            format!("run group {} with {executor} executor", ids.join(" "))
        }
        Order::KillTask(kill) => format!("kill {}", kill.task_id.value),
        Order::ShutdownExecutor(shutdown) => {
            format!("shutdown executor {}", shutdown.executor_id.value)
        }
        Order::ShutdownFramework(_) => "shutdown framework".to_string(),
        Order::UpdateFramework(_) => "update framework".to_string(),
        Order::DrainAgent(_) => "drain".to_string(),
        Order::ShutdownAgent(shutdown) => format!("shutdown: {}", shutdown.reason),
        Order::AcknowledgeUpdate(acknowledge) => {
            format!("acknowledge {}", acknowledge.task_id.value)
        }
        Order::ApplyOperation(apply) => apply.operation.r#type().as_str_name().to_string(),
        Order::AcknowledgeOperation(_) => "acknowledge operation".to_string(),
        Order::ToExecutor(message) => format!("message {}", message.executor_id.value),
    }
}

pub(crate) fn show_event(event: &Value) -> String {
    let status = match event["type"].as_str().unwrap() {
        "UPDATE" => &event["update"]["status"],
        "RESCIND" => return format!("RESCIND {}", text(&event["rescind"]["offer_id"]["value"])),
        "ERROR" => return format!("ERROR {}", text(&event["error"]["message"])),
        other => return other.to_string(),
    };
    let parts = [
        &status["task_id"]["value"],
        &status["state"],
        &status["reason"],
        &status["message"],
    ];
    let shown: Vec<&str> = parts.into_iter().filter_map(Value::as_str).collect();
    shown.join(" ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
