//! Agents that return to the next leader, in time or not, and what is offered of those that do not.

use std::time::Duration;

use serde_json::json;
use tepui_messages::master::PeerId;

use crate::stage::{Stage, decode};

const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn an_agent_that_returns_to_the_next_leader_is_not_given_up() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    stage.fail_over();
    stage.pass(PATIENCE / 2);
    let (node, registration) = stage.back(&node, vec![]);
    assert_eq!(registration.refusal, None);
    stage.pass(PATIENCE * 2);
    assert!(stage.core.agents[&node.id].record.active);
    assert!(stage.core.unreachable_agents.is_empty());
}

#[test]
fn an_agent_whose_return_is_being_written_when_its_time_is_over_is_there() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    stage.fail_over();
    stage.pass(PATIENCE - Duration::from_secs(1));
    let mut request = node.request.clone();
    request.agent_info.hostname = "renamed".to_owned();
    stage.hold_writes = true;
    let token = stage.begin_registration(PeerId(99), request);
    stage.pass(PATIENCE);
    stage.release_writes();
    assert_eq!(stage.registration(token).unwrap().refusal, None);
    stage.pass(PATIENCE);
    assert!(stage.core.agents[&node.id].record.active);
    assert!(stage.core.unreachable_agents.is_empty());
    let registry = stage.registry.reader().copy();
    let written = &registry.agents[&node.id];
    assert!(
        format!("{written:?}").contains("renamed"),
        "the registry has it as it came"
    );
}

#[test]
fn under_the_next_leader_no_agent_has_the_id_of_another() {
    let mut stage = Stage::new();
    let first = stage.agent("cpus:1").id;
    stage.fail_over();
    let second = stage.agent("cpus:1").id;
    assert_ne!(first, second);
}

#[test]
fn an_agent_without_the_domain_it_must_have_does_not_return_either() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:1");
    let name = |name: &str| json!({"name": name});
    let domain = json!({"fault_domain": {"region": name("here"), "zone": name("z")}});
    let mut placed = node.request.clone();
    placed.agent_info.domain = Some(decode(&domain));
    let (_, registration) = stage.register(placed);
    let reason = registration.refusal.unwrap();
    assert!(
        reason.contains("start the master with --domain"),
        "{reason}"
    );
    stage.core.config.info.domain = Some(decode(&domain));
    stage.core.config.require_agent_domain = true;
    let (_, registration) = stage.back(&node, vec![]);
    let reason = registration.refusal.unwrap();
    assert!(reason.contains("the master requires"), "{reason}");
}

#[test]
fn an_offer_that_was_answered_is_not_rescinded_with_its_agent() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    let used = stage.offer(&fw, &node, "cpus:1;mem:32");
    let declined = stage.offer(&fw, &node, "cpus:1;mem:32");
    let open = stage.offer(&fw, &node, "cpus:1;mem:32");
    let task = crate::stage::task("t", &node, "cpus:1;mem:32");
    stage.accept(&fw, &[&used], &[task]);
    let decline = json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": declined}]}});
    stage.call(&fw, decline);
    stage.told(&fw);
    stage.lose(&node);
    assert_eq!(stage.told(&fw), [format!("RESCIND {open}")]);
}
