use std::sync::Mutex;

use futures_util::future::BoxFuture;
use tepui_kit::{
    Ask, Link, Tell,
    stage::{Answering, Recorder, TestStage},
};
use tepui_protocol::{
    message::TellError,
    v1::{
        FrameworkId, MasterInfo, WeightInfo,
        master::{Call, call},
    },
};

use super::*;

/// A lease that the test gives and takes.
type Given = Arc<Mutex<Option<u64>>>;

fn master(stage: &TestStage, given: &Given, written: Result<Committed, AskError>) -> Link<Master> {
    let master = unelected(stage, given, written);
    elect(&master);
    master
}

fn unelected(
    stage: &TestStage,
    given: &Given,
    written: Result<Committed, AskError>,
) -> Link<Master> {
    let registrar = Answering::asker(move |_: Commit| written.clone());
    before(registrar, stage, given)
}

/// Not elected, in front of this registrar.
fn before(registrar: Asker<Commit>, stage: &TestStage, given: &Given) -> Link<Master> {
    linked(links(registrar, given), stage)
}

fn links(registrar: Asker<Commit>, given: &Given) -> MasterLinks {
    let lease = Arc::clone(given);
    MasterLinks {
        allocator: Recorder::new().teller(),
        view: Recorder::new().teller(),
        registrar,
        changes: Arc::default(),
        lease: Arc::new(move || *lease.lock().unwrap()),
    }
}

fn linked(links: MasterLinks, stage: &TestStage) -> Link<Master> {
    let config = MasterConfig {
        info: MasterInfo::default(),
        cluster: None,
        started_at: 0,
        patience: Default::default(),
        removal_rate: None,
        roles: None,
        root_submissions: true,
        require_agent_domain: false,
        offer_timeout: None,
        allocation_interval: Duration::from_secs(1),
        forgetting: Default::default(),
        rate_limits: Default::default(),
        traffic: Default::default(),
        acls: Default::default(),
        kept: Default::default(),
    };
    stage.spawn().start_once(move || Master::new(config, links))
}

fn elect(master: &Link<Master>) {
    let leads = Leads {
        term: 3,
        registry: Box::default(),
        counted_ago: Duration::ZERO,
    };
    master.tell(leads).unwrap();
}

fn teardown() -> OperatorCall {
    OperatorCall {
        principal: None,
        call: Call {
            r#type: Some(call::Type::Teardown as i32),
            teardown: Some(call::Teardown {
                framework_id: FrameworkId {
                    value: "f".to_owned(),
                },
            }),
            ..Call::default()
        },
    }
}

fn weights() -> OperatorCall {
    OperatorCall {
        principal: None,
        call: Call {
            r#type: Some(call::Type::UpdateWeights as i32),
            update_weights: Some(call::UpdateWeights {
                weight_infos: vec![WeightInfo {
                    role: Some("r".to_owned()),
                    weight: 2.0,
                }],
            }),
            ..Call::default()
        },
    }
}

#[test]
fn a_master_without_its_lease_is_silent_until_it_is_renewed() {
    TestStage::run(1, async |stage| {
        let given: Given = Arc::new(Mutex::new(Some(3)));
        let master = master(stage, &given, Ok(Committed::Applied));
        assert_eq!(master.ask(teardown()).await.unwrap().status, 400);
        *given.lock().unwrap() = None;
        let mut first = master.ask(teardown());
        let mut second = master.ask(weights());
        stage.advance(Duration::from_secs(5)).await;
        for asked in [&mut first, &mut second] {
            assert!(futures_util::poll!(asked).is_pending());
        }
        *given.lock().unwrap() = Some(3);
        assert_eq!(first.await.unwrap().status, 400);
        assert_eq!(second.await.unwrap(), messages::Answer::OK);
    });
}

/// What the registry holds comes first.
#[test]
fn what_is_asked_for_while_a_master_takes_over_is_written_after_it() {
    TestStage::run(1, async |stage| {
        let given: Given = Arc::new(Mutex::new(Some(3)));
        let master = unelected(stage, &given, Ok(Committed::Applied));
        let mut early = master.ask(weights());
        stage.advance(Duration::from_secs(5)).await;
        assert!(futures_util::poll!(&mut early).is_pending());
        elect(&master);
        assert_eq!(early.await.unwrap(), messages::Answer::OK);
    });
}

#[test]
fn a_master_whose_term_is_over_answers_nobody() {
    TestStage::run(1, async |stage| {
        let given: Given = Arc::new(Mutex::new(Some(3)));
        let master = master(stage, &given, Ok(Committed::Applied));
        *given.lock().unwrap() = None;
        let held = master.ask(teardown());
        stage.settle().await;
        // The same process was elected again, with another master.
        *given.lock().unwrap() = Some(5);
        stage.advance(Duration::from_millis(20)).await;
        assert_eq!(held.await, Err(AskError::Closed));
        assert_eq!(master.ask(teardown()).await, Err(AskError::Closed));
        assert!(master.is_closed());
    });
}

struct Full;

impl<M: Message> Tell<M> for Full {
    fn tell(&self, _: M) -> Result<(), TellError> {
        Err(TellError::Full)
    }
}

/// They are told of each change once: whoever missed one would answer wrongly until the term is over.
#[test]
fn a_master_whose_view_or_allocator_is_full_ends_its_term() {
    for is_view in [true, false] {
        TestStage::run(1, async |stage| {
            let given: Given = Arc::new(Mutex::new(Some(3)));
            let registrar = Answering::asker(|_: Commit| Ok(Committed::Applied));
            let mut links = links(registrar, &given);
            match is_view {
                true => links.view = Arc::new(Full),
                false => links.allocator = Arc::new(Full),
            }
            let master = linked(links, stage);
            elect(&master);
            let _ = master.ask(weights()).await;
            stage.advance(Duration::from_millis(1)).await;
            assert!(master.is_closed(), "view: {is_view}");
        });
    }
}

#[test]
fn a_write_of_unknown_outcome_is_not_told_as_a_refusal() {
    for written in [Ok(Committed::Unknown), Err(AskError::Closed)] {
        TestStage::run(1, async |stage| {
            let given: Given = Arc::new(Mutex::new(Some(3)));
            let master = master(stage, &given, written);
            assert_eq!(master.ask(weights()).await, Err(AskError::Closed));
            assert!(master.is_closed());
        });
    }
}

/// Answers the first question when it is told to, and all others at once.
struct SlowOnce(Mutex<Option<BoxFuture<'static, Result<Committed, AskError>>>>);

impl Ask<Commit> for SlowOnce {
    fn ask(&self, _: Commit) -> BoxFuture<'static, Result<Committed, AskError>> {
        let first = self.0.lock().unwrap().take();
        first.unwrap_or_else(|| Box::pin(async { Ok(Committed::Applied) }))
    }
}

/// Each write's weights are those of the writes before it and its own.
#[test]
fn writes_take_effect_in_their_order_whatever_that_of_their_answers() {
    TestStage::run(1, async |stage| {
        let given: Given = Arc::new(Mutex::new(Some(3)));
        let slow = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Committed::Applied)
        };
        let registrar = Arc::new(SlowOnce(Mutex::new(Some(Box::pin(slow)))));
        let master = before(registrar, stage, &given);
        elect(&master);
        let mut first = master.ask(weights());
        let mut second = master.ask(weights());
        stage.advance(Duration::from_millis(500)).await;
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(
            futures_util::poll!(&mut second).is_pending(),
            "it was told before the one it builds on"
        );
        stage.advance(Duration::from_secs(1)).await;
        assert_eq!(first.await.unwrap(), messages::Answer::OK);
        assert_eq!(second.await.unwrap(), messages::Answer::OK);
    });
}
