use serde_json::json;
use tepui_messages::{allocator::WorldChange, master::AgentMessage};
use tepui_protocol::v1::{Resource, resource::RevocableInfo};

use super::*;
use crate::stage::{Node, Scheduler, Stage, parse};

fn revocable(text: &str) -> Vec<Resource> {
    let resources = parse(text).into_iter();
    let lent = resources.map(|resource| Resource {
        revocable: Some(RevocableInfo {}),
        ..resource
    });
    lent.collect()
}

fn lends(stage: &mut Stage, node: &Node, resources: Vec<Resource>) {
    let told = node::OversubscribedResources { resources };
    stage.says(node, AgentMessage::Oversubscribed(told));
}

fn cluster() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"capabilities": [{"type": "REVOCABLE_RESOURCES"}]}));
    stage.told(&fw);
    (stage, node, fw)
}

/// The totals the allocator was told of since the last look.
fn totals(stage: &mut Stage) -> Vec<String> {
    let world = std::mem::take(&mut stage.world).into_iter();
    let totals = world.filter_map(|change| match change {
        WorldChange::AgentTotal { total, .. } => Some(total),
        _ => None,
    });
    totals
        .map(|total| Resources::from_proto(&total).unwrap().to_string())
        .collect()
}

#[test]
fn what_an_agent_lends_is_part_of_its_total_until_it_says_otherwise() {
    let (mut stage, node, _) = cluster();
    totals(&mut stage);
    lends(&mut stage, &node, revocable("cpus:2"));
    assert_eq!(totals(&mut stage), ["cpus:4; mem:4096; cpus{REV}:2"]);
    assert_eq!(stage.total(&node), "cpus:4; mem:4096; cpus{REV}:2");
    lends(&mut stage, &node, revocable("cpus:2"));
    assert!(totals(&mut stage).is_empty(), "it is nothing new");
    lends(&mut stage, &node, revocable("cpus:1"));
    assert_eq!(totals(&mut stage), ["cpus:4; mem:4096; cpus{REV}:1"]);
    lends(&mut stage, &node, Vec::new());
    assert_eq!(totals(&mut stage), ["cpus:4; mem:4096"]);
}

#[test]
fn offers_of_what_is_lent_are_rescinded_and_no_others() {
    for lent in ["cpus:3", "cpus:1"] {
        let (mut stage, node, fw) = cluster();
        lends(&mut stage, &node, revocable("cpus:2"));
        let firm = stage.offer(&fw, &node, "cpus:4");
        stage.propose_resources(&fw.id, "*", &node.id, revocable("cpus:2"));
        stage.told(&fw);
        lends(&mut stage, &node, revocable(lent));
        let told = stage.told(&fw);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("RESCIND"), "{told:?}");
        assert!(!told[0].contains(&firm), "{told:?}");
        assert_eq!(stage.core.offers.len(), 1);
    }
}

#[test]
fn proposals_of_the_earlier_amount_come_to_nothing() {
    let (mut stage, node, fw) = cluster();
    lends(&mut stage, &node, revocable("cpus:2"));
    let seen = stage.core.told;
    lends(&mut stage, &node, revocable("cpus:1"));
    let resources = revocable("cpus:2");
    stage.ledger.hold(&node.id, &fw.id, "*", &resources);
    stage.propose_seen(seen, &fw.id, "*", &node.id, resources);
    assert!(stage.core.offers.is_empty());
    assert!(stage.told(&fw).is_empty());
}

#[test]
fn a_task_runs_on_what_is_lent_and_keeps_it_when_less_is() {
    let (mut stage, node, fw) = cluster();
    lends(&mut stage, &node, revocable("cpus:2"));
    stage.propose_resources(&fw.id, "*", &node.id, revocable("cpus:2"));
    let offers = &stage.events_of(&fw.stream)[0]["offers"]["offers"];
    let offer = offers[0]["id"]["value"].as_str().unwrap().to_owned();
    let mut task = crate::stage::task("t", &node, "cpus:2");
    task["resources"][0]["revocable"] = json!({});
    stage.accept(&fw, &[&offer], &[task]);
    assert_eq!(stage.ordered(&node), ["run t"]);
    lends(&mut stage, &node, revocable("cpus:1"));
    assert!(stage.state(&fw, "t").is_some());
}

#[test]
fn what_can_be_lent_comes_with_the_agent_and_survives_what_else_happens_to_it() {
    let (mut stage, node, _) = cluster();
    lends(&mut stage, &node, revocable("cpus:2"));
    let mut request = node.request.clone();
    request.oversubscribed_resources = revocable("cpus:3");
    let (node, registration) = stage.register(request.clone());
    assert_eq!(registration.refusal, None);
    assert_eq!(stage.total(&node), "cpus:4; mem:4096; cpus{REV}:3");
    stage.fail_over();
    let (node, _) = stage.register(request);
    assert_eq!(stage.total(&node), "cpus:4; mem:4096; cpus{REV}:3");
    totals(&mut stage);
    lends(&mut stage, &node, revocable("cpus:3"));
    assert!(totals(&mut stage).is_empty(), "it was told already");
}

#[test]
fn what_cannot_be_lent_is_not_believed() {
    let (mut stage, node, _) = cluster();
    totals(&mut stage);
    let many = (0..=MAX_LENT).map(|number| revocable(&format!("r{number}:1")).remove(0));
    for nonsense in [parse("cpus:2"), many.collect(), {
        let mut negative = revocable("cpus:1");
        negative[0].scalar = Some(tepui_protocol::v1::value::Scalar { value: -1.0 });
        negative
    }] {
        lends(&mut stage, &node, nonsense);
        assert!(totals(&mut stage).is_empty());
        assert_eq!(stage.total(&node), "cpus:4; mem:4096");
    }
}
