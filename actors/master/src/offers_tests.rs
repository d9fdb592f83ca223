use std::time::Duration;

use serde_json::json;
use tepui_messages::allocator::{Proposal, Proposals, WorldChange};

use super::refusal;
use crate::{
    core::Input,
    frameworks::framework_id,
    stage::{Stage, agent_id, parse},
    stage_operations::{able, create, volume},
};

#[test]
fn refusals_last_five_seconds_unless_said_otherwise() {
    let table = [
        (None, 5.0),
        (Some(0.0), 0.0),
        (Some(0.5), 0.5),
        (Some(-1.0), 5.0),
        (Some(f64::NAN), 5.0),
        (Some(1e12), 365.0 * 86400.0),
        (Some(f64::INFINITY), 365.0 * 86400.0),
    ];
    for (given, seconds) in table {
        assert_eq!(
            refusal(given),
            Duration::from_secs_f64(seconds),
            "{given:?}"
        );
    }
}

#[test]
fn an_offer_shows_the_agent_and_the_role_to_frameworks_with_roles() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let single = stage.subscribe(json!({"role": "dev"}));
    let multi =
        stage.subscribe(json!({"roles": ["dev"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    stage.told(&single);
    stage.told(&multi);
    let id = stage.offer_as(&single, "dev", &node, "cpus:1");
    stage.offer_as(&multi, "dev", &node, "cpus:1");
    let hidden = stage.events_of(&single.stream)[0]["offers"]["offers"][0].clone();
    let shown = stage.events_of(&multi.stream)[0]["offers"]["offers"][0].clone();
    assert_eq!(hidden["id"]["value"], id);
    assert_eq!(hidden["agent_id"]["value"], node.id);
    assert_eq!(hidden["hostname"], node.request.agent_info.hostname);
    assert_eq!(hidden["url"]["path"], "/slave(1)");
    assert_eq!(hidden["url"]["address"]["ip"], "127.0.0.1");
    assert_eq!(hidden.get("allocation_info"), None);
    assert_eq!(hidden["resources"][0].get("allocation_info"), None);
    assert_eq!(shown["allocation_info"]["role"], "dev");
    assert_eq!(shown["resources"][0]["allocation_info"]["role"], "dev");
}

#[test]
fn a_framework_hears_of_all_offers_of_a_run_at_once() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw =
        stage.subscribe(json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    stage.told(&fw);
    let of_role = |role: &str| Proposal {
        framework_id: framework_id(&fw.id),
        role: role.to_string(),
        agents: vec![(agent_id(&node.id).into(), parse("cpus:1").into())],
    };
    let run = Proposals {
        proposals: vec![of_role("a"), of_role("b")],
        seen: stage.core.told,
    };
    for role in ["a", "b"] {
        stage.ledger.hold(&node.id, &fw.id, role, &parse("cpus:1"));
    }
    stage.input(Input::Proposals(run));
    let events = stage.events_of(&fw.stream);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["offers"]["offers"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_offered_any_more_goes_back() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.propose("nobody", "*", &node.id, "cpus:1");
    stage.propose(&fw.id, "other role", &node.id, "cpus:1");
    stage.propose(&fw.id, "*", "no such agent", "cpus:1");
    stage.lose_stream(&fw.stream);
    stage.propose(&fw.id, "*", &node.id, "cpus:1");
    let fw = stage.resubscribe(&fw.id, json!({}));
    stage.lose(&node);
    stage.propose(&fw.id, "*", &node.id, "cpus:1");
    assert!(stage.core.offers.is_empty());
    assert!(stage.told(&fw).is_empty());
    let returned = stage.world.iter().filter(|change| {
        matches!(
            change,
            WorldChange::Recovered {
                refused_for: None,
                ..
            }
        )
    });
    assert_eq!(returned.count(), 5);
}

/// While a proposal is under way its agent is given up and comes back: the allocator knows nothing any more of what
/// it gave, so that an offer would be of resources it gives again, and a return would free what is used.
#[test]
fn a_proposal_older_than_its_agent_or_framework_is_void() {
    let mut stage = Stage::new();
    let fw = stage.subscribe(json!({}));
    let seen = stage.core.told;
    let node = stage.agent("cpus:4;mem:4096");
    stage.world.clear();
    stage.propose_seen(seen, &fw.id, "*", &node.id, parse("cpus:1"));
    assert!(stage.core.offers.is_empty() && stage.world.is_empty());
    stage.offer(&fw, &node, "cpus:1");

    let seen = stage.core.told;
    let late = stage.subscribe(json!({}));
    stage.world.clear();
    stage.propose_seen(seen, &late.id, "*", &node.id, parse("cpus:1"));
    assert!(stage.world.is_empty());
    assert_eq!(stage.core.offers.len(), 1);
}

#[test]
fn decline_returns_offers_with_the_filter_and_ignores_what_it_does_not_know() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    let other = stage.subscribe(json!({}));
    let mine = stage.offer(&fw, &node, "cpus:1");
    let its = stage.offer(&other, &node, "cpus:1");
    stage.world.clear();
    let ids: Vec<_> = [
        mine.as_str(),
        &mine,
        &its,
        "nonsense",
        "M1-O77",
        "M1-O00",
        "M1-O+0",
    ]
    .iter()
    .map(|id| json!({"value": id}))
    .collect();
    stage.call(
        &fw,
        json!({"type": "DECLINE", "decline": {"offer_ids": ids, "filters": {"refuse_seconds": 60.0}}}),
    );
    let left: Vec<_> = stage
        .core
        .offers
        .values()
        .map(|o| &o.offer.id.value)
        .collect();
    assert_eq!(left, [&its]);
    let filters: Vec<_> = stage
        .world
        .iter()
        .filter_map(|change| match change {
            WorldChange::Recovered { refused_for, .. } => Some(*refused_for),
            _ => None,
        })
        .collect();
    assert_eq!(filters, [Some(Duration::from_secs(60))]);
}

#[test]
fn offers_are_rescinded_when_their_agent_is_lost() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    let offer = stage.offer(&fw, &node, "cpus:1");
    stage.told(&fw);
    stage.lose(&node);
    assert_eq!(stage.told(&fw), [format!("RESCIND {offer}")]);
}

#[test]
fn offers_are_forgotten_when_their_framework_is_lost() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({"failover_timeout": 60.0}));
    stage.offer(&fw, &node, "cpus:1");
    stage.told(&fw);
    stage.lose_stream(&fw.stream);
    assert!(stage.core.offers.is_empty());
    assert!(stage.told(&fw).is_empty());
    assert_eq!(stage.ledger.free(&node.id), stage.ledger.totals[&node.id]);
}

#[test]
fn offers_that_stand_too_long_are_taken_back_oldest_first() {
    let mut stage = Stage::new();
    stage.core.config.offer_timeout = Some(Duration::from_secs(10));
    let node = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    let first = stage.offer(&fw, &node, "cpus:1");
    stage.pass(Duration::from_secs(6));
    let second = stage.offer(&fw, &node, "cpus:1");
    stage.events_of(&fw.stream);
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.events_of(&fw.stream), [] as [serde_json::Value; 0]);
    for (seconds, id) in [(1, first), (6, second)] {
        stage.pass(Duration::from_secs(seconds));
        let events = stage.events_of(&fw.stream);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["rescind"]["offer_id"]["value"], id);
    }
    assert!(stage.core.offers.is_empty());
}

#[test]
fn only_those_who_know_refined_reservations_see_their_form() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem(dev):512");
    let old = stage.subscribe(json!({"roles": ["dev"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    let new = stage.subscribe(json!({"roles": ["dev"],
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]}));
    for (scheduler, cpus_role, mem_role) in [(&old, Some("*"), Some("dev")), (&new, None, None)] {
        stage.offer_as(scheduler, "dev", &node, "cpus:1;mem(dev):256");
        let offers = &stage.events_of(&scheduler.stream)[0]["offers"]["offers"];
        let resources = &offers[0]["resources"];
        assert_eq!(resources[0]["role"].as_str(), cpus_role);
        assert_eq!(resources[1]["role"].as_str(), mem_role);
        let is_new = resources[1].get("reservations").is_some();
        assert_eq!(is_new, mem_role.is_none(), "{resources}");
    }
}

#[test]
fn a_volume_is_offered_as_its_agent_has_it() {
    let (mut stage, node, fw) = able();
    stage.operate(&fw, &node, json!([create(volume(64.0))]));
    stage.told(&fw);
    // The allocator saw it elsewhere, or before it was destroyed and made anew.
    let mut seen = volume(64.0);
    seen["disk"]["volume"]["container_path"] = json!("old");
    seen["disk"]["persistence"]["principal"] = json!("another");
    let seen = vec![crate::stage::decode(&seen)];
    stage.propose_resources(&fw.id, "r", &node.id, seen);
    let events = stage.events_of(&fw.stream);
    let offered = &events[0]["offers"]["offers"][0]["resources"][0];
    assert_eq!(offered["disk"], volume(64.0)["disk"]);
}

#[test]
fn refined_reservations_proposed_to_who_knew_them_go_back() {
    let (mut stage, node, fw) = able();
    let mut refined = parse("cpus(r):1");
    let mut inner = refined[0].reservations[0].clone();
    inner.role = Some("r/s".to_string());
    refined[0].reservations.push(inner);
    stage.world.clear();
    stage.propose_resources(&fw.id, "r", &node.id, refined);
    assert!(stage.core.offers.is_empty() && stage.told(&fw).is_empty());
    assert!(matches!(
        stage.world[..],
        [WorldChange::Recovered {
            refused_for: None,
            ..
        }]
    ));
}
