use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::*;
use crate::{
    actor::Handler,
    spawn::{Overflow, Spawn},
    stage::{Recorder, TestStage},
};

/// Writes down what it is told, in order.
struct Scribe {
    seen: Recorder<Note>,
    kept: Vec<Answer<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note(u64);
impl Message for Note {
    type Reply = u64;
}

/// Answered when a [`Release`] comes.
struct Later;
impl Message for Later {
    type Reply = u64;
}

struct Release;
impl Message for Release {
    type Reply = ();
}

/// Never answered.
struct Ignored;
impl Message for Ignored {
    type Reply = ();
}

/// Makes the actor send itself this note on the control lane.
struct Echo(Note);
impl Message for Echo {
    type Reply = ();
}

impl Actor for Scribe {
    const NAME: &'static str = "scribe";
}

impl Handler<Note> for Scribe {
    fn handle(&mut self, note: Note, _: &mut Context<Self>) -> u64 {
        self.seen.teller().tell(note).unwrap();
        note.0 * 2
    }
}

impl Receive<Later> for Scribe {
    fn receive(&mut self, Later: Later, answer: Answer<u64>, _: &mut Context<Self>) {
        self.kept.push(answer);
    }
}

impl Handler<Release> for Scribe {
    fn handle(&mut self, Release: Release, _: &mut Context<Self>) {
        for answer in self.kept.drain(..) {
            answer.send(7);
        }
    }
}

impl Receive<Ignored> for Scribe {
    fn receive(&mut self, Ignored: Ignored, _: Answer<()>, _: &mut Context<Self>) {}
}

impl Handler<Echo> for Scribe {
    fn handle(&mut self, Echo(note): Echo, ctx: &mut Context<Self>) {
        ctx.link().control().tell(note).unwrap();
    }
}

fn scribe(seen: &Recorder<Note>) -> impl FnMut() -> Scribe + Send + 'static {
    let seen = seen.clone();
    move || Scribe {
        seen: seen.clone(),
        kept: Vec::new(),
    }
}

fn notes(range: std::ops::Range<u64>) -> Vec<Note> {
    range.map(Note).collect()
}

#[test]
fn the_bound_holds_across_clones_and_handles() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let prepared = stage.spawn().capacity(8).prepare::<Scribe>();
        let link = prepared.link();
        let results: Vec<_> = (0..100)
            .map(|number| link.clone().teller::<Note>().tell(Note(number)))
            .collect();
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(accepted, 8);
        assert_eq!(results[99], Err(TellError::Full));
        assert_eq!(link.ask(Note(0)).await, Err(AskError::Full));

        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!((stats.depth, stats.capacity, stats.peak), (8, 8, 8));
        assert_eq!((stats.accepted, stats.refused), (8, 93));

        prepared.start(scribe(&seen));
        stage.settle().await;
        assert_eq!(seen.take(), notes(0..8));
        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!((stats.depth, stats.finished, stats.lost), (0, 8, 0));
        assert_eq!(link.tell(Note(8)), Ok(()));
    });
}

#[test]
fn a_last_word_is_taken_past_the_bound_and_in_its_order() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let prepared = stage.spawn().capacity(2).prepare::<Scribe>();
        let link = prepared.link();
        for number in 0..2 {
            link.tell(Note(number)).unwrap();
        }
        assert_eq!(link.tell(Note(9)), Err(TellError::Full));
        let last = link.past_bound().teller::<Note>();
        for number in 2..5 {
            last.tell(Note(number)).unwrap();
        }
        assert_eq!(link.tell(Note(9)), Err(TellError::Full));
        let link = prepared.start(scribe(&seen));
        stage.settle().await;
        assert_eq!(seen.take(), notes(0..5));
        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!((stats.depth, stats.peak), (0, 5));
        link.stop();
        stage.settle().await;
        assert_eq!(last.tell(Note(5)), Err(TellError::Closed));
    });
}

#[test]
fn the_bound_is_exact_when_threads_compete() {
    let directory = crate::Directory::new("threads", crate::Clock::system());
    let prepared = Spawn::new(&directory).capacity(100).prepare::<Scribe>();
    let accepted = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..1000 {
                    if prepared.link().tell(Note(number)).is_ok() {
                        accepted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(accepted.load(Relaxed), 100);
    assert_eq!(prepared.link().depth(), 100);
}

#[test]
fn asks_are_answered_now_later_or_never() {
    TestStage::run(1, async |stage| {
        let link = stage.spawn().start(scribe(&Recorder::new()));
        assert_eq!(link.ask(Note(21)).await, Ok(42));

        let later = link.ask(Later);
        let mut later = std::pin::pin!(later);
        stage.settle().await;
        assert!(later.as_mut().now_or_never().is_none());
        link.tell(Release).unwrap();
        assert_eq!(later.await, Ok(7));

        assert_eq!(link.ask(Ignored).await, Err(AskError::Closed));
        let asked = within(Duration::from_secs(5), link.ask(Later)).await;
        assert_eq!(asked, Err(AskError::Timeout));
    });
}

#[test]
fn control_messages_pass_data_messages() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let prepared = stage.spawn().prepare::<Scribe>();
        let link = prepared.link();
        link.tell(Note(1)).unwrap();
        link.tell(Echo(Note(2))).unwrap();
        link.tell(Note(3)).unwrap();
        link.control().tell(Note(4)).unwrap();
        prepared.start(scribe(&seen));
        stage.settle().await;
        assert_eq!(seen.take(), [Note(4), Note(1), Note(2), Note(3)]);

        // And to an actor at rest.
        assert_eq!(link.control().ask(Note(5)).await, Ok(10));
        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!((stats.accepted, stats.finished), (6, 6));
        assert_eq!(stats.control_depth, 0);
    });
}

#[test]
fn the_oldest_go_where_only_the_newest_matter() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let spawn = stage.spawn().capacity(3).overflow(Overflow::DropOldest);
        let prepared = spawn.prepare::<Scribe>();
        let link = prepared.link();
        let pushed_out = link.ask(Note(0));
        for number in 1..10 {
            assert_eq!(link.tell(Note(number)), Ok(()));
        }
        assert_eq!(link.depth(), 3);
        assert_eq!(pushed_out.await, Err(AskError::Closed));
        prepared.start(scribe(&seen));
        stage.settle().await;
        assert_eq!(seen.take(), notes(7..10));
        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!((stats.accepted, stats.finished, stats.lost), (10, 3, 7));
        assert_eq!((stats.refused, stats.peak), (0, 3));
    });
}

#[test]
fn deliver_waits_for_room() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let prepared = stage.spawn().capacity(2).prepare::<Scribe>();
        let link = prepared.link();
        let sender = tokio::task::spawn_local({
            let link = link.clone();
            async move {
                for number in 0..10 {
                    link.deliver(Note(number)).await.unwrap();
                }
            }
        });
        stage.settle().await;
        assert_eq!(link.depth(), 2);
        prepared.start(scribe(&seen));
        sender.await.unwrap();
        stage.settle().await;
        assert_eq!(seen.take(), notes(0..10));
        assert_eq!(stage.directory().mailbox("scribe").unwrap().refused, 0);
    });
}

#[test]
fn a_stop_passes_data_and_tells_everybody_who_waits() {
    TestStage::run(1, async |stage| {
        let seen = Recorder::new();
        let prepared = stage.spawn().capacity(1).prepare::<Scribe>();
        let link = prepared.link();
        let asked = link.ask(Note(1));
        let asked_on_control = link.control().ask(Later);
        let delivery = tokio::task::spawn_local({
            let link = link.clone();
            async move { link.deliver(Note(2)).await }
        });
        stage.settle().await;
        link.stop();
        prepared.start(scribe(&seen));
        stage.settle().await;
        assert_eq!(asked.await, Err(AskError::Closed));
        assert_eq!(asked_on_control.await, Err(AskError::Closed));
        assert_eq!(delivery.await.unwrap(), Err(TellError::Closed));
        assert_eq!(link.tell(Note(3)), Err(TellError::Closed));
        assert_eq!(link.control().tell(Note(3)), Err(TellError::Closed));
        assert!(link.is_closed() && seen.take().is_empty());

        let stats = stage.directory().mailbox("scribe").unwrap();
        assert_eq!(stats.state, State::Stopped);
        assert_eq!((stats.accepted, stats.finished, stats.lost), (3, 2, 1));
        assert_eq!(stats.depth, 0);
    });
}

#[test]
fn the_counts_add_up_whatever_happens() {
    for seed in 0..40 {
        TestStage::run(seed, async |stage| {
            let mut random = stage.random();
            let overflow = [Overflow::Refuse, Overflow::DropOldest][random.below(2) as usize];
            let spawn = stage.spawn().capacity(1 + random.below(4) as usize);
            let spawn = spawn
                .overflow(overflow)
                .turn_budget(1 + random.below(3) as u32);
            let link = spawn.start(scribe(&Recorder::new()));
            let check = || {
                let stats = stage.directory().mailbox("scribe").unwrap();
                assert!(stats.adds_up(), "seed {seed}: {stats:?}");
            };
            for _ in 0..200 {
                let link = if random.chance(0.2) {
                    link.control()
                } else {
                    link.clone()
                };
                // Refusals are part of the game.
                let _ = match random.below(100) {
                    0 => {
                        link.stop();
                        Ok(())
                    }
                    1..10 => link.tell(Echo(Note(0))),
                    10..20 => link.tell(Later),
                    20..25 => link.tell(Release),
                    25..50 => {
                        tokio::task::yield_now().await;
                        Ok(())
                    }
                    _ => link.tell(Note(1)),
                };
                check();
            }
            stage.settle().await;
            check();
            assert!(link.is_closed() || link.depth() == 0);
        });
    }
}
