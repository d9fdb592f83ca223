use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::{
    change::{AgentEnd, Change},
    master::{AgentMessage, Answer},
};
use tepui_protocol::{node, v1::TaskState};

use crate::{
    core::Input,
    stage::{Node, Scheduler, Stage, decode, parse},
};

const PATIENCE: Duration = Duration::from_secs(600);

fn aware() -> Value {
    json!({"capabilities": [{"type": "PARTITION_AWARE"}], "failover_timeout": 600.0, "checkpoint": true})
}

/// A task of a framework that is aware of partitions, and one of a framework that is not, on one agent.
fn partitioned() -> (Stage, Node, Scheduler, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let aware = stage.subscribe(aware());
    let plain = stage.subscribe(json!({"failover_timeout": 600.0, "checkpoint": true}));
    for fw in [&aware, &plain] {
        stage.run(fw, &node, "t", "cpus:1;mem:32");
        stage.update(&node, fw, "t", TaskState::TaskRunning, 1);
        stage.told(fw);
    }
    (stage, node, aware, plain)
}

fn gone(id: &str) -> Value {
    json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": id}}})
}

#[test]
fn agents_are_numbered_and_believed_once_they_are_written() {
    let mut stage = Stage::new();
    assert_eq!(stage.agent("cpus:1").id, "M1-S0");
    let second = stage.agent("cpus:1");
    assert_eq!(second.id, "M1-S1");
    stage.hold_writes = true;
    let mut request = second.request;
    request.agent_info.id = None;
    request.pid = "slave(1)@127.0.0.1:9".to_string();
    let token = stage.begin_registration(tepui_messages::master::PeerId(99), request);
    assert_eq!(stage.core.agents.len(), 2);
    stage.release_writes();
    let registration = stage.registration(token).unwrap();
    assert_eq!(registration.agent_id.unwrap().value, "M1-S2");
    assert_eq!(registration.term, Some(1));
    assert_eq!(stage.core.agents.len(), 3);
}

#[test]
fn an_agent_that_was_away_hears_what_became_of_a_framework() {
    let (mut stage, node, fw, plain) = partitioned();
    let info = |stage: &Stage, fw: &Scheduler| stage.core.frameworks[&fw.id].info().clone();
    let known = vec![info(&stage, &fw), info(&stage, &plain)];
    let tasks = [&fw, &plain].map(|it| stage.task(it, "t")).to_vec();
    stage.lose(&node);
    let mut changed = aware();
    changed["capabilities"] = json!([{"type": "PARTITION_AWARE"}, {"type": "TASK_KILLING_STATE"}]);
    stage.resubscribe(&fw.id, changed);
    let mut away = node;
    away.request.frameworks = known;
    let (back, _) = stage.back(&away, tasks.clone());
    assert_eq!(stage.ordered(&back), ["update framework"]);
    away.request.frameworks = vec![info(&stage, &fw), info(&stage, &plain)];
    let (back, _) = stage.back(&away, tasks);
    assert!(stage.ordered(&back).is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut stage = Stage::new();
    let good = stage.agent("cpus:1").request;
    let mut negative = good.clone();
    negative.agent_info.id = None;
    negative.agent_info.resources[0].scalar =
        Some(tepui_protocol::v1::value::Scalar { value: -1.0 });
    let mut bad_id = good.clone();
    bad_id.agent_info.id = Some(crate::stage::agent_id("a/b"));
    for request in [negative, bad_id] {
        let (_, registration) = stage.register(request);
        assert!(registration.refusal.is_some());
        assert_eq!(registration.shutdown, Some(false));
    }
    let mut elsewhere = good.clone();
    elsewhere.pid = "slave(1)@10.0.0.9:5051".to_string();
    let mut renamed = good;
    renamed.agent_info.hostname = "other".to_string();
    for request in [elsewhere, renamed] {
        let (_, registration) = stage.register(request);
        assert_eq!(registration.shutdown, Some(true));
    }
    assert_eq!(stage.core.agents.len(), 1);
}

#[test]
fn an_agent_that_lists_an_executor_twice_is_not_believed() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(aware());
    let mut request = stage.agent("cpus:4;mem:4096").request;
    let executor = tepui_protocol::v1::ExecutorInfo {
        executor_id: tepui_protocol::v1::ExecutorId {
            value: "e".to_string(),
        },
        framework_id: Some(crate::frameworks::framework_id(&fw.id)),
        ..Default::default()
    };
    request.executors = vec![executor.clone()];
    let (_, registration) = stage.register(request.clone());
    assert_eq!(registration.refusal, None);
    request.executors.push(executor);
    let (_, registration) = stage.register(request);
    let reason = format!("Framework '{}' has a duplicate ExecutorID 'e'", fw.id);
    assert_eq!(registration.refusal, Some(reason));
    assert_eq!(registration.shutdown, Some(false), "it may try again");
}

#[test]
fn one_connection_stands_for_one_agent() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    stage.hold_writes = true;
    let mut request = node.request;
    request.agent_info.id = None;
    let peer = tepui_messages::master::PeerId(99);
    let first = stage.begin_registration(peer, request.clone());
    let second = stage.begin_registration(peer, request.clone());
    assert!(stage.registration(second).unwrap().refusal.is_some());
    stage.release_writes();
    assert_eq!(stage.registration(first).unwrap().refusal, None);
    let third = stage.begin_registration(peer, request);
    assert!(stage.registration(third).unwrap().refusal.is_some());
    assert_eq!(stage.core.agents.len(), 2);
}

#[test]
fn a_connection_lost_before_the_admission_is_written_leaves_a_lost_agent() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    stage.hold_writes = true;
    // Once as a new agent, once as one that returns with more resources on the connection it has.
    let mut anew = node.request.clone();
    anew.agent_info.id = None;
    let lost = tepui_messages::master::PeerId(99);
    stage.begin_registration(lost, anew);
    let mut grown = node.request.clone();
    grown.agent_info.resources = parse("cpus:2");
    stage.begin_registration(node.peer, grown);
    for peer in [lost, node.peer] {
        stage.input(Input::AgentLost {
            peer,
            silent: false,
        });
    }
    stage.release_writes();
    assert_eq!(stage.core.agents.len(), 2);
    assert!(stage.core.agents.values().all(|agent| agent.peer.is_none()));
    stage.pass(PATIENCE);
    assert_eq!(stage.core.unreachable_agents.len(), 2);
}

#[test]
fn an_agent_that_is_back_in_time_keeps_its_tasks() {
    let (mut stage, node, aware, plain) = partitioned();
    stage.lose(&node);
    assert!(stage.told(&aware).is_empty());
    stage.pass(PATIENCE / 2);
    let tasks = vec![stage.task(&aware, "t"), stage.task(&plain, "t")];
    let (node, registration) = stage.back(&node, tasks);
    assert_eq!(registration.refusal, None);
    assert!(registration.reconcile.is_empty());
    stage.pass(PATIENCE * 2);
    assert!(stage.core.agents[&node.id].record.active);
    assert!(stage.told(&aware).is_empty() && stage.told(&plain).is_empty());
    // A timer of the earlier loss is void.
    stage.lose(&node);
    stage.pass(PATIENCE - Duration::from_secs(1));
    assert!(stage.core.agents.contains_key(&node.id));
}

#[test]
fn a_new_connection_replaces_one_that_seems_alive() {
    let (mut stage, old, aware, plain) = partitioned();
    let tasks = vec![stage.task(&aware, "t"), stage.task(&plain, "t")];
    let (new, _) = stage.back(&old, tasks);
    stage.lose(&old);
    stage.update(&old, &aware, "t", TaskState::TaskFailed, 7);
    stage.pass(PATIENCE * 2);
    assert_eq!(stage.core.agents[&new.id].peer, Some(new.peer));
    assert_eq!(stage.state(&aware, "t"), Some(TaskState::TaskRunning));
}

#[test]
fn tasks_the_agent_does_not_list_are_asked_about_and_those_it_lists_are_believed() {
    let (mut stage, node, aware, plain) = partitioned();
    let mut unheard = stage.task(&aware, "t");
    unheard.task_id.value = "u".to_string();
    stage.lose(&node);
    let listed = stage.task(&aware, "t");
    let (node, registration) = stage.back(&node, vec![listed, unheard]);
    let missing: Vec<_> = registration
        .reconcile
        .iter()
        .map(|key| key.framework_id.value.as_str())
        .collect();
    assert_eq!(missing, [&plain.id]);
    assert_eq!(registration.reconcile[0].partition_aware, Some(false));
    assert_eq!(stage.state(&aware, "u"), Some(TaskState::TaskRunning));
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:1;mem:4000")
    );
    // The agent need not know the frameworks to say it in their words.
    stage.lose(&node);
    let (_, registration) = stage.back(&node, Vec::new());
    let said = registration.reconcile.iter().map(|key| {
        let framework = key.framework_id.value.as_str();
        (framework, key.partition_aware == Some(true))
    });
    let said: Vec<_> = said.collect();
    assert_eq!(
        said,
        [
            (aware.id.as_str(), true),
            (&aware.id, true),
            (&plain.id, false)
        ]
    );
}

#[test]
fn an_unreachable_agents_tasks_are_unreachable_or_lost_and_may_return() {
    let (mut stage, node, aware, plain) = partitioned();
    let tasks = vec![stage.task(&aware, "t"), stage.task(&plain, "t")];
    stage.lose(&node);
    stage.pass(PATIENCE);
    let since = stage.now;
    let status = stage.events_of(&aware.stream);
    assert_eq!(status[0]["update"]["status"]["state"], "TASK_UNREACHABLE");
    assert_eq!(
        status[0]["update"]["status"]["unreachable_time"]["nanoseconds"],
        since
    );
    assert_eq!(status[1]["failure"]["agent_id"]["value"], node.id);
    let told = stage.told(&plain);
    assert!(
        told[0].starts_with("t TASK_LOST REASON_AGENT_REMOVED"),
        "{told:?}"
    );
    assert_eq!(told[1], "FAILURE");
    assert_eq!(stage.state(&aware, "t"), None);
    let here = stage.agent("cpus:4;mem:4096");
    let offer = stage.offer(&aware, &here, "cpus:1;mem:32");
    stage.told(&aware);
    stage.accept(
        &aware,
        &[&offer],
        &[crate::stage::task("t", &here, "cpus:1;mem:32")],
    );
    assert_eq!(
        stage.told(&aware),
        ["t TASK_ERROR REASON_TASK_INVALID Task reuses the ID of an unreachable task: t"]
    );
    stage.told(&plain);
    let (node, _) = stage.back(&node, tasks);
    for fw in [&aware, &plain] {
        assert_eq!(
            stage.told(fw),
            ["t TASK_RUNNING REASON_AGENT_REREGISTERED Unreachable agent re-reregistered"]
        );
        assert_eq!(stage.state(fw, "t"), Some(TaskState::TaskRunning));
    }
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:2;mem:4032")
    );
}

#[test]
fn a_silent_agent_has_no_more_time() {
    let (mut stage, node, aware, _) = partitioned();
    stage.input(Input::AgentLost {
        peer: node.peer,
        silent: true,
    });
    stage.pass(Duration::ZERO);
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
    assert!(stage.told(&aware)[0].starts_with("t TASK_UNREACHABLE"));
}

#[test]
fn an_agent_that_returns_while_it_is_given_up_must_try_again() {
    let (mut stage, node, _, _) = partitioned();
    stage.lose(&node);
    stage.hold_writes = true;
    stage.pass(PATIENCE);
    let token = stage.begin_registration(tepui_messages::master::PeerId(99), node.request.clone());
    let registration = stage.registration(token).unwrap();
    assert!(registration.refusal.is_some() && registration.shutdown == Some(false));
    assert_eq!(
        stage.operator(gone(&node.id)).status,
        503,
        "nor may it be marked gone meanwhile"
    );
    stage.release_writes();
    let (_, registration) = stage.back(&node, vec![]);
    assert_eq!(registration.refusal, None);
}

#[test]
fn gone_is_for_ever() {
    let (mut stage, node, aware, plain) = partitioned();
    assert_eq!(
        stage.operator(gone("nope")),
        Answer::refused(404, "Agent 'nope' not found")
    );
    stage.ordered(&node);
    assert_eq!(stage.operator(gone(&node.id)), Answer::OK);
    assert_eq!(
        stage.ordered(&node),
        ["shutdown: Agent has been marked gone"]
    );
    let told = stage.told(&aware);
    assert!(
        told[0].starts_with("t TASK_GONE_BY_OPERATOR REASON_AGENT_REMOVED_BY_OPERATOR"),
        "{told:?}"
    );
    assert!(stage.told(&plain)[0].starts_with("t TASK_LOST"));
    assert_eq!(stage.operator(gone(&node.id)), Answer::OK, "again");
    let (_, registration) = stage.back(&node, vec![]);
    assert_eq!(registration.shutdown, Some(true));
    stage.fail_over();
    let (_, registration) = stage.back(&node, vec![]);
    assert_eq!(registration.shutdown, Some(true), "under any leader");
}

#[test]
fn an_unreachable_agent_may_be_marked_gone() {
    let (mut stage, node, _, _) = partitioned();
    stage.lose(&node);
    stage.pass(PATIENCE);
    assert_eq!(stage.operator(gone(&node.id)), Answer::OK);
    let (_, registration) = stage.back(&node, vec![]);
    assert_eq!(registration.shutdown, Some(true));
}

#[test]
fn an_agent_that_leaves_takes_its_tasks_along() {
    let (mut stage, node, aware, plain) = partitioned();
    stage.says(&node, AgentMessage::Leaves(node::AgentLeaves::default()));
    // In Mesos' words, whether they know of partitions or not.
    let hostname = node.request.agent_info.hostname.clone();
    let lost = format!(
        "t TASK_LOST REASON_AGENT_REMOVED Agent {hostname} removed: the agent unregistered"
    );
    assert_eq!(stage.told(&aware)[0], lost);
    assert_eq!(stage.told(&plain)[0], lost);
    assert!(stage.core.agents.is_empty());
    let removed = stage.changes.iter().any(|change| {
        matches!(
            change,
            Change::AgentRemoved {
                end: AgentEnd::Removed,
                ..
            }
        )
    });
    assert!(removed);
    // Whatever it still says is from nobody.
    stage.update(&node, &aware, "t", TaskState::TaskFailed, 3);
    assert!(stage.told(&aware).is_empty());
}

#[test]
fn a_new_agent_at_a_lost_ones_address_replaces_it() {
    let (mut stage, node, aware, _) = partitioned();
    stage.lose(&node);
    let mut request = node.request.clone();
    request.agent_info.id = None;
    let (new, _) = stage.register(request);
    assert_ne!(new.id, node.id);
    assert!(stage.told(&aware)[0].ends_with("a new agent registered at the same address"));
    assert_eq!(stage.core.agents.len(), 1);
}

#[test]
fn after_a_change_of_leaders_agents_bring_tasks_back_and_nothing_is_announced() {
    let (mut stage, mut node, aware, plain) = partitioned();
    let ended = stage.subscribe(json!({}));
    stage.run(&ended, &node, "t", "cpus:1;mem:32");
    let tasks: Vec<_> = [&aware, &plain, &ended]
        .map(|fw| stage.task(fw, "t"))
        .into();
    let infos = [&aware, &plain, &ended].map(|fw| stage.core.frameworks[&fw.id].info().clone());
    node.request.frameworks = infos.into();
    stage.call(&ended, json!({"type": "TEARDOWN"}));
    stage.fail_over();
    let aware = stage.resubscribe(&aware.id, json!({}));
    let (node, registration) = stage.back(&node, tasks);
    assert!(
        stage.told(&aware).is_empty(),
        "the scheduler must reconcile"
    );
    let shut: Vec<_> = registration
        .shutdown_frameworks
        .iter()
        .map(|id| &id.value)
        .collect();
    assert_eq!(shut, [&ended.id]);
    assert_eq!(registration.term, Some(2));
    assert_eq!(stage.state(&plain, "t"), Some(TaskState::TaskRunning));
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:2;mem:4032")
    );
}

#[test]
fn an_agent_of_the_registry_that_does_not_come_back_is_unreachable() {
    let (mut stage, node, _, _) = partitioned();
    stage.fail_over();
    assert!(stage.core.recovered_agents.contains_key(&node.id));
    let fw = stage.subscribe(json!({}));
    stage.pass(PATIENCE);
    assert!(stage.core.unreachable_agents.contains_key(&node.id));
    assert_eq!(stage.told(&fw), ["FAILURE"]);
}

#[test]
fn many_agents_that_vanish_together_are_not_given_up() {
    let mut stage = Stage::new();
    let nodes: Vec<_> = (0..12).map(|_| stage.agent("cpus:1;mem:64")).collect();
    for node in &nodes[..4] {
        stage.lose(node);
    }
    stage.pass(PATIENCE + Duration::from_secs(3600));
    assert!(stage.core.unreachable_agents.is_empty(), "a third is away");
    stage.back(&nodes[0], vec![]);
    stage.pass(Duration::from_secs(10));
    assert_eq!(stage.core.unreachable_agents.len(), 2, "two a minute");
    stage.pass(Duration::from_secs(60));
    assert_eq!(stage.core.unreachable_agents.len(), 3);

    stage.fail_over();
    stage.pass(PATIENCE + Duration::from_secs(3600));
    assert_eq!(
        stage.core.unreachable_agents.len(),
        3,
        "nor after a change of leaders"
    );
}

#[test]
fn a_copy_of_a_task_that_lives_elsewhere_is_killed() {
    let mut stage = Stage::new();
    let mut first = stage.agent("cpus:4;mem:4096");
    let second = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(aware());
    stage.run(&fw, &first, "t", "cpus:1;mem:32");
    let old = stage.task(&fw, "t");
    first.request.frameworks = vec![stage.core.frameworks[&fw.id].info().clone()];
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, aware());
    let (second, _) = stage.back(&second, vec![]);
    stage.run(&fw, &second, "t", "cpus:1;mem:32");
    let (first, _) = stage.back(&first, vec![old]);
    assert_eq!(stage.ordered(&first), ["kill t"]);
    assert_eq!(stage.task(&fw, "t").agent_id.value, second.id);
    stage.update(&first, &fw, "t", TaskState::TaskKilled, 5);
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskStaging));
    stage.acknowledge(&fw, &first, "t", 5);
    assert_eq!(stage.ordered(&first), ["acknowledge t"]);
    assert_eq!(stage.state(&fw, "t"), Some(TaskState::TaskStaging));
}

#[test]
fn executors_come_and_go_with_what_the_agent_lists() {
    let (mut stage, mut node, aware, plain) = partitioned();
    let executor = tepui_protocol::v1::ExecutorInfo {
        executor_id: tepui_protocol::v1::ExecutorId {
            value: "e".to_string(),
        },
        framework_id: Some(tepui_protocol::v1::FrameworkId {
            value: aware.id.clone(),
        }),
        resources: parse("cpus:1;mem:64"),
        ..Default::default()
    };
    let tasks = vec![stage.task(&aware, "t"), stage.task(&plain, "t")];
    node.request.executors = vec![executor];
    let (mut node, _) = stage.back(&node, tasks.clone());
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:1;mem:3968")
    );
    node.request.executors.clear();
    let (node, _) = stage.back(&node, tasks);
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:2;mem:4032")
    );
}

#[test]
fn resources_of_an_agent_may_change_when_it_returns() {
    let (mut stage, mut node, aware, plain) = partitioned();
    node.request.agent_info.resources = parse("cpus:8;mem:4096");
    let tasks = vec![stage.task(&aware, "t"), stage.task(&plain, "t")];
    let (node, _) = stage.back(&node, tasks);
    assert_eq!(
        stage.core.agents[&node.id].record.total,
        parse("cpus:8;mem:4096")
    );
    assert_eq!(
        stage.ledger.free(&node.id).to_proto(),
        parse("cpus:6;mem:4032")
    );
    let registry = stage.registry.reader().copy();
    let recovered = crate::core::Recovered::from_registry(&registry);
    assert_eq!(recovered.agents[0].resources, parse("cpus:8;mem:4096"));
}

/// Registers with this region, or none; what the agent is told, if it is not let in.
fn refused_with(stage: &mut Stage, region: Option<&str>) -> Option<(String, bool)> {
    let name = |name: &str| json!({"name": name});
    let domain = region.map(|region| {
        decode(&json!({"fault_domain": {"region": name(region), "zone": name("z")}}))
    });
    let mut request = node::RegisterAgent {
        version: "1.11.0".to_string(),
        pid: format!("slave(1)@127.0.0.1:{}", stage.next()),
        ..Default::default()
    };
    request.agent_info.domain = domain;
    let (_, told) = stage.register(request);
    let shutdown = told.shutdown();
    told.refusal.map(|reason| (reason, shutdown))
}

#[test]
fn agents_have_domains_where_the_master_has_one_and_only_there() {
    let mut stage = Stage::new();
    assert_eq!(refused_with(&mut stage, None), None);
    let (reason, shutdown) = refused_with(&mut stage, Some("here")).unwrap();
    assert!(reason.contains("start the master with --domain") && !shutdown);
    let name = |name: &str| json!({"name": name});
    let domain = json!({"fault_domain": {"region": name("here"), "zone": name("z")}});
    stage.core.config.info.domain = Some(decode(&domain));
    for region in [None, Some("here"), Some("there")] {
        assert_eq!(refused_with(&mut stage, region), None, "{region:?}");
    }
    stage.core.config.require_agent_domain = true;
    let (reason, shutdown) = refused_with(&mut stage, None).unwrap();
    assert!(reason.contains("the master requires") && !shutdown);
    assert_eq!(refused_with(&mut stage, Some("there")), None);
}

#[test]
fn offers_say_where_their_agent_is() {
    let mut stage = Stage::new();
    let name = |name: &str| json!({"name": name});
    let domain = json!({"fault_domain": {"region": name("here"), "zone": name("z")}});
    stage.core.config.info.domain = Some(decode(&domain));
    let mut request = stage.agent("cpus:1").request;
    request.agent_info.id = None;
    request.agent_info.domain = Some(decode(&domain));
    let (node, _) = stage.register(request);
    let fw = stage.subscribe(json!({}));
    stage.offer(&fw, &node, "cpus:1");
    let events = stage.events_of(&fw.stream);
    assert_eq!(events[0]["offers"]["offers"][0]["domain"], domain);
    let nowhere = stage.agent("cpus:1");
    stage.offer(&fw, &nowhere, "cpus:1");
    let events = stage.events_of(&fw.stream);
    assert_eq!(events[0]["offers"]["offers"][0].get("domain"), None);
}
