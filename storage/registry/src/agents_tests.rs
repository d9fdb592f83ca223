use crate::{
    AGENT_DRAINING, Command, Outcome,
    machine::tests::{Stage, admit, id, info, refused},
};

#[test]
fn agents_go_their_way_and_no_other() {
    let mut stage = Stage::new();
    let remove = |agent: &str| Command::RemoveAgent { id: id(agent) };
    let unreachable = |agent: &str| Command::MarkUnreachable {
        id: id(agent),
        at_nanos: 1,
    };
    let reachable = |agent: &str| Command::MarkReachable {
        id: id(agent),
        info: info("back"),
    };
    let gone = |agent: &str| Command::MarkGone {
        id: id(agent),
        at_nanos: 2,
    };
    stage.apply(admit("a"));
    assert_eq!(stage.apply(remove("a")), Outcome::CHANGED);
    assert!(refused(&stage.apply(remove("a"))));
    assert_eq!(stage.apply(admit("a")), Outcome::CHANGED);
    let update = Command::UpdateAgent {
        id: id("a"),
        info: info("changed"),
    };
    assert_eq!(stage.apply(update.clone()), Outcome::CHANGED);
    assert_eq!(stage.apply(update), Outcome::changed(false));
    assert_eq!(stage.reloaded().agents[&id("a")].info, info("changed"));

    assert_eq!(stage.apply(unreachable("a")), Outcome::CHANGED);
    assert!(refused(&stage.apply(unreachable("a"))));
    assert_eq!(stage.apply(gone("a")), Outcome::CHANGED);
    assert_eq!(stage.apply(gone("a")), Outcome::changed(false));
    assert!(refused(&stage.apply(unreachable("a"))));
    // One that is in no list is believed all the same.
    assert_eq!(stage.apply(reachable("b")), Outcome::CHANGED);
    assert_eq!(stage.reloaded().agents[&id("b")].info, info("back"));
    // What is forgotten may be admitted again.
    stage.apply(unreachable("b"));
    let all = Command::Prune {
        before_nanos: 0,
        max: 0,
    };
    assert_eq!(stage.apply(all), Outcome::CHANGED);
    for agent in ["a", "b"] {
        assert_eq!(stage.apply(admit(agent)), Outcome::CHANGED);
    }
}

/// Of both agents, whether one drains and whether it is deactivated, and whether masters must know how to drain.
fn drains(stage: &Stage) -> ([(bool, bool); 2], bool) {
    let registry = stage.reloaded();
    let of = |agent: &str| {
        let admitted = registry.agents.get(agent);
        let admitted = admitted.map(|agent| (agent.drain.is_some(), agent.deactivated));
        let unreachable = registry.unreachable.get(agent);
        let unreachable = unreachable.map(|agent| (agent.drain.is_some(), agent.deactivated));
        admitted.or(unreachable).expect("a known agent")
    };
    let needed = registry.minimum_capabilities.contains(AGENT_DRAINING);
    ([of("a"), of("b")], needed)
}

#[test]
fn draining_and_deactivation_end_with_reactivation_wherever_the_agent_is() {
    let nothing = (false, false);
    let drain = |agent: &str| Command::DrainAgent {
        id: id(agent),
        drain: info("draining"),
    };
    let deactivate = |agent: &str| Command::DeactivateAgent { id: id(agent) };
    let reactivate = |agent: &str| Command::ReactivateAgent { id: id(agent) };
    for start in [drain, deactivate] {
        let is_drain = matches!(start(""), Command::DrainAgent { .. });
        let held = (is_drain, true);
        let mut stage = Stage::new();
        stage.apply(admit("a"));
        stage.apply(admit("b"));
        assert!(refused(&stage.apply(start("never seen"))));
        assert_eq!(drains(&stage), ([nothing, nothing], false));
        stage.apply(start("a"));
        assert_eq!(drains(&stage), ([held, nothing], true));
        for agent in ["a", "b"] {
            stage.apply(Command::MarkUnreachable {
                id: id(agent),
                at_nanos: 1,
            });
        }
        stage.apply(start("b"));
        assert_eq!(drains(&stage), ([held, held], true));
        stage.apply(Command::MarkReachable {
            id: id("a"),
            info: info("info"),
        });
        assert_eq!(drains(&stage), ([held, held], true));
        stage.apply(reactivate("a"));
        assert_eq!(drains(&stage), ([nothing, held], true));
        stage.apply(reactivate("b"));
        assert_eq!(drains(&stage), ([nothing, nothing], false));
    }
}

#[test]
fn an_agent_that_does_not_drain_is_not_drained() {
    let mut stage = Stage::new();
    let drained = || Command::MarkDrained {
        id: id("a"),
        drain: info("drained"),
    };
    let drain = || Command::DrainAgent {
        id: id("a"),
        drain: info("draining"),
    };
    stage.apply(admit("a"));
    assert!(refused(&stage.apply(drained())));
    stage.apply(drain());
    assert_eq!(stage.apply(drained()), Outcome::CHANGED);
    assert_eq!(
        stage.reloaded().agents[&id("a")].drain,
        Some(info("drained"))
    );
    stage.apply(Command::RemoveAgent { id: id("a") });
    stage.apply(admit("a"));
    stage.apply(Command::MarkUnreachable {
        id: id("a"),
        at_nanos: 1,
    });
    assert!(refused(&stage.apply(drained())));
    stage.apply(drain());
    assert_eq!(stage.apply(drained()), Outcome::CHANGED);
    let registry = stage.reloaded();
    assert_eq!(registry.unreachable[&id("a")].drain, Some(info("drained")));
}
