//! The actor around the core: looks into the directory at an interval, answers who asks.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_kit::{Actor, Context, Directory, Handler};
use tepui_messages::UnixNanos;

use crate::{
    core::{Counts, DeadLettersCore, Effect, Input},
    messages::{GetLosses, Loss},
};

/// How often the counters are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

pub struct DeadLetters {
    core: DeadLettersCore,
    directory: Directory,
}

impl DeadLetters {
    pub fn new(directory: Directory) -> DeadLetters {
        DeadLetters {
            core: DeadLettersCore::default(),
            directory,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let mailboxes = self.directory.snapshot().into_iter().map(|stats| {
            let counts = Counts {
                refused: stats.refused,
                lost: stats.lost,
            };
            (stats.id, stats.actor, counts)
        });
        let mut effects = Vec::new();
        let now = ctx.clock().unix_nanos() as UnixNanos;
        self.core
            .on(now, Input::Looked(mailboxes.collect()), &mut effects);
        for Effect::Report(loss) in effects {
            tracing::warn!(
                mailbox = loss.mailbox,
                refused = loss.refused,
                lost = loss.lost,
                "messages reached nobody"
            );
        }
    }
}

impl Actor for DeadLetters {
    const NAME: &'static str = "deadletters";

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(INTERVAL, Self::look);
    }

    fn observe(&self) -> Value {
        json!({ "losses": self.core.losses().count() })
    }
}

impl Handler<GetLosses> for DeadLetters {
    fn handle(&mut self, _: GetLosses, _: &mut Context<Self>) -> Vec<Loss> {
        self.core.losses().cloned().collect()
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
