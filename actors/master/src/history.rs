//! The world around the master in tests of its histories: schedulers, agents and an allocator, each with a memory
//! of its own that may differ from what the master believes.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tepui_messages::master::{AgentMessage, PeerId};
use tepui_protocol::{
    node,
    v1::{ExecutorInfo, Task},
};

use crate::{
    core::{Input, Token},
    history_tasks::Proposed,
    stage::{Node, Scheduler, Stage, parse},
    stage_operations::Applied,
};

/// What happens; indices are taken modulo what there is.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Subscribe {
        failover_s: u8,
        aware: bool,
        role: bool,
    },
    Resubscribe(usize),
    LoseStream(usize),
    Teardown {
        framework: usize,
        by_operator: bool,
    },
    Update(usize),
    NewAgent,
    /// On a new connection, with some of its tasks and executors.
    AgentBack {
        agent: usize,
        keep: u8,
        grow: bool,
    },
    /// On the connection it has.
    AgentAgain(usize),
    LoseAgent {
        agent: usize,
        silent: bool,
    },
    AgentLeaves(usize),
    MarkGone(usize),
    Propose {
        framework: usize,
        agent: usize,
        part: u8,
        /// It is on its way while other things happen.
        late: bool,
    },
    /// The proposals on their way arrive.
    Deliver,
    Accept {
        framework: usize,
        offers: u8,
        tasks: u8,
        executor: bool,
    },
    Decline(usize),
    /// Accepts with some operations, and a task that may use what they make.
    Operate {
        framework: usize,
        operations: u16,
        named: bool,
    },
    OperatorOperates {
        agent: usize,
        operation: u8,
    },
    /// The agent does what it was ordered, and its answer arrives or not.
    AgentObeys {
        agent: usize,
        told: bool,
    },
    AcknowledgeOperations(usize),
    ReconcileOperations(usize),
    Status {
        task: usize,
        state: u8,
        behind: bool,
    },
    Acknowledge(usize),
    ExecutorExits(usize),
    Kill(usize),
    Reconcile(usize),
    Suppress {
        framework: usize,
        revive: bool,
    },
    Drain {
        agent: usize,
        gone: bool,
    },
    Deactivate {
        agent: usize,
        /// Or active again.
        off: bool,
    },
    /// The agent's machine enters the schedule, goes down, or is up again.
    Maintain {
        agent: usize,
        mode: u8,
    },
    AnswerInverse {
        framework: usize,
        accept: bool,
        seconds: u8,
    },
    HoldWrites,
    FinishWrite,
    ReleaseWrites,
    Pass(u16),
    FailOver,
}

/// The world around the master: what schedulers and agents remember.
pub(crate) struct World {
    pub(crate) stage: Stage,
    /// Subscriptions as their schedulers see them; the stream is empty once it is lost.
    pub(crate) schedulers: Vec<(Scheduler, Value)>,
    pub(crate) nodes: Vec<Node>,
    /// What ran on each agent, whatever the master thinks of it.
    pub(crate) ran: Vec<(String, Task)>,
    pub(crate) executors: Vec<(String, ExecutorInfo)>,
    /// What each agent has done of what it was ordered.
    pub(crate) applied: BTreeMap<String, Applied>,
    /// The last registration of each agent that came back.
    pub(crate) asked: BTreeMap<String, Token>,
    pub(crate) on_their_way: Vec<Proposed>,
    pub(crate) next_task: u64,
    pub(crate) next_uuid: u8,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            stage: Stage::new(),
            schedulers: Vec::new(),
            nodes: Vec::new(),
            ran: Vec::new(),
            executors: Vec::new(),
            applied: BTreeMap::new(),
            asked: BTreeMap::new(),
            on_their_way: Vec::new(),
            next_task: 0,
            next_uuid: 0,
        }
    }

    /// The framework, if it is subscribed as far as the master knows.
    pub(crate) fn scheduler(&self, index: usize) -> Option<Scheduler> {
        let (scheduler, _) = self.schedulers.get(index % self.schedulers.len().max(1))?;
        let framework = self.stage.core.frameworks.get(&scheduler.id)?;
        let stream = framework.stream_id.clone()?;
        Some(Scheduler {
            id: scheduler.id.clone(),
            stream,
        })
    }

    pub(crate) fn node(&self, index: usize) -> Option<(usize, Node)> {
        let index = index % self.nodes.len().max(1);
        Some((index, self.nodes.get(index)?.clone()))
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Subscribe {
                failover_s,
                aware,
                role,
            } => self.subscribe(failover_s, aware, role),
            Step::Resubscribe(index) => self.resubscribe(index),
            Step::LoseStream(index) => {
                let known = self.schedulers.get(index % self.schedulers.len().max(1));
                let stream = known.map(|(scheduler, _)| scheduler.stream.clone());
                if let Some(stream) = stream.filter(|stream| self.stage.is_open(stream)) {
                    self.stage.lose_stream(&stream);
                }
            }
            Step::Teardown {
                framework,
                by_operator,
            } => self.teardown(framework, by_operator),
            Step::Update(index) => self.update_framework(index),
            Step::NewAgent => self.new_agent(),
            Step::AgentBack { agent, keep, grow } => self.agent_back(agent, keep, grow, false),
            Step::AgentAgain(agent) => self.agent_back(agent, 0xff, false, true),
            Step::LoseAgent { agent, silent } => {
                if let Some((_, node)) = self.node(agent)
                    && self.stage.is_connected(node.peer)
                {
                    let peer = node.peer;
                    self.stage.input(Input::AgentLost { peer, silent });
                }
            }
            Step::AgentLeaves(agent) => {
                if let Some((_, node)) = self.node(agent) {
                    let leaves = AgentMessage::Leaves(node::AgentLeaves::default());
                    self.stage.says(&node, leaves);
                    // Its process has ended: what is on the connection reaches nobody.
                    self.stage.orders.remove(&node.peer);
                }
            }
            Step::Deactivate { agent, off } => self.deactivate(agent, off),
            Step::Drain { agent, gone } => self.drain(agent, gone),
            Step::Maintain { agent, mode } => self.maintain(agent, mode),
            Step::AnswerInverse {
                framework,
                accept,
                seconds,
            } => self.answer_inverse(framework, accept, seconds),
            Step::MarkGone(agent) => {
                if let Some((_, node)) = self.node(agent) {
                    self.stage.operator_asks(json!({"type": "MARK_AGENT_GONE",
                        "mark_agent_gone": {"agent_id": {"value": node.id}}}));
                }
            }
            Step::HoldWrites => self.stage.hold_writes = true,
            Step::FinishWrite => {
                self.stage.finish_write();
            }
            Step::ReleaseWrites => self.stage.release_writes(),
            Step::Pass(seconds) => self.stage.pass(Duration::from_secs(seconds.into())),
            Step::FailOver => {
                self.stage.hold_writes = false;
                self.on_their_way.clear();
                // What was ordered on them and has not arrived never does.
                let peers = self.nodes.iter().map(|node| node.peer);
                self.stage.lost_peers.extend(peers);
                self.stage.fail_over();
            }
            other => self.take_of_tasks(other),
        }
    }

    fn take_of_tasks(&mut self, step: Step) {
        match step {
            Step::Propose {
                framework,
                agent,
                part,
                late,
            } => {
                self.propose(framework, agent, part);
                if !late {
                    self.deliver();
                }
            }
            Step::Deliver => self.deliver(),
            Step::Accept {
                framework,
                offers,
                tasks,
                executor,
            } => self.accept(framework, offers, tasks, executor),
            Step::Decline(index) => {
                if let Some(scheduler) = self.scheduler(index) {
                    let ids: Vec<Value> = self
                        .offers_of(&scheduler)
                        .into_iter()
                        .map(|(id, _)| json!({"value": id}))
                        .collect();
                    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": ids}});
                    self.stage.call(&scheduler, decline);
                }
            }
            Step::Status {
                task,
                state,
                behind,
            } => self.status(task, state, behind),
            Step::Operate {
                framework,
                operations,
                named,
            } => self.operate(framework, operations, named),
            Step::OperatorOperates { agent, operation } => self.operator_operates(agent, operation),
            Step::AgentObeys { agent, told } => self.agent_obeys(agent, told),
            Step::AcknowledgeOperations(agent) => self.acknowledge_operations(agent),
            Step::ReconcileOperations(framework) => {
                if let Some(scheduler) = self.scheduler(framework) {
                    self.stage.reconcile_operations(&scheduler, json!([]));
                }
            }
            Step::Acknowledge(task) => self.acknowledge(task),
            Step::ExecutorExits(index) => self.executor_exits(index),
            Step::Kill(task) => {
                if let Some((id, task)) = self.ran_task(task)
                    && let Some(scheduler) = self.subscribed(&task.framework_id.value)
                {
                    let kill = json!({"type": "KILL", "kill": {
                        "task_id": {"value": task.task_id.value}, "agent_id": {"value": id}}});
                    self.stage.call(&scheduler, kill);
                }
            }
            Step::Reconcile(index) => {
                if let Some(scheduler) = self.scheduler(index) {
                    let reconcile = json!({"type": "RECONCILE", "reconcile": {}});
                    self.stage.call(&scheduler, reconcile);
                }
            }
            Step::Suppress { framework, revive } => {
                if let Some(scheduler) = self.scheduler(framework) {
                    let kind = if revive { "REVIVE" } else { "SUPPRESS" };
                    self.stage.call(&scheduler, json!({"type": kind}));
                }
            }
            other => unreachable!("{other:?} is taken above"),
        }
    }

    pub(crate) fn subscribe(&mut self, failover_s: u8, aware: bool, role: bool) {
        if self.schedulers.len() >= 4 {
            return;
        }
        let mut info = json!({"failover_timeout": f64::from(failover_s),
            "role": if role { "dev" } else { "*" }});
        if aware {
            info["capabilities"] = json!([{"type": "PARTITION_AWARE"}]);
        }
        // The scheduler chose its id, so that it is known while the admission is being written.
        let id = format!("framework-{}", self.stage.next());
        info["id"] = json!({"value": id});
        let stream = self.stage.open(info.clone(), &[]);
        self.schedulers.push((Scheduler { id, stream }, info));
    }

    fn resubscribe(&mut self, index: usize) {
        if self.schedulers.is_empty() {
            return;
        }
        let index = index % self.schedulers.len();
        let (scheduler, info) = self.schedulers[index].clone();
        let stream = self.stage.open(info.clone(), &[]);
        let id = scheduler.id;
        self.schedulers[index] = (Scheduler { id, stream }, info);
    }

    fn teardown(&mut self, framework: usize, by_operator: bool) {
        let Some(scheduler) = self.scheduler(framework) else {
            return;
        };
        if by_operator {
            self.stage.operator_asks(json!({"type": "TEARDOWN",
                "teardown": {"framework_id": {"value": scheduler.id}}}));
        } else {
            self.stage.call(&scheduler, json!({"type": "TEARDOWN"}));
        }
    }

    /// Moves the framework to another role.
    fn update_framework(&mut self, index: usize) {
        let Some(scheduler) = self.scheduler(index) else {
            return;
        };
        let index = index % self.schedulers.len();
        let info = &mut self.schedulers[index].1;
        info["role"] = json!(if info["role"] == "dev" { "*" } else { "dev" });
        let mut info = info.clone();
        info["user"] = json!("root");
        info["name"] = json!("test");
        self.stage.call(
            &scheduler,
            json!({"type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": info}}),
        );
    }

    pub(crate) fn new_agent(&mut self) {
        if self.stage.hold_writes || self.nodes.len() >= 3 {
            return;
        }
        let node = self
            .stage
            .agent("cpus:4;mem:4096;disk:1024;ports:[31000-31099]");
        self.applied.insert(node.id.clone(), Applied::new(&node));
        self.nodes.push(node);
    }

    fn agent_back(&mut self, agent: usize, keep: u8, grow: bool, same_connection: bool) {
        let Some((index, node)) = self.node(agent) else {
            return;
        };
        let mut request = node.request.clone();
        let mut kept = 0..;
        let mut keeps = || keep >> (kept.next().unwrap_or(0) % 8) & 1 == 1;
        let live = |task: &Task| !crate::tables::is_terminal(task.state());
        let tasks = self
            .ran
            .iter()
            .filter(|(id, task)| *id == node.id && live(task));
        request.tasks = tasks
            .map(|(_, task)| task.clone())
            .filter(|_| keeps())
            .collect();
        let executors = self.executors.iter().filter(|(id, _)| *id == node.id);
        request.executors = executors
            .map(|(_, e)| e.clone())
            .filter(|_| keeps())
            .collect();
        let frameworks = self.schedulers.iter().map(|(scheduler, info)| {
            let mut info = info.clone();
            info["id"] = json!({"value": scheduler.id});
            info["user"] = json!("root");
            info["name"] = json!("test");
            crate::stage::decode(&info)
        });
        request.frameworks = frameworks.collect();
        if grow {
            request.agent_info.resources = parse("cpus:5;mem:4096;disk:1024;ports:[31000-31099]");
            let rack = json!({"name": "rack", "type": "TEXT", "text": {"value": "b"}});
            request.agent_info.attributes = vec![crate::stage::decode(&rack)];
        }
        self.tell_of_operations(&node.id, &mut request);
        let peer = match same_connection && self.stage.is_connected(node.peer) {
            true => node.peer,
            false => PeerId(self.stage.next()),
        };
        let token = self.stage.begin_registration(peer, request);
        self.asked.insert(node.id, token);
        self.nodes[index].peer = peer;
    }
}
