//! Checks of tasks that run: what is tried when, and what the framework is told.

use crate::testing::*;
use crate::{
    checks::{Outcome, ProbeKind},
    effect::{Probe, Try},
};
use tepui_protocol::v1::{CheckInfo, HealthCheck, check_info, health_check};

fn with_health(id: &str, bound: u32) -> TaskInfo {
    TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Command as i32),
            command: Some(CommandInfo {
                value: Some("probe".to_owned()),
                ..CommandInfo::default()
            }),
            delay_seconds: Some(1.0),
            interval_seconds: Some(2.0),
            grace_period_seconds: Some(0.0),
            consecutive_failures: Some(bound),
            ..HealthCheck::default()
        }),
        ..task(id)
    }
}

fn probes(node: &mut Node) -> Vec<Probe> {
    let said = std::mem::take(&mut node.said);
    let mut probes = Vec::new();
    for effect in said {
        match effect {
            Effect::Probe(probe) => probes.push(probe),
            other => node.said.push(other),
        }
    }
    probes
}

fn answer(node: &mut Node, container_id: &str, kind: ProbeKind, status: i32) {
    node.on(Input::Probed {
        container_id: container_id.to_owned(),
        kind,
        outcome: Outcome::Exited(status),
    });
}

fn second(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_command_check_runs_beside_its_task() {
    let mut node = Node::running();
    node.run(with_health("t", 3));
    let id = node.start();
    node.drain();
    assert!(probes(&mut node).is_empty(), "its delay is not over");
    node.sleep(second(1));
    let probe = probes(&mut node).remove(0);
    assert_eq!(probe.timeout, Some(second(20)));
    let Try::Command(order) = probe.what else {
        panic!("{probe:?}")
    };
    assert!(order.container_id.starts_with(&format!("{id}.check-")));
    assert_eq!(order.argv, ["sh", "-c", "probe"]);
    assert_eq!(order.user.as_deref(), Some("nobody"));
    node.sleep(second(60));
    assert!(probes(&mut node).is_empty(), "one at a time");
    answer(&mut node, &id, ProbeKind::Health, 0);
    let told = node.drain().remove(0);
    assert_eq!(told.state(), TaskState::TaskRunning);
    assert_eq!(told.reason(), Reason::TaskHealthCheckStatusUpdated);
    assert_eq!(told.healthy, Some(true));
    node.sleep(second(1));
    assert!(probes(&mut node).is_empty());
    node.sleep(second(1));
    assert_eq!(probes(&mut node).len(), 1, "again after its interval");
}

#[test]
fn a_task_unhealthy_too_often_is_killed_and_its_end_says_so() {
    let mut node = Node::running();
    node.run(with_health("t", 2));
    let id = node.start();
    node.drain();
    for _ in 0..2 {
        node.sleep(second(2));
        assert_eq!(probes(&mut node).len(), 1);
        answer(&mut node, &id, ProbeKind::Health, 256);
    }
    let told: Vec<_> = node
        .drain()
        .iter()
        .map(|it| (it.state(), it.healthy))
        .collect();
    assert_eq!(
        told,
        [
            (TaskState::TaskRunning, Some(false)),
            (TaskState::TaskRunning, Some(false)),
            (TaskState::TaskKilling, None)
        ]
    );
    node.sleep(second(2));
    assert!(probes(&mut node).is_empty(), "it is being killed");
    node.exit(&id, 15);
    let ended = node.drain().remove(0);
    assert_eq!(
        (ended.state(), ended.healthy),
        (TaskState::TaskKilled, Some(false))
    );
}

#[test]
fn a_late_answer_of_a_task_that_is_killed_is_nothing() {
    let mut node = Node::running();
    node.run(with_health("t", 2));
    let id = node.start();
    node.sleep(second(1));
    node.kill("t", None);
    node.drain();
    answer(&mut node, &id, ProbeKind::Health, 0);
    assert_eq!(node.states(), []);
}

#[test]
fn a_check_is_told_with_what_is_known_of_health() {
    let both = TaskInfo {
        check: Some(CheckInfo {
            r#type: Some(check_info::Type::Http as i32),
            http: Some(check_info::Http {
                port: 8080,
                path: Some("/ready".to_owned()),
            }),
            delay_seconds: Some(1.0),
            ..CheckInfo::default()
        }),
        ..with_health("t", 3)
    };
    let mut node = Node::running();
    node.run(both);
    let id = node.start();
    let first = node.drain();
    assert!(
        first
            .iter()
            .all(|it| it.check_status.as_ref().is_some_and(|it| it.http.is_some()))
    );
    node.sleep(second(1));
    let tried: Vec<_> = probes(&mut node).into_iter().map(|it| it.kind).collect();
    assert_eq!(tried, [ProbeKind::Check, ProbeKind::Health]);
    answer(&mut node, &id, ProbeKind::Health, 0);
    node.on(Input::Probed {
        container_id: id.clone(),
        kind: ProbeKind::Check,
        outcome: Outcome::Answered(503),
    });
    let told = node.drain().pop().expect("an update");
    assert_eq!(told.reason(), Reason::TaskCheckStatusUpdated);
    assert_eq!(told.healthy, Some(true));
    let code = told.check_status.and_then(|it| it.http?.status_code);
    assert_eq!(code, Some(503));
    node.exit(&id, 0);
    let ended = node.drain().remove(0);
    assert_eq!(ended.healthy, None);
    let http = ended.check_status.and_then(|it| it.http).expect("the kind");
    assert_eq!(http.status_code, None);
}

#[test]
fn an_unhealthy_task_of_a_group_takes_the_group_along() {
    let mut node = Node::running();
    node.order(group_order(
        pod(),
        vec![with_health("g1", 1), task("g2")],
        true,
    ));
    let pod_id = node.launched().order.container_id;
    node.on(started(&pod_id, 42));
    let (first, other) = (node.launched().order, node.launched().order);
    node.on(started(&first.container_id, 43));
    node.on(started(&other.container_id, 44));
    node.drain();
    node.sleep(second(1));
    let Try::Command(order) = probes(&mut node).remove(0).what else {
        panic!("a command")
    };
    assert!(
        order
            .container_id
            .starts_with(&format!("{}.check-", first.container_id))
    );
    assert_eq!(order.sandbox, first.sandbox);
    answer(&mut node, &first.container_id, ProbeKind::Health, 256);
    node.exit(&first.container_id, 15);
    let told: Vec<_> = node
        .drain()
        .iter()
        .map(|it| (it.task_id.value.clone(), it.state()))
        .collect();
    let of = |id: &str| {
        let states = told.iter().filter(|(task, _)| task == id);
        states.map(|(_, state)| *state).collect::<Vec<_>>()
    };
    let (running, killing) = (TaskState::TaskRunning, TaskState::TaskKilling);
    assert_eq!(of("g1"), [running, killing, TaskState::TaskKilled]);
    assert_eq!(of("g2"), [killing]);
}

#[test]
fn checks_go_on_after_a_restart() {
    let mut node = Node::running();
    node.run(with_health("t", 3));
    let id = node.start();
    node.sleep(second(1));
    answer(&mut node, &id, ProbeKind::Health, 0);
    node.drain();
    let mut node = node.restart("boot");
    node.found_running(&id);
    node.connect();
    node.sleep(second(1));
    assert_eq!(probes(&mut node).len(), 1);
    answer(&mut node, &id, ProbeKind::Health, 0);
    assert_eq!(node.states(), [], "it was healthy before");
}

#[test]
fn a_command_under_way_ends_with_its_task() {
    let mut node = Node::running();
    node.run(with_health("t", 3));
    node.start();
    node.drain();
    node.sleep(second(1));
    let Try::Command(order) = probes(&mut node).remove(0).what else {
        panic!("no command")
    };
    node.said.clear();
    node.kill("t", None);
    let destroyed = node.said.iter().filter_map(|effect| match effect {
        Effect::Destroy { container_id } => Some(container_id),
        _ => None,
    });
    assert_eq!(destroyed.collect::<Vec<_>>(), [&order.container_id]);
}

#[test]
fn a_command_without_a_program_is_not_taken_for_the_agents_own() {
    let mut node = Node::running();
    let nothing = CommandInfo {
        shell: Some(false),
        ..CommandInfo::default()
    };
    node.run(TaskInfo {
        command: Some(nothing),
        ..task("t")
    });
    let order = node.launched().order;
    assert!(order.program.is_empty() && !order.is_holder);
}

#[test]
fn a_command_check_runs_as_the_user_of_its_task_and_not_of_the_executor() {
    let mut node = Node::running();
    let mut task = with_health("g", 2);
    task.command.as_mut().unwrap().user = Some("root".to_owned());
    node.order(group_order(pod(), vec![task], true));
    let outer = node.launched().order;
    assert_eq!(outer.user.as_deref(), Some("nobody"), "the framework's");
    node.on(started(&outer.container_id, 42));
    let inner = node.launched().order;
    assert_eq!(inner.user.as_deref(), Some("root"));
    node.on(started(&inner.container_id, 43));
    node.drain();
    node.sleep(second(1));
    let probed = node.said.iter().find_map(|it| match it {
        Effect::Probe(probe) => Some(probe.what.clone()),
        _ => None,
    });
    let Some(crate::effect::Try::Command(order)) = probed else {
        panic!("{:?}", node.said);
    };
    assert_eq!(order.user.as_deref(), Some("root"));
}

#[test]
fn the_time_of_a_task_runs_on_over_a_restart_whatever_its_checks_have_told() {
    let mut node = Node::running();
    node.run(bounded(60, with_health("t", 3)));
    let id = node.start();
    node.drain();
    node.sleep(second(50));
    answer(&mut node, &id, ProbeKind::Health, 0);
    node.drain();
    let mut node = node.restart("boot");
    node.found_running(&id);
    node.sleep(second(9));
    let ends = Effect::Destroy { container_id: id };
    assert!(!node.said.contains(&ends));
    node.sleep(second(1));
    assert!(node.said.contains(&ends));
}

#[test]
fn what_could_not_be_tried_within_a_group_says_nothing_of_the_task() {
    let failed = Outcome::Exited(1 << 8);
    let killed = Outcome::Exited(9);
    for (outcome, alone, in_group) in [
        (Outcome::NotTried, Some(false), None),
        (killed, Some(false), None),
        (Outcome::Nothing, Some(false), Some(false)),
        (failed, Some(false), Some(false)),
    ] {
        for (is_group, expected) in [(false, alone), (true, in_group)] {
            let mut node = Node::running();
            let id = match is_group {
                false => {
                    node.run(with_health("t", 3));
                    node.start()
                }
                true => {
                    node.order(group_order(pod(), vec![with_health("t", 3)], true));
                    let outer = node.launched().order.container_id;
                    node.on(started(&outer, 42));
                    let inner = node.launched().order.container_id;
                    node.on(started(&inner, 43));
                    inner
                }
            };
            node.sleep(second(1));
            node.drain();
            node.on(Input::Probed {
                container_id: id,
                kind: ProbeKind::Health,
                outcome: outcome.clone(),
            });
            let told = node.drain();
            let healthy = told.first().and_then(|it| it.healthy);
            assert_eq!(healthy, expected, "{outcome:?}, in a group: {is_group}");
            node.said.clear();
            node.sleep(second(2));
            assert_eq!(probes(&mut node).len(), 1, "the next is tried all the same");
        }
    }
}
