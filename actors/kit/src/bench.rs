//! What observation costs: our mailbox beside a bare actix one, in turns, in one process.
//!
//! Owns nothing but the comparison; the benchmark binary calls it and commits the ratio.

use std::{cell::Cell, rc::Rc, time::Instant};

use serde::Serialize;
use tepui_protocol::message::{Message, Tell};
use tokio::{runtime, task::LocalSet};

use crate::{
    actor::{Actor, Handler},
    clock::Clock,
    context::Context,
    directory::Directory,
    spawn::Spawn,
};

/// Messages told before their receiver gets the thread.
const BATCH: u64 = 512;

/// Nanoseconds from telling to handled, both on one thread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MailboxBench {
    /// `Link::tell` to an observed, bounded, supervised actor.
    pub subject_ns: f64,
    /// `Addr::do_send` to a bare actix actor.
    pub bare_ns: f64,
}

struct Tick;
impl Message for Tick {
    type Reply = ();
}
impl actix::Message for Tick {
    type Result = ();
}

#[derive(Default)]
struct Subject {
    ticks: u64,
    shared: Option<SendCounter>,
}

/// The count of handled messages, where the teller on the same thread can see it.
type SendCounter = std::sync::Arc<std::sync::atomic::AtomicU64>;

impl Actor for Subject {
    const NAME: &'static str = "bench";
}

impl Handler<Tick> for Subject {
    fn handle(&mut self, Tick: Tick, _: &mut Context<Self>) {
        self.ticks += 1;
        if let Some(shared) = &self.shared {
            shared.store(self.ticks, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

struct Bare {
    ticks: Rc<Cell<u64>>,
}

impl actix::Actor for Bare {
    type Context = actix::Context<Self>;
}

impl actix::Handler<Tick> for Bare {
    type Result = ();

    fn handle(&mut self, Tick: Tick, _: &mut actix::Context<Self>) {
        self.ticks.set(self.ticks.get() + 1);
    }
}

/// Tells `messages` messages (at least one batch of 512) to each of the two, batch by batch in turns, and
/// gives the median cost of one.
///
/// # Panics
/// If no runtime can be built, or called inside one.
pub fn mailbox_bench(messages: u64) -> MailboxBench {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime on this thread needs only an epoll descriptor");
    LocalSet::new().block_on(&runtime, async {
        let directory = Directory::new("bench", Clock::system());
        let counter = SendCounter::default();
        let shared = SendCounter::clone(&counter);
        let link = Spawn::new(&directory)
            .capacity(4096)
            .start(move || Subject {
                ticks: 0,
                shared: Some(SendCounter::clone(&shared)),
            });
        let ticks = Rc::new(Cell::new(0));
        let bare = actix::Actor::start(Bare {
            ticks: Rc::clone(&ticks),
        });

        let rounds = messages.div_ceil(BATCH).max(1);
        let mut subject_ns = Vec::new();
        let mut bare_ns = Vec::new();
        for round in 1..=rounds {
            let begun = Instant::now();
            for _ in 0..BATCH {
                link.tell(Tick)
                    .expect("the capacity is above the batch and the actor lives");
            }
            while counter.load(std::sync::atomic::Ordering::Relaxed) < round * BATCH {
                tokio::task::yield_now().await;
            }
            subject_ns.push(begun.elapsed().as_nanos());

            let begun = Instant::now();
            for _ in 0..BATCH {
                bare.do_send(Tick);
            }
            while ticks.get() < round * BATCH {
                tokio::task::yield_now().await;
            }
            bare_ns.push(begun.elapsed().as_nanos());
        }
        MailboxBench {
            subject_ns: median_per_message(subject_ns),
            bare_ns: median_per_message(bare_ns),
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a batch")]
fn median_per_message(mut batches: Vec<u128>) -> f64 {
    batches.sort_unstable();
    batches[batches.len() / 2] as f64 / BATCH as f64
}
