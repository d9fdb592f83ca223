//! Groups up to the moment when their tasks run.

use crate::testing::*;
use tepui_messages::containers::{MountOrder, MountSource};
use tepui_protocol::v1::{
    CapabilityInfo, Image, LinuxInfo, RLimitInfo, SeccompInfo, Volume,
    r_limit_info::{RLimit, r_limit},
    volume,
};

fn with_mem(id: &str, mem: f64) -> TaskInfo {
    TaskInfo {
        resources: vec![scalar("mem", mem)],
        ..task(id)
    }
}

fn launches(node: &mut Node) -> Vec<Launch> {
    let said = std::mem::take(&mut node.said);
    let mut launches = Vec::new();
    for effect in said {
        match effect {
            Effect::Launch(launch) => launches.push(*launch),
            other => node.said.push(other),
        }
    }
    launches
}

#[test]
fn the_executor_starts_first_then_every_task_within_it() {
    let mut node = Node::running();
    node.order(group_order(
        pod(),
        vec![with_mem("g1", 64.0), with_mem("g2", 32.0)],
        true,
    ));
    let outer = launches(&mut node);
    assert_eq!(outer.len(), 1);
    assert_eq!(outer[0].order.program, "");
    assert_eq!(node.states(), []);
    let pod_id = outer[0].order.container_id.clone();
    node.on(started(&pod_id, 42));
    let limits = node.said.iter().find_map(|it| match it {
        Effect::UpdateLimits { amounts, .. } => Some(*amounts),
        _ => None,
    });
    assert_eq!(limits.unwrap().memory_bytes, Some(128 << 20));
    let inner = launches(&mut node);
    let shown: Vec<_> = inner
        .iter()
        .map(|launch| launch.nested.clone().unwrap().task.unwrap())
        .collect();
    assert_eq!(shown, ["g1", "g2"]);
    for launch in &inner {
        let nested = launch.nested.as_ref().unwrap();
        assert_eq!(nested.root, outer[0].order.sandbox);
        assert_eq!(
            launch.order.container_id,
            format!("{pod_id}.{}", nested.name)
        );
        assert_eq!(
            launch.order.sandbox,
            outer[0].order.sandbox.join("containers").join(&nested.name)
        );
    }
    assert_eq!(node.states(), [TaskState::TaskStarting; 2]);
}

#[test]
fn running_is_told_once_all_of_the_group_run() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], true));
    let pod_id = launches(&mut node)[0].order.container_id.clone();
    node.on(started(&pod_id, 42));
    let inner = launches(&mut node);
    node.drain();
    node.on(started(&inner[0].order.container_id, 43));
    assert_eq!(node.states(), []);
    node.on(started(&inner[1].order.container_id, 44));
    let told = node.drain();
    let states: Vec<_> = told.iter().map(TaskStatus::state).collect();
    assert_eq!(states, [TaskState::TaskRunning; 2]);
    let shown = told[0].container_status.clone().unwrap();
    let id = shown.container_id.unwrap();
    assert_eq!(id.parent.unwrap().value, pod_id);
    assert_eq!(shown.executor_pid, Some(43));
    assert_eq!(told[0].source(), Source::Executor);
}

#[test]
fn a_group_is_refused_whole() {
    let mut node = Node::running();
    let odd = TaskInfo {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Docker as i32,
            ..ContainerInfo::default()
        }),
        ..task("g2")
    };
    node.order(group_order(pod(), vec![task("g1"), odd], true));
    assert!(launches(&mut node).is_empty());
    assert!(
        node.said
            .iter()
            .any(|it| matches!(it, Effect::SendExited(_)))
    );
    assert_eq!(node.states(), [TaskState::TaskFailed; 2]);
    assert!(node.core.frameworks.is_empty());
}

#[test]
fn a_second_group_goes_to_the_executor_that_runs() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1")], true));
    let pod_id = launches(&mut node)[0].order.container_id.clone();
    node.on(started(&pod_id, 42));
    launches(&mut node);
    node.order(group_order(pod(), vec![task("g2")], false));
    let inner = launches(&mut node);
    assert!(
        inner[0]
            .order
            .container_id
            .starts_with(&format!("{pod_id}."))
    );
    node.drain();
    // The master believes that there is none.
    node.order(group_order(pod(), vec![task("g3")], true));
    assert_eq!(node.drain().last().unwrap().state(), TaskState::TaskKilling);
}

#[test]
fn without_the_executor_it_expects_a_group_is_dropped() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], false));
    assert_eq!(node.states(), [TaskState::TaskDropped; 2]);
    assert!(launches(&mut node).is_empty());
}

#[test]
fn a_group_killed_before_its_executor_runs_is_killed_whole() {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], true));
    let pod_id = launches(&mut node)[0].order.container_id.clone();
    node.kill("g2", None);
    let told = node.drain();
    let reasons: Vec<_> = told.iter().map(|it| (it.state(), it.reason())).collect();
    let killed = (TaskState::TaskKilled, Reason::TaskKilledDuringLaunch);
    assert_eq!(reasons, [killed; 2]);
    assert!(node.said.contains(&Effect::Destroy {
        container_id: pod_id
    }));
}

#[test]
fn a_repeated_order_launches_nothing_twice() {
    let mut node = Node::running();
    let order = group_order(pod(), vec![task("g1")], true);
    node.order(order.clone());
    assert_eq!(launches(&mut node).len(), 1);
    node.order(order);
    assert!(launches(&mut node).is_empty());
    assert_eq!(node.states(), []);
}

#[test]
fn a_custom_executor_is_handed_its_group_whole() {
    let mut node = Node::running();
    let executor = executor_task("t").executor.unwrap();
    node.order(group_order(executor, vec![task("g1"), task("g2")], true));
    let outer = launches(&mut node)[0].order.container_id.clone();
    node.on(started(&outer, 42));
    node.subscribe(7, Vec::new());
    let groups: Vec<_> = node
        .said
        .iter()
        .filter_map(|it| match it {
            Effect::ToExecutor { event, .. } => event.launch_group.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].task_group.tasks.len(), 2);
}

#[test]
fn tasks_share_a_directory_of_the_executors_sandbox() {
    let shared = |mode| Volume {
        mode: mode as i32,
        container_path: "here".to_owned(),
        source: Some(volume::Source {
            r#type: Some(volume::source::Type::SandboxPath as i32),
            sandbox_path: Some(volume::source::SandboxPath {
                r#type: Some(volume::source::sandbox_path::Type::Parent as i32),
                path: "common".to_owned(),
            }),
            ..volume::Source::default()
        }),
        ..Volume::default()
    };
    let with = |mode| TaskInfo {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Mesos as i32,
            volumes: vec![shared(mode)],
            ..ContainerInfo::default()
        }),
        ..task("g1")
    };
    let mut node = Node::running();
    node.order(group_order(pod(), vec![with(volume::Mode::Rw)], true));
    let pod_id = launches(&mut node)[0].order.container_id.clone();
    node.on(started(&pod_id, 42));
    let nested = launches(&mut node)[0].nested.clone().unwrap();
    assert_eq!(nested.shared[0].path, "common");
    assert_eq!(nested.shared[0].container_path, "here");
    let mut node = Node::running();
    node.order(group_order(pod(), vec![with(volume::Mode::Ro)], true));
    let pod = launches(&mut node)[0].order.clone();
    node.on(started(&pod.container_id, 42));
    // One that is only to be read is no link.
    let launch = launches(&mut node)[0].clone();
    assert!(launch.nested.is_some_and(|it| it.shared.is_empty()));
    let expected = [MountOrder {
        source: MountSource::Outer {
            sandbox: pod.sandbox,
            path: "common".into(),
        },
        container_path: "here".into(),
        read_only: true,
        propagates: false,
    }];
    assert_eq!(launch.order.confinement.mounts, expected);
}

fn of_host(path: &str) -> Volume {
    Volume {
        mode: volume::Mode::Rw as i32,
        container_path: path.to_owned(),
        host_path: Some("/srv".to_owned()),
        ..Volume::default()
    }
}

fn container(volumes: Vec<Volume>, linux_info: Option<LinuxInfo>) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        volumes,
        linux_info,
        ..ContainerInfo::default()
    }
}

/// A group whose executor and task have these containers.
fn group_of(outer: ContainerInfo, own: Option<ContainerInfo>) -> Order {
    let executor = ExecutorInfo {
        container: Some(outer),
        ..pod()
    };
    let task = TaskInfo {
        container: own,
        ..task("g1")
    };
    group_order(executor, vec![task], true)
}

/// As dcos-commons and Marathon describe their executors.
#[test]
fn settings_that_bind_nothing_do_not_keep_an_executor_from_running() {
    let linux = LinuxInfo {
        share_cgroups: Some(false),
        effective_capabilities: Some(CapabilityInfo::default()),
        seccomp: Some(SeccompInfo {
            unconfined: Some(true),
            ..SeccompInfo::default()
        }),
        ..LinuxInfo::default()
    };
    let mut node = Node::running();
    node.order(group_of(container(Vec::new(), Some(linux)), None));
    assert_eq!(launches(&mut node).len(), 1);
    let shares = LinuxInfo {
        share_cgroups: Some(true),
        ..LinuxInfo::default()
    };
    node.run(TaskInfo {
        container: Some(container(Vec::new(), Some(shares))),
        ..task("alone")
    });
    assert_eq!(launches(&mut node).len(), 1);
}

#[test]
fn tasks_see_what_their_executor_has_of_the_host() {
    let mounts = |outer: Vec<Volume>, own: Vec<Volume>| {
        let mut node = Node::running();
        let own = Some(container(own, None));
        node.order(group_of(container(outer, None), own));
        let pod_id = launches(&mut node).first()?.order.container_id.clone();
        node.on(started(&pod_id, 42));
        let mounts = launches(&mut node)[0].order.confinement.mounts.clone();
        let paths = mounts
            .iter()
            .map(|it| it.container_path.display().to_string());
        Some(paths.collect::<Vec<_>>())
    };
    let shown = |outer: &[&str], own: &[&str]| {
        let volumes = |paths: &[&str]| paths.iter().map(|it| of_host(it)).collect();
        mounts(volumes(outer), volumes(own))
    };
    let some = |paths: &[&str]| Some(paths.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(shown(&["/a"], &[]), some(&["/a"]));
    assert_eq!(shown(&["/a", "/b"], &["/a"]), some(&["/b", "/a"]));
    // Below its own sandbox a task has only what it asks for itself.
    assert_eq!(shown(&["a"], &["a"]), some(&["a"]));
    assert_eq!(shown(&["a"], &[]), None);
    let image = Volume {
        host_path: None,
        image: Some(Image::default()),
        ..of_host("/a")
    };
    assert_eq!(mounts(vec![image], Vec::new()), None);
}

#[test]
fn limits_are_set_when_they_change_and_not_else() {
    let mut node = Node::running();
    node.run(executor_task("t"));
    node.start();
    let updates = |node: &mut Node| {
        let said = std::mem::take(&mut node.said).into_iter();
        let updates = said.filter(|it| matches!(it, Effect::UpdateLimits { .. }));
        updates.count()
    };
    node.subscribe(1, Vec::new());
    assert_eq!(updates(&mut node), 1);
    for (id, has_more, expected) in [("u", false, 0), ("v", true, 1), ("w", false, 0)] {
        let task = TaskInfo {
            resources: with_mem(id, 64.0)
                .resources
                .into_iter()
                .filter(|_| has_more)
                .collect(),
            ..executor_task(id)
        };
        node.order(Order::RunTask(Box::new(node::RunTask {
            framework_info: framework(),
            launch_executor: false,
            task,
            term: 3,
        })));
        assert_eq!(updates(&mut node), expected, "{id}");
    }
}

#[test]
fn limits_of_tasks_add_up() {
    let mut node = Node::running();
    let bursting = |id: &str, limit: f64| TaskInfo {
        limits: [("mem".to_owned(), value::Scalar { value: limit })].into(),
        ..with_mem(id, 32.0)
    };
    let amounts = |node: &Node| {
        let mut updates = node.said.iter().rev();
        updates.find_map(|it| match it {
            Effect::UpdateLimits { amounts, .. } => Some(*amounts),
            _ => None,
        })
    };
    node.order(group_order(
        pod(),
        vec![bursting("g1", 96.0), with_mem("g2", 32.0)],
        true,
    ));
    let pod_id = launches(&mut node)[0].order.container_id.clone();
    node.on(started(&pod_id, 42));
    let found = amounts(&node).unwrap();
    assert_eq!(found.memory_bytes, Some(96 << 20));
    assert_eq!(found.memory_limit_bytes, Some((32 + 96 + 32) << 20));
    node.order(group_order(
        pod(),
        vec![bursting("g3", f64::INFINITY)],
        false,
    ));
    assert_eq!(amounts(&node).unwrap().memory_limit_bytes, Some(u64::MAX));
}

#[test]
fn limits_on_processes_go_to_those_of_the_task() {
    use tepui_protocol::v1::{
        RLimitInfo,
        r_limit_info::{RLimit, r_limit},
    };
    let limited = |soft, hard| TaskInfo {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Mesos as i32,
            rlimit_info: Some(RLimitInfo {
                rlimits: vec![RLimit {
                    r#type: Some(r_limit::Type::RlmtNofile as i32),
                    soft,
                    hard,
                }],
            }),
            ..ContainerInfo::default()
        }),
        ..task("t")
    };
    let mut node = Node::running();
    node.run(limited(Some(64), Some(128)));
    let launched = node.launched().order.confinement.rlimits;
    assert_eq!((launched[0].soft, launched[0].hard), (Some(64), Some(128)));
    let mut node = Node::running();
    node.order(group_order(pod(), vec![limited(None, None)], true));
    let outer = node.launched().order;
    assert!(outer.confinement.rlimits.is_empty());
    node.on(started(&outer.container_id, 42));
    assert_eq!(node.launched().order.confinement.rlimits.len(), 1);
    for (soft, hard) in [(Some(2), Some(1)), (Some(1), None), (None, Some(1))] {
        let mut node = Node::running();
        node.run(limited(soft, hard));
        assert_eq!(node.states(), [TaskState::TaskFailed], "{soft:?} {hard:?}");
    }
}

#[test]
fn limits_on_processes_of_the_executor_bind_no_task() {
    let limit = RLimit {
        r#type: Some(r_limit::Type::RlmtNofile as i32),
        soft: Some(64),
        hard: Some(128),
    };
    let executor = ExecutorInfo {
        container: Some(ContainerInfo {
            r#type: container_info::Type::Mesos as i32,
            rlimit_info: Some(RLimitInfo {
                rlimits: vec![limit],
            }),
            ..ContainerInfo::default()
        }),
        ..pod()
    };
    let mut node = Node::running();
    node.order(group_order(executor, vec![task("t")], true));
    let outer = node.launched().order;
    assert!(outer.is_holder && outer.confinement.rlimits.is_empty());
    node.on(started(&outer.container_id, 42));
    assert!(node.launched().order.confinement.rlimits.is_empty());
}
