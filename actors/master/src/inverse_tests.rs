use std::time::Duration;

use serde_json::{Value, json};
use tepui_messages::{change::Change, master::Answer};

use crate::{
    maintenance::tests::{schedule, start, stop},
    stage::{Node, Scheduler, Stage},
};

const INTERVAL: Duration = Duration::from_secs(1);

fn machine(node: &Node) -> Value {
    json!({"hostname": node.request.agent_info.hostname, "ip": "127.0.0.1"})
}

/// The machines of the nodes will be away in an hour, for two.
fn schedule_of(nodes: &[&Node], start: u64) -> Value {
    let machines: Vec<Value> = nodes.iter().map(|node| machine(node)).collect();
    let unavailability = json!({"start": {"nanoseconds": start}, "duration": {"nanoseconds": 7}});
    schedule(json!([{"machine_ids": machines, "unavailability": unavailability}]))
}

/// Inverse offers and rescinds of them since the last look: agent, or `-` and the id.
fn asked(stage: &mut Stage, scheduler: &Scheduler) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for event in stage.events_of(&scheduler.stream) {
        for offer in event["inverse_offers"]["inverse_offers"]
            .as_array()
            .unwrap_or(&Vec::new())
        {
            let text = |value: &Value| value["value"].as_str().unwrap().to_string();
            assert_eq!(offer["framework_id"]["value"], scheduler.id.as_str());
            asked.push((text(&offer["id"]), text(&offer["agent_id"])));
        }
        if event["type"] == "RESCIND_INVERSE_OFFER" {
            let id = &event["rescind_inverse_offer"]["inverse_offer_id"]["value"];
            asked.push((id.as_str().unwrap().to_string(), "rescinded".to_string()));
        }
    }
    asked
}

fn agents(asked: &[(String, String)]) -> Vec<&str> {
    asked.iter().map(|(_, agent)| agent.as_str()).collect()
}

fn answer(stage: &mut Stage, by: &Scheduler, accept: bool, ids: &[&str], refuse: f64) -> Answer {
    let ids: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let (kind, field) = if accept {
        ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers")
    } else {
        ("DECLINE_INVERSE_OFFERS", "decline_inverse_offers")
    };
    let filters = json!({"refuse_seconds": refuse});
    stage.call(
        by,
        json!({"type": kind, field: {"inverse_offer_ids": ids, "filters": filters}}),
    )
}

/// What the view was told last of answers about the agent.
fn answers(stage: &Stage, node: &Node) -> Vec<(String, &'static str)> {
    let told = stage.changes.iter().rev().find_map(|change| match change {
        Change::InverseOffersAnswered { agent_id, answers } if agent_id.value == node.id => {
            Some(answers.clone())
        }
        _ => None,
    });
    let told = told.iter().flat_map(|told| told.iter());
    told.map(|it| (it.framework_id.value.clone(), it.status().as_str_name()))
        .collect()
}

fn running() -> (Stage, Node, Scheduler) {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 600.0}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.events_of(&fw.stream);
    (stage, node, fw)
}

#[test]
fn offers_name_the_time_for_which_their_agent_will_be_away_and_are_made_anew_when_it_changes() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    stage.offer(&fw, &node, "cpus:4;mem:4096");
    let events = stage.events_of(&fw.stream);
    let offer = &events[0]["offers"]["offers"][0];
    assert!(offer["id"].is_object() && offer.get("unavailability").is_none());
    stage.operator(schedule_of(&[&node], 60));
    assert_eq!(stage.told(&fw), ["RESCIND M1-O0"]);
    stage.offer(&fw, &node, "cpus:4;mem:4096");
    let events = stage.events_of(&fw.stream);
    let away = json!({"start": {"nanoseconds": 60}, "duration": {"nanoseconds": 7}});
    assert_eq!(events[0]["offers"]["offers"][0]["unavailability"], away);
    // What was offered may be lost too.
    let inverse = &events[1]["inverse_offers"]["inverse_offers"][0];
    assert_eq!(inverse["unavailability"], away);
    assert_eq!(inverse["url"]["path"], "/slave(1)");
    stage.operator(schedule_of(&[&node], 60));
    assert_eq!(stage.told(&fw), [""; 0], "the same schedule is nothing new");
    stage.operator(schedule(json!([])));
    let told = stage.told(&fw);
    assert_eq!(told, ["RESCIND M1-O1", "RESCIND_INVERSE_OFFER"]);
    stage.offer(&fw, &node, "cpus:4;mem:4096");
    let offers = stage.events_of(&fw.stream);
    assert!(
        offers[0]["offers"]["offers"][0]
            .get("unavailability")
            .is_none()
    );
    assert_eq!(offers.len(), 1);
}

#[test]
fn whoever_runs_something_on_a_scheduled_machine_is_asked_once_and_others_are_not() {
    let (mut stage, node, fw) = running();
    let idle = stage.subscribe(json!({}));
    let elsewhere = stage.agent("cpus:4;mem:4096");
    stage.run(&idle, &elsewhere, "other", "cpus:1;mem:32");
    stage.operator(schedule_of(&[&node], 60));
    assert_eq!(agents(&asked(&mut stage, &fw)), [&node.id]);
    assert!(asked(&mut stage, &idle).is_empty());
    stage.pass(Duration::from_secs(100));
    assert!(asked(&mut stage, &fw).is_empty(), "it has not answered");
    // Suppressed roles do not matter, nor another offer there.
    stage.call(&fw, json!({"type": "SUPPRESS", "suppress": {}}));
    stage.offer(&fw, &node, "cpus:1");
    assert!(asked(&mut stage, &fw).is_empty());
}

#[test]
fn answers_are_shown_until_the_schedule_changes_and_are_asked_for_again_after_the_filter() {
    let (mut stage, node, fw) = running();
    stage.operator(schedule_of(&[&node], 60));
    let first = asked(&mut stage, &fw);
    let refused = answer(&mut stage, &fw, false, &[&first[0].0], 0.0);
    assert_eq!(refused, Answer::ACCEPTED);
    assert_eq!(answers(&stage, &node), [(fw.id.clone(), "DECLINE")]);
    assert!(asked(&mut stage, &fw).is_empty(), "not within the interval");
    stage.pass(INTERVAL);
    let second = asked(&mut stage, &fw);
    assert_eq!(agents(&second), [&node.id]);
    assert_eq!(answers(&stage, &node), [(fw.id.clone(), "DECLINE")]);
    answer(&mut stage, &fw, true, &[&second[0].0], 100.0);
    assert_eq!(answers(&stage, &node), [(fw.id.clone(), "ACCEPT")]);
    stage.pass(Duration::from_secs(99));
    assert!(asked(&mut stage, &fw).is_empty());
    stage.operator(schedule_of(&[&node], 61));
    assert!(answers(&stage, &node).is_empty());
    let third = asked(&mut stage, &fw);
    assert_eq!(agents(&third), [&node.id], "filters fall with the schedule");
    answer(&mut stage, &fw, true, &[&third[0].0], 100.0);
    stage.call(&fw, json!({"type": "REVIVE", "revive": {}}));
    assert_eq!(agents(&asked(&mut stage, &fw)), [&node.id]);
}

#[test]
fn each_agent_has_a_filter_of_its_own() {
    let (mut stage, node, fw) = running();
    let other = stage.agent("cpus:4;mem:4096");
    stage.run(&fw, &other, "t2", "cpus:1;mem:32");
    stage.events_of(&fw.stream);
    stage.operator(schedule_of(&[&node, &other], 60));
    let events = stage.events_of(&fw.stream);
    assert_eq!(events.len(), 1, "all of one framework in one event");
    let offers = events[0]["inverse_offers"]["inverse_offers"].as_array();
    let ids: Vec<&str> = offers
        .unwrap()
        .iter()
        .map(|offer| offer["id"]["value"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    answer(&mut stage, &fw, false, &[ids[1]], 101.0);
    answer(&mut stage, &fw, true, &[ids[0]], 0.0);
    stage.pass(INTERVAL);
    let again = asked(&mut stage, &fw);
    assert_eq!(again.len(), 1);
    answer(&mut stage, &fw, false, &[&again[0].0], 0.0);
    stage.pass(INTERVAL);
    assert_eq!(agents(&asked(&mut stage, &fw)), [&again[0].1]);
}

#[test]
fn answers_to_what_is_not_asked_or_asked_of_another_change_nothing() {
    let (mut stage, node, fw) = running();
    let other = stage.subscribe(json!({}));
    stage.operator(schedule_of(&[&node], 60));
    let mine = asked(&mut stage, &fw);
    let offer = stage.offer(&other, &node, "cpus:1");
    let before = stage.changes.len();
    let ids = ["invalid", "M1-O99", "M1-Ox", "", &offer];
    assert_eq!(answer(&mut stage, &fw, true, &ids, 5.0), Answer::ACCEPTED);
    let theirs = [mine[0].0.as_str(), &offer];
    answer(&mut stage, &other, false, &theirs, 5.0);
    // An inverse offer is no offer.
    stage.call(
        &fw,
        json!({"type": "DECLINE", "decline": {"offer_ids": [{"value": mine[0].0}]}}),
    );
    assert_eq!(stage.changes.len(), before);
    assert_eq!(answer(&mut stage, &fw, true, &[], 5.0), Answer::ACCEPTED);
    assert_eq!(stage.changes.len(), before);
    let twice = [mine[0].0.as_str(), mine[0].0.as_str()];
    answer(&mut stage, &fw, true, &twice, 5.0);
    assert_eq!(answers(&stage, &node), [(fw.id.clone(), "ACCEPT")]);
}

#[test]
fn what_is_asked_ends_with_the_agent_the_framework_and_the_connection_of_either() {
    let (mut stage, node, fw) = running();
    stage.operator(schedule_of(&[&node], 60));
    let first = asked(&mut stage, &fw);
    let task = stage.task(&fw, "t");
    stage.lose(&node);
    let rescinded = asked(&mut stage, &fw);
    assert_eq!(rescinded, [(first[0].0.clone(), "rescinded".to_string())]);
    stage.back(&node, vec![task]);
    assert_eq!(agents(&asked(&mut stage, &fw)), [&node.id]);
    stage.lose_stream(&fw.stream);
    assert!(stage.core.inverse.offers.is_empty());
    let fw = stage.resubscribe(&fw.id, json!({"failover_timeout": 600.0}));
    let standing = stage.core.inverse.offers.values();
    let again: Vec<String> = standing.map(|it| it.offer.id.value.clone()).collect();
    assert_eq!(again.len(), 1, "asked with the subscription");
    answer(&mut stage, &fw, true, &[&again[0]], 50.0);
    stage.call(&fw, json!({"type": "TEARDOWN"}));
    assert!(answers(&stage, &node).is_empty());
    assert!(stage.core.inverse.refusals.is_empty());
    let other = stage.subscribe(json!({}));
    stage.offer(&other, &node, "cpus:1;mem:32");
    assert_eq!(asked(&mut stage, &other).len(), 1);
    let machines = json!([machine(&node)]);
    stage.operator(start(machines.clone()));
    assert_eq!(agents(&asked(&mut stage, &other)), ["rescinded"]);
    assert!(stage.core.inverse.agents.is_empty());
    stage.operator(stop(machines));
    let mut request = node.request.clone();
    request.agent_info.id = None;
    let (fresh, _) = stage.register(request);
    stage.offer(&other, &fresh, "cpus:1;mem:32");
    let events = stage.events_of(&other.stream);
    let offer = &events.last().unwrap()["offers"]["offers"][0];
    assert!(offer.is_object() && offer.get("unavailability").is_none());
}

#[test]
fn the_schedule_outlives_the_leader_and_agents_that_come_back_are_scheduled() {
    let (mut stage, node, fw) = running();
    stage.operator(schedule_of(&[&node], 60));
    let task = stage.task(&fw, "t");
    stage.fail_over();
    let fw = stage.resubscribe(&fw.id, json!({"failover_timeout": 600.0}));
    assert!(asked(&mut stage, &fw).is_empty(), "the agent is not back");
    stage.back(&node, vec![task.clone()]);
    assert_eq!(agents(&asked(&mut stage, &fw)), [&node.id]);
    // The agent before the framework: there is nobody to be asked yet.
    stage.fail_over();
    stage.back(&node, vec![task]);
    assert!(stage.core.inverse.offers.is_empty());
    stage.resubscribe(&fw.id, json!({"failover_timeout": 600.0}));
    assert_eq!(stage.core.inverse.offers.len(), 1);
}

#[test]
fn inverse_offers_time_out_as_offers_do_and_are_made_again() {
    let (mut stage, node, fw) = running();
    stage.core.config.offer_timeout = Some(Duration::from_secs(30));
    stage.operator(schedule_of(&[&node], 60));
    let first = asked(&mut stage, &fw);
    stage.pass(Duration::from_secs(29));
    assert!(asked(&mut stage, &fw).is_empty());
    stage.pass(INTERVAL);
    let then = asked(&mut stage, &fw);
    assert_eq!(then[0], (first[0].0.clone(), "rescinded".to_string()));
    assert_eq!(then[1].1, node.id);
}

/// As in Mesos, whose allocator revives a framework that is updated.
#[test]
fn who_is_updated_or_subscribes_again_is_asked_again() {
    let (mut stage, node, mut fw) = running();
    stage.operator(schedule_of(&[&node], 60));
    for subscribes in [false, true] {
        let first = asked(&mut stage, &fw);
        assert_eq!(agents(&first), [&node.id]);
        answer(&mut stage, &fw, false, &[&first[0].0], 3_600.0);
        stage.pass(INTERVAL);
        assert!(asked(&mut stage, &fw).is_empty());
        if subscribes {
            fw = stage.resubscribe(&fw.id, json!({"failover_timeout": 600.0}));
        } else {
            let info = stage.core.frameworks[&fw.id].info().clone();
            let update = json!({"framework_info": info});
            let update = json!({"type": "UPDATE_FRAMEWORK", "update_framework": update});
            assert_eq!(stage.call(&fw, update), Answer::OK);
        }
        stage.pass(INTERVAL);
    }
    // Asked with the subscription.
    assert_eq!(stage.core.inverse.offers.len(), 1);
}

#[test]
fn a_refusal_to_be_asked_falls_with_the_attributes_of_the_agent() {
    let (mut stage, mut node, fw) = running();
    stage.operator(schedule_of(&[&node], 60));
    let first = asked(&mut stage, &fw);
    answer(&mut stage, &fw, false, &[&first[0].0], 1000.0);
    let tasks = vec![stage.task(&fw, "t")];
    stage.back(&node, tasks.clone());
    assert!(asked(&mut stage, &fw).is_empty());
    node.request.agent_info.attributes = vec![crate::stage::decode(
        &json!({"name": "rack", "type": "TEXT", "text": {"value": "b"}}),
    )];
    stage.back(&node, tasks);
    assert_eq!(agents(&asked(&mut stage, &fw)), [&node.id]);
}
