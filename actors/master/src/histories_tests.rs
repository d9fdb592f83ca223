//! Random histories. After every input of every history the stage checks the tables against each other, the
//! allocator's ledger and a follower of the change stream (see [`crate::invariants`]), that no event goes to a
//! stream that is lost, ended or not subscribed, and that each question has one answer.

use std::time::Duration;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use tepui_messages::master::PeerId;

use crate::{
    core::Input,
    history::{Step, World},
};

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8usize;
    let common = prop_oneof![
        3 => (any::<u8>(), any::<bool>(), any::<bool>()).prop_map(|(failover_s, aware, role)| Step::Subscribe { failover_s, aware, role }),
        3 => index.clone().prop_map(Step::Resubscribe),
        2 => index.clone().prop_map(Step::LoseStream),
        1 => (index.clone(), any::<bool>()).prop_map(|(framework, by_operator)| Step::Teardown { framework, by_operator }),
        1 => index.clone().prop_map(Step::Update),
        8 => (index.clone(), index.clone(), any::<u8>(), any::<bool>()).prop_map(|(framework, agent, part, late)| Step::Propose {
                late, framework, agent, part }),
        4 => Just(Step::Deliver),
        8 => (index.clone(), any::<u8>(), 0..4u8, any::<bool>()).prop_map(|(framework, offers, tasks, executor)| Step::Accept { framework, offers, tasks, executor }),
        2 => index.clone().prop_map(Step::Decline),
        8 => (0..64usize, any::<u8>(), any::<bool>()).prop_map(|(task, state, behind)| Step::Status { task, state, behind }),
        5 => (0..64usize).prop_map(Step::Acknowledge),
        1 => index.clone().prop_map(Step::ExecutorExits),
        2 => (0..64usize).prop_map(Step::Kill),
        4 => (index.clone(), any::<u16>(), any::<bool>()).prop_map(|(framework, operations, named)| Step::Operate {
                framework, operations, named }),
        2 => (index.clone(), any::<u8>()).prop_map(|(agent, operation)| Step::OperatorOperates { agent, operation }),
        4 => (index.clone(), any::<bool>()).prop_map(|(agent, told)| Step::AgentObeys { agent, told }),
        2 => index.clone().prop_map(Step::AcknowledgeOperations),
        1 => index.clone().prop_map(Step::ReconcileOperations),
        1 => index.clone().prop_map(Step::Reconcile),
        1 => (index.clone(), any::<bool>()).prop_map(|(framework, revive)| Step::Suppress { framework, revive }),
    ];
    let rare = prop_oneof![
        3 => Just(Step::NewAgent),
        8 => (index.clone(), any::<u8>(), any::<bool>()).prop_map(|(agent, keep, grow)| Step::AgentBack { agent, keep, grow }),
        1 => index.clone().prop_map(Step::AgentAgain),
        6 => (index.clone(), any::<bool>()).prop_map(|(agent, silent)| Step::LoseAgent { agent, silent }),
        1 => index.clone().prop_map(Step::AgentLeaves),
        1 => index.clone().prop_map(Step::MarkGone),
        2 => (index.clone(), 0..4u8).prop_map(|(agent, mode)| Step::Maintain { agent, mode }),
        2 => (index.clone(), any::<bool>()).prop_map(|(agent, off)| Step::Deactivate { agent, off }),
        1 => (index.clone(), any::<bool>()).prop_map(|(agent, gone)| Step::Drain { agent, gone }),
        4 => (index, any::<bool>(), any::<u8>()).prop_map(|(framework, accept, seconds)| Step::AnswerInverse { framework, accept, seconds }),
        3 => Just(Step::HoldWrites),
        6 => Just(Step::FinishWrite),
        3 => Just(Step::ReleaseWrites),
        3 => (0..700u16).prop_map(Step::Pass),
        1 => Just(Step::FailOver),
    ];
    prop_oneof![3 => common, 2 => rare]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_an_invariant(steps in vec(step(), 1..120)) {
        live(steps);
    }
}

/// What slowly piles up shows in no short history. Nobody could read what a shrunk long one says. Not by the macro: it takes
/// as many cases as `PROPTEST_CASES` says, of which thousands would take hours.
#[test]
fn no_long_history_does_either() {
    let common = ProptestConfig::default();
    let config = ProptestConfig {
        cases: common.cases.div_ceil(CASES_A_LONG_ONE),
        max_shrink_iters: 0,
        source_file: Some(file!()),
        ..common
    };
    let lived = TestRunner::new(config).run(&vec(step(), LONG..=LONG), |steps| {
        live(steps);
        Ok(())
    });
    lived.unwrap();
}

/// One long history for so many cases of other properties.
const CASES_A_LONG_ONE: u32 = 256;
/// Steps of a long history.
const LONG: usize = 20_000;

fn live(steps: Vec<Step>) {
    let mut world = World::new();
    world.new_agent();
    world.subscribe(60, true, false);
    for step in steps {
        world.take(step);
    }
    // Whatever was under way comes to an end, and all time runs out.
    world.stage.release_writes();
    world.all_agents_agree();
    let peers: Vec<PeerId> = world.stage.core.peers.keys().copied().collect();
    for peer in peers {
        world.stage.input(Input::AgentLost {
            peer,
            silent: false,
        });
    }
    world.stage.pass(Duration::from_secs(7200));
    assert!(world.stage.core.pending.is_empty());
    assert!(world.stage.core.agents_in_transition.is_empty());
    assert!(world.stage.core.agents.is_empty());
    assert!(world.stage.core.offers.is_empty());
}
