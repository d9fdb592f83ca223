use std::{process::Command, time::Duration};

use tepui_protocol::message::{Ask, AskError, Message, Tell, TellError};

use super::*;
use crate::{
    actor::{Answer, Handler, Receive},
    stage::{Recorder, TestStage},
};

/// Set in the child process of the test about aborting.
const CHILD: &str = "TEPUI_KIT_ABORT_CHILD";

struct Fragile {
    events: Recorder<Event>,
    handled: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Started,
    Restarting,
    Stopping,
    TimerFired,
}
impl Message for Event {
    type Reply = ();
}

struct Count;
impl Message for Count {
    type Reply = u64;
}

struct Crash(&'static str);
impl Message for Crash {
    type Reply = ();
}

/// Crashes in a timer, after a second.
struct CrashLater;
impl Message for CrashLater {
    type Reply = ();
}

impl Actor for Fragile {
    const NAME: &'static str = "fragile";

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.note(Event::Started);
        ctx.notify_later(Event::TimerFired, Duration::from_secs(3600));
    }

    fn restarting(&mut self, _: &mut Context<Self>) {
        self.note(Event::Restarting);
    }

    fn stopping(&mut self, _: &mut Context<Self>) {
        self.note(Event::Stopping);
    }
}

impl Fragile {
    fn note(&self, event: Event) {
        self.events.teller().tell(event).unwrap();
    }
}

impl Handler<Event> for Fragile {
    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        self.note(event);
    }
}

impl Handler<Count> for Fragile {
    fn handle(&mut self, Count: Count, _: &mut Context<Self>) -> u64 {
        self.handled += 1;
        self.handled
    }
}

impl Receive<Crash> for Fragile {
    fn receive(&mut self, Crash(text): Crash, _: Answer<()>, _: &mut Context<Self>) {
        panic!("{text}");
    }
}

impl Handler<CrashLater> for Fragile {
    fn handle(&mut self, CrashLater: CrashLater, ctx: &mut Context<Self>) {
        ctx.notify_later(Crash("late"), Duration::from_secs(1));
    }
}

fn fragile(events: &Recorder<Event>) -> impl FnMut() -> Fragile + Send + 'static {
    let events = events.clone();
    move || Fragile {
        events: events.clone(),
        handled: 0,
    }
}

const POLICY: RestartPolicy = RestartPolicy {
    max_restarts: 3,
    window: Duration::from_secs(60),
    backoff: Duration::from_millis(100),
    max_backoff: Duration::from_millis(250),
};

#[test]
fn a_panic_costs_the_state_and_one_message_but_not_the_mailbox() {
    TestStage::run(1, async |stage| {
        let events = Recorder::new();
        let link = stage.spawn().start(fragile(&events));
        assert_eq!(link.ask(Count).await, Ok(1));

        let crashed = link.ask(Crash("on purpose"));
        let counted = link.ask(Count);
        assert_eq!(crashed.await, Err(AskError::Closed));
        let stats = stage.directory().mailbox("fragile").unwrap();
        assert_eq!(stats.state, State::Restarting);
        assert_eq!((stats.depth, stats.handling_now.is_none()), (1, true));
        assert_eq!(
            counted.await,
            Ok(1),
            "the fresh instance starts from nothing"
        );

        let stats = stage.directory().mailbox("fragile").unwrap();
        assert_eq!(stats.state, State::Running);
        assert_eq!(stats.restarts, 1);
        assert_eq!(stats.last_panic.as_deref(), Some("on purpose"));
        assert_eq!((stats.accepted, stats.finished, stats.lost), (3, 3, 0));

        // The timers of the broken instance went with it: only one fires.
        stage.advance(Duration::from_secs(3601)).await;
        use Event::{Restarting, Started, TimerFired};
        assert_eq!(events.take(), [Started, Restarting, Started, TimerFired]);
    });
}

#[test]
fn restarts_have_a_budget_and_a_growing_pause() {
    TestStage::run(1, async |stage| {
        let spawn = stage.spawn().on_panic(OnPanic::Restart(POLICY));
        let link = spawn.start(fragile(&Recorder::new()));
        for pause_ms in [100, 200, 250] {
            link.tell(Crash("again")).unwrap();
            let before = stage.clock().now();
            assert_eq!(link.ask(Count).await, Ok(1));
            let paused = stage.clock().now() - before;
            assert_eq!(paused.as_millis(), pause_ms);
        }
        // Outside the window the budget is whole again.
        stage.advance(POLICY.window).await;
        for _ in 0..POLICY.max_restarts {
            link.tell(Crash("again")).unwrap();
            assert_eq!(link.ask(Count).await, Ok(1));
        }
        link.tell(Crash("for good")).unwrap();
        let unanswered = link.ask(Count);
        assert_eq!(unanswered.await, Err(AskError::Closed));
        assert_eq!(link.tell(Count), Err(TellError::Closed));
        let stats = stage.directory().mailbox("fragile").unwrap();
        assert_eq!((stats.state, stats.restarts), (State::Failed, 6));
        assert_eq!(stats.last_panic.as_deref(), Some("for good"));
        assert_eq!(stats.lost, 1);
    });
}

#[test]
fn a_panic_in_a_timer_or_in_the_factory_is_a_panic_of_the_actor() {
    TestStage::run(1, async |stage| {
        let link = stage.spawn().start(fragile(&Recorder::new()));
        link.tell(CrashLater).unwrap();
        stage.advance(Duration::from_secs(2)).await;
        let stats = stage.directory().mailbox("fragile").unwrap();
        assert_eq!((stats.state, stats.restarts), (State::Running, 1));
        assert_eq!((stats.accepted, stats.finished), (1, 1));

        let mut attempts = 0;
        let mut make = fragile(&Recorder::new());
        let link = stage.spawn().name("stubborn").start(move || {
            attempts += 1;
            assert!(attempts == 3, "attempt {attempts}");
            make()
        });
        assert_eq!(link.ask(Count).await, Ok(1));
        let stats = stage.directory().mailbox("stubborn").unwrap();
        assert_eq!(stats.last_panic.as_deref(), Some("attempt 2"));
    });
}

#[test]
fn an_actor_made_once_fails_at_its_first_panic() {
    TestStage::run(1, async |stage| {
        let events = Recorder::new();
        let link = stage.spawn().start_once(fragile(&events));
        assert_eq!(link.ask(Crash("once")).await, Err(AskError::Closed));
        stage.settle().await;
        let stats = stage.directory().mailbox("fragile").unwrap();
        assert_eq!((stats.state, stats.restarts), (State::Failed, 0));
        assert_eq!(
            events.take(),
            [Event::Started],
            "a torn actor is not touched again"
        );
    });
}

#[test]
fn a_told_stop_calls_stopping_and_a_lost_runtime_does_not() {
    let stopped = Recorder::new();
    let dropped = Recorder::new();
    let never_ran = Recorder::new();
    TestStage::run(1, async |stage| {
        stage.spawn().start(fragile(&stopped)).stop();
        stage.spawn().start(fragile(&dropped));
        stage.settle().await;
        stage.spawn().start(fragile(&never_ran));
    });
    assert_eq!(stopped.take(), [Event::Started, Event::Stopping]);
    assert_eq!(dropped.take(), [Event::Started]);
    assert_eq!(never_ran.take(), []);
}

#[test]
fn where_state_could_be_torn_the_process_aborts() {
    if std::env::var_os(CHILD).is_some() {
        return TestStage::run(1, async |stage| {
            let spawn = stage.spawn().on_panic(OnPanic::ExitProcess);
            let link = spawn.start(fragile(&Recorder::new()));
            let _ = link.ask(Crash("torn")).await;
        });
    }
    let this = std::env::current_exe().unwrap();
    let name = "supervise::tests::where_state_could_be_torn_the_process_aborts";
    let child = Command::new(this)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(!child.status.success());
    assert_eq!(child.status.code(), None, "ended by a signal: {child:?}");
}
