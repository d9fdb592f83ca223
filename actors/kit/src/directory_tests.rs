use std::{sync::mpsc, time::Duration};

use serde_json::json;
use tepui_protocol::message::{Ask, Message, Tell};
use tokio::{runtime, task::LocalSet};

use super::*;
use crate::{
    actor::Handler,
    context::Context,
    spawn::Spawn,
    stage::{OPENING_UNIX_NANOS, TestStage},
    stats::State,
};

#[derive(Default)]
struct Porter {
    carried: u64,
}

struct Carry;
impl Message for Carry {
    type Reply = ();
}

/// Blocks the actor's thread until the channel gives way.
struct Block(mpsc::Receiver<()>);
impl Message for Block {
    type Reply = ();
}

impl Actor for Porter {
    const NAME: &'static str = "porter";

    fn observe(&self) -> Value {
        json!({ "carried": self.carried })
    }
}

impl Handler<Carry> for Porter {
    fn handle(&mut self, Carry: Carry, _: &mut Context<Self>) {
        self.carried += 1;
    }
}

impl Handler<Block> for Porter {
    fn handle(&mut self, Block(gate): Block, _: &mut Context<Self>) {
        // An error means the test is over, which opens the gate too.
        let _ = gate.recv();
    }
}

fn wait_until(what: impl Fn() -> bool) {
    while !what() {
        std::thread::yield_now();
    }
}

#[test]
fn a_stuck_actor_is_seen_to_be_stuck() {
    let directory = Directory::new("node-1", Clock::system());
    let (open, gate) = mpsc::channel();
    let prepared = Spawn::new(&directory).capacity(4).prepare::<Porter>();
    let link = prepared.link();
    let thread = std::thread::Builder::new().name("porters".into());
    let thread = thread.spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        LocalSet::new().block_on(&runtime.unwrap(), async move {
            let link = prepared.start(Porter::default);
            while !link.is_closed() {
                tokio::task::yield_now().await;
            }
        });
    });
    link.tell(Block(gate)).unwrap();
    let stats = || directory.mailbox("porter").unwrap();
    wait_until(|| stats().handling_now.is_some());
    for _ in 0..10 {
        let _ = link.tell(Carry);
    }
    wait_until(|| stats().oldest_age_ms > 0 && stats().handling_now.unwrap().since_ms > 0);

    let stuck = stats();
    assert_eq!(stuck.handling_now.unwrap().message, "Block");
    assert_eq!((stuck.depth, stuck.refused, stuck.finished), (4, 6, 0));
    assert_eq!(
        (stuck.node.as_str(), stuck.thread.as_str()),
        ("node-1", "porters")
    );
    assert!(stuck.busy_percent > 0.0);

    let asking = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let look = || asking.block_on(directory.observe(Duration::from_millis(1)));
    assert_eq!(look()[0].seen, Seen::Timeout);
    assert_eq!(look()[0].seen, Seen::Timeout);
    assert_eq!(stats().control_depth, 1, "who looks twice asks once");

    open.send(()).unwrap();
    wait_until(|| stats().depth == 0 && stats().control_depth == 0);
    let freed = asking.block_on(directory.observe(Duration::from_secs(60)));
    assert_eq!(freed[0].seen, Seen::Alive(json!({ "carried": 4 })));
    link.stop();
    thread.unwrap().join().unwrap();
    assert_eq!(stats().state, State::Stopped);
}

#[test]
fn ages_and_shares_follow_virtual_time() {
    TestStage::run(1, async |stage| {
        let prepared = stage.spawn().prepare::<Porter>();
        let link = prepared.link();
        link.tell(Carry).unwrap();
        stage.advance(Duration::from_secs(2)).await;
        link.tell(Carry).unwrap();
        stage.advance(Duration::from_secs(3)).await;
        let stats = stage.directory().mailbox("porter").unwrap();
        assert_eq!((stats.state, stats.depth), (State::Starting, 2));
        assert_eq!(stats.oldest_age_ms, 5_000);
        assert_eq!(
            stage.clock().unix_nanos(),
            OPENING_UNIX_NANOS + 5_000_000_000
        );

        prepared.start(Porter::default);
        stage.settle().await;
        let stats = stage.directory().mailbox("porter").unwrap();
        assert_eq!((stats.depth, stats.oldest_age_ms), (0, 0));
        // A quarter of an octave is what the histogram resolves.
        let waited_s = stats.wait_p99_us / 1e6;
        assert!((4.3..5.7).contains(&waited_s), "{waited_s}");
    });
}

#[test]
fn what_is_read_is_what_programs_are_promised() {
    TestStage::run(1, async |stage| {
        let link = stage.spawn().name("porter/1").start(Porter::default);
        link.ask(Carry).await.unwrap();
        let stats = serde_json::to_value(stage.directory().snapshot()).unwrap();
        let keys: Vec<_> = stats[0].as_object().unwrap().keys().cloned().collect();
        let promised = "node id kind actor thread state depth capacity peak control_depth accepted \
            finished refused lost oldest_age_ms wait_p50_us wait_p99_us handle_p50_us handle_p99_us \
            busy_percent handling_now restarts last_panic timers futures per_message";
        assert_eq!(keys.join(" "), promised);
        assert_eq!(stats[0]["state"], "running");
        assert_eq!(stats[0]["actor"], "porter/1");
        assert_eq!(stats[0]["per_message"][0]["message"], "Carry");
        assert_eq!(stats[0]["per_message"][0]["count"], 1);
    });
}

#[test]
fn the_dead_are_remembered_up_to_a_bound() {
    TestStage::run(1, async |stage| {
        for number in 0..MAX_PAST + 10 {
            let link = stage
                .spawn()
                .name(format!("porter/{number}"))
                .start(Porter::default);
            link.tell(Carry).unwrap();
            stage.settle().await;
            link.stop();
        }
        let living = stage.spawn().start(Porter::default);
        stage.settle().await;
        let snapshot = stage.directory().snapshot();
        assert_eq!(snapshot.len(), MAX_PAST + 1);
        assert_eq!(snapshot[0].actor, living.name());
        assert_eq!(snapshot[1].actor, "porter/10");
        assert!(
            snapshot[1..]
                .iter()
                .all(|past| past.state == State::Stopped && past.finished == 2)
        );
    });
}
