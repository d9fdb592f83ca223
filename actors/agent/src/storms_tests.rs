//! Anything in any order, with crashes: the promises hold.

use proptest::prelude::*;

use crate::testing::*;

/// The first run alone, the others in groups.
const TASKS: [&str; 7] = ["t0", "t1", "t2", "g0", "g1", "h0", "h1"];
const ALONE: usize = 3;
/// Both under one default executor.
const GROUPS: [[&str; 2]; 2] = [["g0", "g1"], ["h0", "h1"]];

#[derive(Debug, Clone)]
enum Step {
    Run(usize),
    Group(usize),
    Kill(usize),
    /// The oldest launch that was ordered succeeds, or fails.
    Launched(bool),
    /// A container ends.
    Exit(usize, i32),
    /// The master takes the oldest update it was sent and, perhaps, acknowledges it.
    Hear {
        acknowledge: bool,
    },
    Sleep(u64),
    Lost,
    Back,
    /// `kill -9` of the agent; containers run on.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..ALONE).prop_map(Step::Run),
        4 => (0..GROUPS.len()).prop_map(Step::Group),
        2 => (0..TASKS.len()).prop_map(Step::Kill),
        5 => prop::bool::weighted(0.8).prop_map(Step::Launched),
        3 => (0..5_usize, prop::sample::select(vec![0, 256, 9])).prop_map(|(at, status)| Step::Exit(at, status)),
        8 => prop::bool::weighted(0.7).prop_map(|acknowledge| Step::Hear { acknowledge }),
        2 => (1..30_u64).prop_map(Step::Sleep),
        1 => Just(Step::Lost),
        1 => Just(Step::Back),
        1 => Just(Step::Crash),
    ]
}

/// The machine and the master around the node.
struct Storm {
    node: Node,
    connected: bool,
    /// Containers whose launch is ordered, and those that run.
    ordered: Vec<String>,
    running: Vec<String>,
    /// Containers of default executors: they end when they are asked to.
    pods: Vec<String>,
    /// What the master was told, by task.
    heard: BTreeMap<String, Vec<(Vec<u8>, TaskState)>>,
    ran: Vec<String>,
    /// Tasks the master has done with: it sends no kill for them.
    done: Vec<String>,
}

impl Storm {
    fn new() -> Self {
        Self {
            node: Node::running(),
            connected: true,
            ordered: Vec::new(),
            running: Vec::new(),
            pods: Vec::new(),
            heard: BTreeMap::new(),
            ran: Vec::new(),
            done: Vec::new(),
        }
    }

    fn settle(&mut self) {
        let said = std::mem::take(&mut self.node.said);
        for effect in said {
            match effect {
                Effect::Launch(launch) => {
                    let id = launch.order.container_id;
                    if launch.order.is_holder {
                        self.pods.push(id.clone());
                    }
                    self.ordered.push(id);
                }
                Effect::Signal { container_id, .. } if self.pods.contains(&container_id) => {
                    if self.running.contains(&container_id) {
                        self.running.retain(|id| *id != container_id);
                        self.node.exit(&container_id, 0);
                    }
                }
                Effect::Destroy { container_id } => {
                    if self.ordered.contains(&container_id) {
                        self.ordered.retain(|id| *id != container_id);
                        let message = "killed".to_owned();
                        self.node.on(Input::LaunchFailed {
                            container_id,
                            message,
                        });
                    } else if self.running.contains(&container_id) {
                        self.running.retain(|id| *id != container_id);
                        self.node.exit(&container_id, 9);
                    }
                }
                Effect::Recover { container_id } => {
                    let fate = if self.running.contains(&container_id) {
                        Fate::Running {
                            shim: mark(),
                            pid: 42,
                        }
                    } else {
                        Fate::Gone
                    };
                    self.node
                        .on(Input::ContainerRecovered { container_id, fate });
                }
                Effect::Register { connection, .. } => {
                    let answer = Ok(Box::new(registration()));
                    self.node
                        .on(Input::RegistrationAnswered { connection, answer });
                }
                kept => self.node.said.push(kept),
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            // The master does not give an id twice while it knows the task.
            Step::Run(at) if self.connected && !self.ran.contains(&TASKS[*at].to_owned()) => {
                self.ran.push(TASKS[*at].to_owned());
                self.node.run(task(TASKS[*at]));
            }
            Step::Group(at) if self.connected && !self.ran.contains(&GROUPS[*at][0].to_owned()) => {
                self.ran.extend(GROUPS[*at].map(str::to_owned));
                let is_new = self.node.core.state().frameworks.iter().all(|known| {
                    let mut executors = known.executors.iter();
                    executors.all(|it| it.info.executor_id.value != "e")
                });
                let tasks = GROUPS[*at].map(task).to_vec();
                self.node.order(group_order(pod(), tasks, is_new));
            }
            Step::Kill(at) => {
                let task = TASKS[*at].to_owned();
                if self.ran.contains(&task) && !self.done.contains(&task) {
                    self.node.kill(&task, None);
                }
            }
            Step::Launched(well) if !self.ordered.is_empty() => {
                let container_id = self.ordered.remove(0);
                self.node.forked(&container_id);
                self.node.on(if *well {
                    self.running.push(container_id.clone());
                    Input::ContainerStarted {
                        container_id,
                        shim: mark(),
                        pid: 42,
                    }
                } else {
                    Input::LaunchFailed {
                        container_id,
                        message: "no".to_owned(),
                    }
                });
            }
            Step::Exit(at, status) if *at < self.running.len() => {
                let container_id = self.running.remove(*at);
                self.node.exit(&container_id, *status);
            }
            Step::Hear { acknowledge } => drop(self.hear(*acknowledge)),
            Step::Sleep(seconds) => self.node.sleep(Duration::from_secs(*seconds)),
            Step::Lost => {
                self.connected = false;
                self.node.on(Input::MasterLost { connection: 1 });
            }
            Step::Back if !self.connected => {
                self.connected = true;
                self.node.on(Input::MasterConnected { connection: 1 });
            }
            Step::Crash => {
                self.ordered.clear();
                self.node = self.node.restart("boot");
                self.connected = true;
                self.node.on(Input::MasterConnected { connection: 1 });
            }
            _ => {}
        }
        // Each may bring about the next: the last of a group, its executor, what was queued behind it.
        for _ in 0..4 {
            self.settle();
        }
    }

    fn hear(&mut self, acknowledge: bool) -> bool {
        let at = self
            .node
            .said
            .iter()
            .position(|it| matches!(it, Effect::SendUpdate(_)));
        let Some(Effect::SendUpdate(update)) = at.map(|at| self.node.said.remove(at)) else {
            return false;
        };
        let uuid = update.status.uuid.clone().expect("a uuid");
        let heard = self
            .heard
            .entry(update.status.task_id.value.clone())
            .or_default();
        let new = (uuid.to_vec(), update.status.state());
        if !heard.contains(&new) {
            heard.push(new);
        }
        if acknowledge {
            if updates::is_terminal(update.status.state()) {
                self.done.push(update.status.task_id.value.clone());
            }
            self.node
                .order(Order::AcknowledgeUpdate(node::AcknowledgeUpdate {
                    framework_id: update.framework_id,
                    task_id: update.status.task_id,
                    uuid,
                    term: 3,
                }));
        }
        true
    }
}

proptest! {
    #[test]
    fn every_task_ends_once_and_nothing_is_left(steps in prop::collection::vec(step(), 1..80)) {
        let mut storm = Storm::new();
        for step in &steps {
            storm.take(step);
            prop_assert_eq!(storm.node.core.broken_invariant(), None);
        }
        // Calm: the master is there, launches succeed, commands end, updates are acknowledged.
        storm.take(&Step::Back);
        for _ in 0..60 {
            storm.take(&Step::Launched(true));
            storm.take(&Step::Exit(0, 0));
            while storm.hear(true) {}
            storm.take(&Step::Sleep(600));
        }
        for task in &storm.ran {
            let states: Vec<_> = storm.heard.get(task).into_iter().flatten().map(|(_, state)| *state).collect();
            let ends = states.iter().filter(|state| updates::is_terminal(**state)).count();
            prop_assert_eq!(ends, 1, "{} was told {:?}", task, states);
            prop_assert!(updates::is_terminal(*states.last().expect("one")), "{} was told {:?}", task, states);
        }
        let Kept { frameworks, containers, tasks, streams, .. } = storm.node.kept;
        prop_assert!(frameworks.is_empty() && containers.is_empty() && tasks.is_empty() && streams.is_empty());
    }
}
