use std::{cell::Cell, rc::Rc};

use tepui_protocol::message::{Ask, Message, Tell};

use super::*;
use crate::{
    actor::Handler,
    stage::{Recorder, TestStage},
};

/// Tells itself the next number until it is told to stop.
struct Treadmill {
    count: u64,
    log: Recorder<Mark>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mark(u64, &'static str);
impl Message for Mark {
    type Reply = ();
}

struct Step;
impl Message for Step {
    type Reply = ();
}

struct Steps;
impl Message for Steps {
    type Reply = u64;
}

/// Sets the timers under test.
struct SetTimers;
impl Message for SetTimers {
    type Reply = ();
}

/// Asks to be woken at these seconds.
struct WakeAt(Vec<u64>);
impl Message for WakeAt {
    type Reply = ();
}

#[derive(Default)]
struct Woke;
impl Message for Woke {
    type Reply = ();
}

struct AwaitSomething;
impl Message for AwaitSomething {
    type Reply = ();
}

impl Actor for Treadmill {
    const NAME: &'static str = "treadmill";
}

impl Treadmill {
    fn new(log: &Recorder<Mark>) -> impl FnMut() -> Self + Send + 'static {
        let log = log.clone();
        move || Self {
            count: 0,
            log: log.clone(),
        }
    }

    fn mark(&self, what: &'static str, ctx: &Context<Self>) {
        let ms = ctx.clock().nanos() / 1_000_000;
        self.log.teller().tell(Mark(ms, what)).unwrap();
    }
}

impl Handler<Step> for Treadmill {
    fn handle(&mut self, Step: Step, ctx: &mut Context<Self>) {
        self.count += 1;
        ctx.link().tell(Step).unwrap();
    }
}

impl Handler<Steps> for Treadmill {
    fn handle(&mut self, Steps: Steps, _: &mut Context<Self>) -> u64 {
        self.count
    }
}

impl Handler<Mark> for Treadmill {
    fn handle(&mut self, mark: Mark, ctx: &mut Context<Self>) {
        self.mark(mark.1, ctx);
    }
}

impl Handler<SetTimers> for Treadmill {
    fn handle(&mut self, SetTimers: SetTimers, ctx: &mut Context<Self>) {
        ctx.notify_later(Mark(0, "late"), Duration::from_secs(3600));
        ctx.notify_later(Mark(0, "early"), Duration::from_secs(1));
        let cancelled = ctx.notify_later(Mark(0, "cancelled"), Duration::from_secs(2));
        assert!(ctx.cancel(cancelled) && !ctx.cancel(cancelled));
        let beats = Rc::new(Cell::new(0));
        let handle = Rc::new(Cell::new(None));
        let own = Rc::clone(&handle);
        handle.set(Some(ctx.run_interval(
            Duration::from_secs(10),
            move |actor: &mut Self, ctx| {
                actor.mark("beat", ctx);
                beats.set(beats.get() + 1);
                if beats.get() == 3 {
                    assert!(ctx.cancel(own.get().expect("set right after the interval was")));
                }
            },
        )));
    }
}

impl Handler<WakeAt> for Treadmill {
    fn handle(&mut self, WakeAt(seconds): WakeAt, ctx: &mut Context<Self>) {
        for second in seconds {
            ctx.wake_at::<Woke>(second * 1_000_000_000);
        }
    }
}

impl Handler<Woke> for Treadmill {
    fn handle(&mut self, Woke: Woke, ctx: &mut Context<Self>) {
        self.mark("woke", ctx);
    }
}

impl Handler<AwaitSomething> for Treadmill {
    fn handle(&mut self, AwaitSomething: AwaitSomething, ctx: &mut Context<Self>) {
        let nap = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            "slept"
        };
        ctx.then(nap, |actor, what, ctx| {
            actor.mark(what, ctx);
            // What a completion begins is driven as well.
            ctx.then(async { "then" }, |actor, what, ctx| actor.mark(what, ctx));
            ctx.notify_later(Mark(0, "after"), Duration::from_secs(1));
        });
        let log = self.log.teller();
        ctx.spawn(async move { log.tell(Mark(0, "spawned")).unwrap() });
    }
}

#[test]
fn a_busy_actor_leaves_room_for_others_after_its_budget() {
    const BUDGET: u32 = 16;
    TestStage::run(1, async |stage| {
        let spawn = stage.spawn().turn_budget(BUDGET);
        let busy = spawn.start(Treadmill::new(&Recorder::new()));
        busy.tell(Step).unwrap();
        let steps = || stage.directory().mailbox("treadmill").unwrap().finished;
        let mut most = 0;
        for _ in 0..200 {
            let before = steps();
            tokio::task::yield_now().await;
            most = most.max(steps() - before);
        }
        assert!(steps() > 1000, "the busy actor goes on working");
        assert!(
            most <= u64::from(BUDGET) * 2,
            "{most} messages between two turns of another task"
        );

        // Questions reach it through its own flood, and a stop passes it.
        assert!(busy.ask(Steps).await.unwrap() > 1000);
        busy.stop();
        stage.settle().await;
        assert!(busy.is_closed());
    });
}

#[test]
fn timers_fire_in_order_at_their_virtual_moment() {
    TestStage::run(1, async |stage| {
        let log = Recorder::new();
        let link = stage.spawn().start(Treadmill::new(&log));
        link.ask(SetTimers).await.unwrap();
        assert_eq!(stage.directory().mailbox("treadmill").unwrap().timers, 3);
        stage.advance(Duration::from_secs(2 * 3600)).await;
        let expected = [
            Mark(1_000, "early"),
            Mark(10_000, "beat"),
            Mark(20_000, "beat"),
            Mark(30_000, "beat"),
            Mark(3_600_000, "late"),
        ];
        assert_eq!(log.take(), expected);
        let stats = stage.directory().mailbox("treadmill").unwrap();
        assert_eq!((stats.timers, stats.accepted, stats.finished), (0, 1, 1));
        let names: Vec<_> = stats
            .per_message
            .iter()
            .map(|row| (row.message.as_str(), row.count))
            .collect();
        assert_eq!(names, [("Interval", 3), ("Mark", 2), ("SetTimers", 1)]);
    });
}

#[test]
fn awaited_futures_come_back_to_the_actor() {
    TestStage::run(1, async |stage| {
        let log = Recorder::new();
        let link = stage.spawn().start(Treadmill::new(&log));
        link.tell(AwaitSomething).unwrap();
        stage.settle().await;
        assert_eq!(log.take(), [Mark(0, "spawned")]);
        assert_eq!(
            link.ask(Steps).await,
            Ok(0),
            "messages are handled meanwhile"
        );
        stage.advance(Duration::from_secs(60)).await;
        let expected = [
            Mark(5_000, "slept"),
            Mark(5_000, "then"),
            Mark(6_000, "after"),
        ];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn the_same_moment_wakes_once() {
    TestStage::run(1, async |stage| {
        let log = Recorder::new();
        let link = stage.spawn().start(Treadmill::new(&log));
        link.tell(WakeAt(vec![9, 3, 9, 3])).unwrap();
        link.tell(WakeAt(vec![3, 6])).unwrap();
        stage.advance(Duration::from_secs(5)).await;
        // Past moments wake at once; a moment that has come may be asked for again.
        link.tell(WakeAt(vec![3, 3])).unwrap();
        stage.advance(Duration::from_secs(60)).await;
        let expected = [3_000, 5_000, 6_000, 9_000].map(|ms| Mark(ms, "woke"));
        assert_eq!(log.take(), expected);
    });
}
