use std::{sync::Arc, time::Duration};

use tepui_messages::change::{AgentRecord, Change};
use tepui_protocol::v1::{AgentId, AgentInfo, FrameworkId, OfferId};

use super::*;
use crate::{scene, world::MAX_ENDED_OFFERS};

const SECOND: UnixNanos = 1_000_000_000;

fn offer(framework: &str, number: u64, cpus: u32) -> Offer {
    Offer {
        id: OfferId {
            value: format!("O{number}"),
        },
        framework_id: FrameworkId {
            value: framework.to_owned(),
        },
        agent_id: AgentId {
            value: "a1".to_owned(),
        },
        resources: Resources::parse(&format!("cpus:{cpus}"), "*")
            .unwrap()
            .to_proto(),
        ..Offer::default()
    }
}

fn end(framework: &str, number: u64, end: OfferEnd, at: UnixNanos) -> Change {
    let offer = offer(framework, number, 1);
    Change::OfferRemoved {
        framework_id: offer.framework_id,
        offer_id: offer.id,
        end,
        at,
    }
}

fn agent(total: &str) -> Change {
    let mut record = AgentRecord {
        shortcoming: None,
        info: AgentInfo::default().into(),
        pid: String::new(),
        version: String::new(),
        capabilities: Vec::new(),
        connected: true,
        active: true,
        deactivated: false,
        registered_at: 0,
        reregistered_at: None,
        total: Resources::parse(total, "*").unwrap().to_proto(),
        drain_info: None,
        drain_started_at: None,
    };
    Arc::make_mut(&mut record.info).id = Some(AgentId {
        value: "a1".to_owned(),
    });
    Change::AgentAdded(record.into())
}

#[test]
fn who_holds_most_for_longest_comes_first_and_ended_offers_tell_their_lives() {
    let mut world = scene::world([agent("cpus:10")]);
    for name in ["fast", "slow"] {
        world.apply(&Change::FrameworkAdded(scene::framework(name, &["dev"])));
    }
    let put = |world: &mut World, offer: Offer, at: UnixNanos| {
        world.apply(&Change::OfferAdded {
            offer: offer.into(),
            at,
        });
    };
    put(&mut world, offer("fast", 1, 4), SECOND);
    put(&mut world, offer("slow", 2, 2), 2 * SECOND);
    let refused_for = Duration::from_secs(5);
    let declined = OfferEnd::Declined { refused_for };
    world.apply(&end("fast", 1, declined, 3 * SECOND));
    put(&mut world, offer("fast", 3, 4), 30 * SECOND);

    let told = ledger(&world, 32 * SECOND, 10);
    // A fifth of the cluster for 30 s, and two fifths for 2 s.
    let holders = told["holders"].as_array().unwrap();
    assert_eq!(holders[0]["framework"], "slow");
    assert_eq!(holders[0]["share_secs"], 6.0);
    assert_eq!(holders[0]["oldest_secs"], 30.0);
    assert_eq!(holders[1]["share_secs"], 0.8);
    assert_eq!(holders[1]["declined"], 1);
    assert_eq!(holders[1]["mean_held_secs"], 2.0);
    assert_eq!(told["standing"], 2);
    assert_eq!(told["offers"][0]["id"], "O2");
    assert_eq!(told["offers"][1]["age_secs"], 2.0);
    let ended = &told["ended"][0];
    assert_eq!(
        (&ended["id"], &ended["end"]),
        (&"O1".into(), &"DECLINED".into())
    );
    assert_eq!(ended["held_secs"], 2.0);
    assert_eq!(ended["refused_secs"], 5.0);
}

#[test]
fn only_the_last_of_the_ended_offers_are_remembered() {
    let mut world = scene::world([agent("cpus:10")]);
    world.apply(&Change::FrameworkAdded(scene::framework("f", &["dev"])));
    for number in 0..MAX_ENDED_OFFERS as u64 + 5 {
        world.apply(&scene::offer_added(offer("f", number, 1)));
        world.apply(&end("f", number, OfferEnd::Accepted, 2));
    }
    world.check().unwrap();
    let told = ledger(&world, 3, 1);
    assert_eq!(told["ended"][0]["id"], format!("O{}", MAX_ENDED_OFFERS + 4));
    assert_eq!(world.ended_offers.len(), MAX_ENDED_OFFERS);
}
