//! The actor: follows the change stream, answers when it has seen enough of it, keeps watchers informed.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tepui_kit::{Actor, Answer, Context, Handler, Message, Receive};
use tepui_messages::{
    change::{Change, Numbered},
    view::{Follow, Query, Question, Seat, Watch},
};
use tepui_protocol::acls::Subject;

use crate::{Readers, ViewConfig, Watchers, World, answer, kept::Kept};

/// Questions that may wait for a change that has not arrived; one more is refused.
const MAX_WAITING: usize = 1024;
/// How long an answer is kept if nothing changes.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// Answers every question about the world.
///
/// Its state is torn if it misses a change, so it must not be restarted alone: wire it so that a panic
/// ends the process.
#[derive(Debug)]
pub struct View {
    config: ViewConfig,
    world: World,
    /// The number of the last change taken in.
    seen: u64,
    watchers: Watchers,
    waiting: BTreeMap<u64, Vec<Waiting>>,
    waiting_count: usize,
    /// Until the next change, or for a moment.
    kept: Kept<Asked>,
    /// Something is planned that drops them.
    drops_kept: bool,
    /// How often a kept answer was given.
    repeated: u64,
}

/// A question, and who asks it if something must be kept from them.
type Asked = (Question, Option<Subject>);

/// With its place among the readers.
type Waiting = (Asked, Answer<Bytes>, Option<Seat>);

/// A heartbeat of a watcher may be due.
#[derive(Debug, Default)]
struct Beat;

impl Message for Beat {
    type Reply = ();
}

/// What is kept has been for long enough.
#[derive(Debug, Default)]
struct DropKept;

impl Message for DropKept {
    type Reply = ();
}

impl View {
    pub fn new(config: ViewConfig) -> Self {
        Self {
            config,
            world: World::default(),
            seen: 0,
            watchers: Watchers::default(),
            waiting: BTreeMap::new(),
            waiting_count: 0,
            kept: Kept::default(),
            drops_kept: false,
            repeated: 0,
        }
    }

    fn follow(&mut self, Numbered { number, change }: &Numbered) {
        if let Change::Elected(_) = change {
            if self.seen > 0 {
                // A new run of a master: numbers begin anew, and what was asked of the last is void.
                self.watchers.close();
                self.waiting.clear();
                self.waiting_count = 0;
            }
        } else {
            assert_eq!(
                *number,
                self.seen + 1,
                "changes arrive in order and without a gap"
            );
        }
        self.seen = *number;
        let concerns = self.world.apply(change);
        if concerns
            && !self.watchers.is_empty()
            && let Err(error) = self.watchers.tell(&self.world, change)
        {
            tracing::error!(%error, "an operator event could not be written; its watchers are cut off");
        }
    }

    fn answer(&mut self, asked: Asked, to: Answer<Bytes>, ctx: &mut Context<Self>) {
        if !to.is_wanted() {
            return;
        }
        if let Some(body) = self.kept.find(&asked) {
            self.repeated += 1;
            return to.send(body.clone());
        }
        let (question, viewer) = &asked;
        let seen = viewer.as_ref().map(|viewer| self.world.seen_by(viewer));
        let world = seen.as_ref().unwrap_or(&self.world);
        let readers = Readers {
            watchers: self.watchers.len(),
            repeated: self.repeated,
        };
        match answer(world, &self.config, readers, question) {
            Ok(body) => {
                // Metrics also follow from who watches, which is no change.
                if *question != Question::Metrics && self.kept.keep(asked, body.clone()) {
                    self.drop_kept_later(ctx);
                }
                to.send(body);
            }
            Err(error) => tracing::error!(%error, ?question, "a question was not answered"),
        }
    }
}

impl Actor for View {
    const NAME: &'static str = "view";

    fn observe(&self) -> Value {
        json!({
            "seen": self.seen,
            "agents": self.world.agents.len(),
            "frameworks": self.world.frameworks.len(),
            "offers": self.world.totals.offers,
            "waiting": self.waiting_count,
            "watchers": self.watchers.len(),
        })
    }
}

impl Handler<Follow> for View {
    fn handle(&mut self, Follow(changes): Follow, ctx: &mut Context<Self>) {
        self.kept.clear();
        self.watchers.forget_snapshots();
        for change in &changes {
            self.follow(change);
        }
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= self.seen
        {
            let questions = entry.remove();
            self.waiting_count -= questions.len();
            for (asked, to, _seat) in questions {
                self.answer(asked, to, ctx);
            }
        }
    }
}

impl Receive<Query> for View {
    fn receive(&mut self, query: Query, to: Answer<Bytes>, ctx: &mut Context<Self>) {
        let Query {
            after,
            question,
            viewer,
            seat,
        } = query;
        let asked = (question, viewer);
        if after <= self.seen {
            return self.answer(asked, to, ctx);
        }
        if self.waiting_count == MAX_WAITING {
            tracing::warn!(
                after,
                seen = self.seen,
                "a question was refused: {MAX_WAITING} wait already for changes that have not arrived"
            );
            return;
        }
        self.waiting_count += 1;
        self.waiting
            .entry(after)
            .or_default()
            .push((asked, to, seat));
    }
}

impl Handler<DropKept> for View {
    fn handle(&mut self, DropKept: DropKept, _: &mut Context<Self>) {
        self.kept.clear();
        self.watchers.forget_snapshots();
        self.drops_kept = false;
    }
}

impl View {
    fn drop_kept_later(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.drops_kept, true) {
            ctx.notify_later(DropKept, KEPT_FOR);
        }
    }
}

impl Handler<Watch> for View {
    fn handle(&mut self, watch: Watch, ctx: &mut Context<Self>) {
        // Those who waited may have left, and a snapshot is of everything.
        if watch.records.is_closed() {
            return;
        }
        let now = ctx.clock().nanos();
        if let Err(error) = self.watchers.open(watch, &self.world, now) {
            tracing::error!(%error, "an operator stream could not be opened");
        }
        self.drop_kept_later(ctx);
        self.beat(ctx);
    }
}

impl Handler<Beat> for View {
    fn handle(&mut self, Beat: Beat, ctx: &mut Context<Self>) {
        self.beat(ctx);
    }
}

impl View {
    fn beat(&mut self, ctx: &mut Context<Self>) {
        match self.watchers.beat(ctx.clock().nanos()) {
            Ok(Some(next)) => ctx.wake_at::<Beat>(next),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "heartbeats could not be written"),
        }
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
