use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_protocol::v1::{
    Label, Labels, ResourceStatistics, TaskInfo, TaskState, resource::RevocableInfo,
};

use super::*;
use crate::{
    controllers::{self, QosController},
    effect::{Effect, Input, Order},
    estimators::{self, ResourceEstimator},
    testing::{Node, config, executor_task, framework, pod, scalar, task},
    usage::Load,
};

const INTERVAL: Duration = Duration::from_secs(15);

fn revocable(name: &str, value: f64) -> Resource {
    Resource {
        revocable: Some(RevocableInfo {}),
        ..scalar(name, value)
    }
}

fn revocable_task(id: &str, cpus: f64) -> TaskInfo {
    TaskInfo {
        resources: vec![revocable("cpus", cpus)],
        ..task(id)
    }
}

fn blank(estimator: &str, controller: &str) -> Node {
    let mut node = Node::blank();
    let mut config = config();
    config.estimator = estimators::parse(estimator).unwrap();
    config.controller = controllers::parse(controller).unwrap();
    node.core = NodeCore::new(config);
    node
}

fn begun(mut node: Node) -> Node {
    node.on(Input::Recovered(Box::default()));
    node.connect();
    node
}

/// The measurements asked for, and how many containers they look at.
fn asked(node: &mut Node) -> Vec<(Purpose, usize)> {
    let mut asked = Vec::new();
    node.said.retain(|effect| {
        if let Effect::Measure {
            purpose,
            containers,
        } = effect
        {
            asked.push((*purpose, containers.len()));
            return false;
        }
        true
    });
    asked
}

fn tell(node: &mut Node, purpose: Purpose, measured: Measured) {
    node.on(Input::Measured { purpose, measured });
}

fn load(five_minutes: f64) -> Measured {
    Measured {
        load: Some(Load {
            five_minutes,
            fifteen_minutes: 0.0,
        }),
        ..Measured::default()
    }
}

/// The amounts of cpus the master was told of.
fn told(node: &mut Node) -> Vec<f64> {
    let mut told = Vec::new();
    node.said.retain(|effect| {
        if let Effect::SendOversubscribed(message) = effect {
            assert!(message.resources.iter().all(|it| it.revocable.is_some()));
            let cpus = Resources::from_proto(&message.resources).unwrap().cpus();
            told.push(cpus.to_f64());
            return false;
        }
        true
    });
    told
}

#[test]
fn a_node_that_lends_nothing_asks_nobody() {
    let mut node = begun(blank("noop", "noop"));
    node.sleep(INTERVAL * 10);
    assert_eq!(asked(&mut node), []);
    assert!(told(&mut node).is_empty());
}

#[test]
fn an_estimate_is_told_when_it_is_new_and_made_again_each_interval() {
    let mut node = begun(blank("fixed=cpus:2", "noop"));
    assert_eq!(asked(&mut node), [(Purpose::Estimate, 0)]);
    assert!(told(&mut node).is_empty(), "there is no estimate yet");
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert_eq!(told(&mut node), [2.0]);
    node.sleep(INTERVAL - Duration::from_millis(1));
    assert_eq!(asked(&mut node), []);
    node.sleep(Duration::from_millis(1));
    assert_eq!(asked(&mut node), [(Purpose::Estimate, 0)]);
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert!(told(&mut node).is_empty(), "it is the same");
    let total = node.core.state().total;
    assert_eq!(
        Resources::from_proto(&total)
            .unwrap()
            .revocable()
            .cpus()
            .to_f64(),
        2.0
    );
}

#[test]
fn each_registration_is_told_of_the_estimate() {
    let mut node = begun(blank("fixed=cpus:2", "noop"));
    tell(&mut node, Purpose::Estimate, Measured::default());
    node.said.clear();
    node.on(Input::MasterLost { connection: 1 });
    node.on(Input::MasterConnected { connection: 2 });
    let request = node.said.iter().find_map(|effect| match effect {
        Effect::Register { request, .. } => Some(request.clone()),
        _ => None,
    });
    let lent = request.expect("a registration").oversubscribed_resources;
    assert_eq!(lent, [revocable("cpus", 2.0)]);
    node.on(Input::RegistrationAnswered {
        connection: 2,
        answer: Ok(Box::new(crate::testing::registration())),
    });
    assert_eq!(told(&mut node), [2.0]);
}

#[test]
fn what_a_task_was_lent_is_part_of_the_total() {
    let mut node = begun(blank("fixed=cpus:2", "noop"));
    tell(&mut node, Purpose::Estimate, Measured::default());
    told(&mut node);
    node.run(revocable_task("t", 1.5));
    let container = node.start();
    node.sleep(INTERVAL);
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert!(told(&mut node).is_empty(), "a fixed amount stays as it is");
    node.exit(&container, 0);
    node.sleep(INTERVAL);
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert!(told(&mut node).is_empty());
}

#[test]
fn lent_cpus_give_way_to_others() {
    for (id, resource, weight) in [
        ("own", scalar("cpus", 2.0), 2000),
        ("lent", revocable("cpus", 2.0), 20),
        ("memory", revocable("mem", 64.0), 0),
    ] {
        let mut node = begun(blank("noop", "noop"));
        let mut task = executor_task(id);
        if let Some(executor) = &mut task.executor {
            executor.resources = vec![resource];
        }
        node.run(task);
        let amounts = node.launched().order.amounts;
        assert_eq!(amounts.cpu_milli.unwrap_or(0), weight, "{id}");
    }
}

/// Says what it is told to, and remembers what it was shown.
#[derive(Debug, Default)]
struct Stub {
    lends: Mutex<Vec<Resource>>,
    seen: Mutex<Vec<String>>,
}

impl ResourceEstimator for Stub {
    fn oversubscribable(&self, usage: &Usage) -> Resources {
        *self.seen.lock().unwrap() = shown(usage);
        Resources::from_proto_unchecked(&self.lends.lock().unwrap())
    }
}

impl QosController for Stub {
    fn corrections(&self, usage: &Usage, _: Option<Load>) -> Vec<ExecutorKey> {
        *self.seen.lock().unwrap() = shown(usage);
        Vec::new()
    }
}

fn shown(usage: &Usage) -> Vec<String> {
    let executors = usage.executors.iter();
    let lines = executors.map(|executor| {
        let tasks = executor.tasks.iter();
        let tasks: Vec<String> = tasks
            .map(|task| format!("{} {:?}", task.task_id.value, task.labels))
            .collect();
        let labels = &executor.info.labels;
        let rss = executor.statistics.as_ref().and_then(|it| it.mem_rss_bytes);
        let (id, allocated) = (&executor.key.executor_id, &executor.allocated);
        format!("{id} {labels:?} {allocated} {rss:?} {tasks:?}")
    });
    lines.collect()
}

fn label(key: &str) -> Option<Labels> {
    let label = Label {
        key: key.to_owned(),
        value: None,
    };
    Some(Labels {
        labels: vec![label],
    })
}

#[test]
fn estimator_and_controller_are_shown_what_runs_and_what_it_uses() {
    let stub = Arc::new(Stub::default());
    let mut node = Node::blank();
    let mut config = config();
    config.estimator = Some(Arc::clone(&stub) as Arc<dyn ResourceEstimator>);
    config.controller = Some(Arc::clone(&stub) as Arc<dyn QosController>);
    node.core = NodeCore::new(config);
    let mut node = begun(node);
    asked(&mut node);
    let mut task = executor_task("t");
    task.labels = label("of-task");
    task.resources = vec![scalar("cpus", 1.0)];
    if let Some(executor) = &mut task.executor {
        executor.labels = label("of-executor");
        executor.resources = vec![scalar("mem", 32.0)];
    }
    node.run(task);
    let container_id = node.start();
    for purpose in [Purpose::Estimate, Purpose::Correct] {
        node.sleep(INTERVAL);
        let statistics = ResourceStatistics {
            mem_rss_bytes: Some(1024),
            ..ResourceStatistics::default()
        };
        let measured = Measured {
            statistics: BTreeMap::from([(container_id.clone(), statistics)]),
            load: None,
        };
        stub.seen.lock().unwrap().clear();
        tell(&mut node, purpose, measured);
        let seen = stub.seen.lock().unwrap().join("\n");
        for part in [
            "e Some",
            "of-executor",
            "mem:32; cpus:1",
            "Some(1024)",
            "\"t Some",
            "of-task",
        ] {
            assert!(seen.contains(part), "{part}: {seen}");
        }
    }
}

#[test]
fn only_what_can_be_taken_back_is_lent() {
    let stub = Arc::new(Stub::default());
    *stub.lends.lock().unwrap() = vec![scalar("cpus", 3.0), revocable("cpus", 1.0)];
    let mut node = Node::blank();
    let mut config = config();
    config.estimator = Some(Arc::clone(&stub) as Arc<dyn ResourceEstimator>);
    node.core = NodeCore::new(config);
    let mut node = begun(node);
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert_eq!(told(&mut node), [1.0]);
    *stub.lends.lock().unwrap() = vec![revocable("cpus", 0.5)];
    node.sleep(INTERVAL);
    tell(&mut node, Purpose::Estimate, Measured::default());
    assert_eq!(told(&mut node), [0.5]);
}

fn preempting() -> Node {
    let mut node = begun(blank("fixed=cpus:2", "load=5min:4"));
    let both = [(Purpose::Estimate, 0), (Purpose::Correct, 0)];
    assert_eq!(asked(&mut node), both);
    node.said.clear();
    node
}

#[test]
fn a_command_on_lent_cpus_is_preempted_and_one_on_its_own_is_not() {
    let mut node = preempting();
    node.run(revocable_task("lent", 1.0));
    let lent = node.start();
    node.run(TaskInfo {
        resources: vec![scalar("cpus", 1.0)],
        ..task("own")
    });
    node.start();
    node.drain();
    tell(&mut node, Purpose::Correct, load(4.0));
    assert!(!destroys(&node, &lent), "the threshold is not passed");
    node.sleep(Duration::from_secs(1));
    assert_eq!(asked(&mut node), [(Purpose::Correct, 2)], "each second");
    tell(&mut node, Purpose::Correct, load(4.1));
    assert!(destroys(&node, &lent));
    let destroyed = node.said.iter();
    let destroyed = destroyed.filter(|it| matches!(it, Effect::Destroy { .. }));
    assert_eq!(destroyed.count(), 1);
    // Once is enough, also while it takes its time to end.
    tell(&mut node, Purpose::Correct, load(9.0));
    assert_eq!(node.core.state().counts.preempted_executors, 1);
    node.exit(&lent, 9);
    let status = node.drain().remove(0);
    assert_eq!(status.task_id.value, "lent");
    assert_eq!(status.state(), TaskState::TaskGone);
    assert_eq!(status.reason(), Reason::ContainerPreempted);
    assert_eq!(status.message(), "Container preempted by QoS correction");
}

fn destroys(node: &Node, container_id: &str) -> bool {
    let destroy = Effect::Destroy {
        container_id: container_id.to_owned(),
    };
    node.said.contains(&destroy)
}

#[test]
fn a_framework_that_does_not_know_of_partitions_is_told_that_the_task_is_lost() {
    let mut node = preempting();
    let mut framework_info = framework();
    framework_info.capabilities.clear();
    node.order(Order::RunTask(Box::new(node::RunTask {
        framework_info,
        launch_executor: true,
        task: revocable_task("t", 1.0),
        term: 3,
    })));
    let container = node.start();
    node.drain();
    tell(&mut node, Purpose::Correct, load(5.0));
    node.exit(&container, 9);
    let status = node.drain().remove(0);
    assert_eq!(status.state(), TaskState::TaskLost);
    assert_eq!(status.reason(), Reason::ContainerPreempted);
}

#[test]
fn an_executor_on_lent_cpus_is_preempted_with_all_its_tasks() {
    let mut node = preempting();
    let mut own = executor_task("t");
    own.resources = vec![revocable("cpus", 0.5)];
    node.run(own);
    let container = node.start();
    node.subscribe(7, Vec::new());
    node.executor_says(1, TaskState::TaskRunning);
    node.drain();
    tell(&mut node, Purpose::Correct, load(5.0));
    assert!(destroys(&node, &container));
    node.exit(&container, 9);
    let ends = node.drain();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].state(), TaskState::TaskGone);
    assert_eq!(ends[0].reason(), Reason::ContainerPreempted);
}

#[test]
fn a_group_on_lent_cpus_is_preempted_as_a_whole() {
    let mut node = preempting();
    let tasks = ["a", "b"].map(|id| revocable_task(id, 0.5));
    node.order(crate::testing::group_order(pod(), tasks.to_vec(), true));
    let outer = node.start();
    let inner = [node.start(), node.start()];
    node.drain();
    tell(&mut node, Purpose::Correct, load(5.0));
    assert!(destroys(&node, &outer));
    for container in &inner {
        node.exit(container, 9);
    }
    node.exit(&outer, 9);
    let ends = node.drain();
    let states: Vec<TaskState> = ends.iter().map(|it| it.state()).collect();
    assert_eq!(states, [TaskState::TaskGone; 2]);
    assert!(
        ends.iter()
            .all(|it| it.reason() == Reason::ContainerPreempted)
    );
}
