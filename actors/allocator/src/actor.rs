//! The actor around the core: changes of the master in, proposals to the master out.
//!
//! Owns the core and the handle to the master. Decides nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tepui_kit::{Actor, Context, Handler, Message, Teller};
use tepui_messages::{
    allocator::{AllocatorNumbers, Policies, PolicyStatus, Proposals, Whitelist, WorldChange},
    why::{Exclusions, Explain, Explanation, ListExclusions},
};

use crate::{
    core::{AllocatorCore, Effect, Input},
    metrics,
};

/// See the module.
pub struct Allocator {
    core: AllocatorCore,
    master: Teller<Proposals>,
}

/// A moment the core asked for has come.
#[derive(Debug, Default)]
pub struct Woke;

impl Message for Woke {
    type Reply = ();
}

impl Allocator {
    /// Proposes to `master` what `core` decides. The world is only told once, in changes: wire this actor
    /// with `OnPanic::ExitProcess`, since one restarted empty would offer nothing.
    pub fn new(core: AllocatorCore, master: Teller<Proposals>) -> Self {
        Self { core, master }
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = Duration::from_nanos(ctx.clock().nanos());
        let mut effects = Vec::new();
        let runs = self.core.counts().runs;
        self.core.on(now, input, &mut effects);
        if self.core.counts().runs > runs {
            let end = Duration::from_nanos(ctx.clock().nanos());
            self.core.ran_for(end, end.saturating_sub(now));
        }
        for effect in effects {
            match effect {
                Effect::Propose(proposals) => self.propose(now, proposals, ctx),
                Effect::WakeAt(at) => wake_at(at, ctx),
            }
        }
    }

    fn propose(&mut self, now: Duration, proposals: Proposals, ctx: &mut Context<Self>) {
        let Err(error) = self.master.tell(proposals) else {
            return;
        };
        tracing::warn!(%error, "the master took no proposals; they are made again with the next interval");
        let mut effects = Vec::new();
        self.core.on(now, Input::Undelivered, &mut effects);
        for effect in effects {
            match effect {
                Effect::WakeAt(at) => wake_at(at, ctx),
                Effect::Propose(_) => {
                    unreachable!("proposals that failed are not made again at once")
                }
            }
        }
    }
}

fn wake_at(at: Duration, ctx: &mut Context<Allocator>) {
    // 584 years of nanoseconds fit.
    ctx.wake_at::<Woke>(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
}

impl Actor for Allocator {
    const NAME: &'static str = "allocator";

    fn observe(&self) -> Value {
        let world = self.core.world();
        let counts = self.core.counts();
        let shadow = self.core.policy_status().shadow.map(|shadow| {
            json!({
                "policy": shadow.policy,
                "grants": shadow.grants,
                "differences": shadow.differences,
            })
        });
        json!({
            "policy": self.core.policy().name(),
            "shadow": shadow,
            "agents": world.agents.count(),
            "offerable_agents": world.offerable.len(),
            "frameworks": world.frameworks.count(),
            "clients": world.clients.count(),
            "filters": world.filters.count(),
            "resource_kinds": world.kinds.count(),
            "paused": world.paused,
            "runs": counts.runs,
            "grants": counts.grants,
            "undelivered": counts.undelivered,
        })
    }
}

impl Handler<WorldChange> for Allocator {
    fn handle(&mut self, change: WorldChange, ctx: &mut Context<Self>) {
        self.input(Input::World(change), ctx);
    }
}

impl Handler<Whitelist> for Allocator {
    fn handle(&mut self, list: Whitelist, ctx: &mut Context<Self>) {
        self.input(Input::Whitelist(list), ctx);
    }
}

impl Handler<Explain> for Allocator {
    fn handle(&mut self, question: Explain, ctx: &mut Context<Self>) -> Explanation {
        let now = Duration::from_nanos(ctx.clock().nanos());
        self.core.explain(now, &question)
    }
}

impl Handler<Policies> for Allocator {
    fn handle(&mut self, change: Policies, _: &mut Context<Self>) -> Result<PolicyStatus, String> {
        let changes = change != Policies::default();
        let told = self.core.policies(&change);
        if changes && let Ok(status) = &told {
            let shadow = status.shadow.map(|shadow| shadow.policy);
            tracing::info!(
                policy = status.policy,
                shadow,
                "the allocation policy was chosen"
            );
        }
        told.map_err(|error| error.to_string())
    }
}

impl Handler<AllocatorNumbers> for Allocator {
    fn handle(&mut self, _: AllocatorNumbers, _: &mut Context<Self>) -> Vec<(String, f64)> {
        metrics::numbers(&self.core)
    }
}

impl Handler<ListExclusions> for Allocator {
    fn handle(&mut self, _: ListExclusions, _: &mut Context<Self>) -> Vec<Exclusions> {
        self.core.exclusions()
    }
}

impl Handler<Woke> for Allocator {
    fn handle(&mut self, _: Woke, ctx: &mut Context<Self>) {
        self.input(Input::Woke, ctx);
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
