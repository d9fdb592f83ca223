//! The actor in front of consensus: takes commands, answers when they are applied, and tells when this member leads.
//!
//! Owns no state of the cluster: that is the registry's. Commands of one sender are proposed in their order;
//! consensus groups all that wait into one sync. One registrar serves one master actor, which leads at most once:
//! another election is another pair.

mod numbers;
mod space;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tepui_consensus::{Applied, Consensus, ProposeError, Status};
use tepui_kit::{Actor, Answer, Context, Handler, Message, Receive, Teller};
use tepui_messages::{
    master::Leads,
    registrar::{Commit, Committed, RegistrarNumbers, WriteRefusal},
};
use tepui_registry::{Command, Outcome, RegistryReader};
use tokio::sync::watch;

pub use numbers::Numbers;
use space::Space;

/// Why the disk has no room for anything new, as long as it has none. Cheap: asked before such a write.
pub type Room = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// In front of one member of the group.
pub struct Registrar {
    consensus: Consensus,
    reader: RegistryReader,
    /// Told once, when this member begins to lead.
    master: Teller<Leads>,
    beginning: Beginning,
    progress: Progress,
    room: Room,
    space: Space,
    numbers: Numbers,
}

/// What must be true before a member may begin to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The cluster's id, where it has none yet.
    pub cluster_id: String,
    /// Whether an earlier registrar of this process may have proposed what is not applied yet: the log is waited
    /// for, so that nothing of it comes after the copy of the registry.
    pub settle: bool,
}

/// How far this registrar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    /// A command is under way behind which the registry can be copied.
    Settling,
    Led,
}

impl Registrar {
    pub fn new(
        consensus: Consensus,
        reader: RegistryReader,
        master: Teller<Leads>,
        beginning: Beginning,
    ) -> Registrar {
        Registrar {
            consensus,
            reader,
            master,
            beginning,
            progress: Progress::Waiting,
            room: Arc::new(|| None),
            space: Space::new(tepui_registry::MAX_BYTES),
            numbers: Numbers::default(),
        }
    }

    /// Takes nothing new while there is no room for it.
    pub fn within(self, room: Room) -> Registrar {
        Registrar { room, ..self }
    }

    /// Takes nothing new beyond these bytes of a registry, in place of [`tepui_registry::MAX_BYTES`].
    pub fn at_most(self, bytes: usize) -> Registrar {
        let space = Space::new(bytes);
        Registrar { space, ..self }
    }

    /// What the registry gets by this command, in bytes; the error says why it is not taken.
    fn admit(&mut self, command: &Command, encoded: usize) -> Result<usize, String> {
        if command.grows()
            && let Some(reason) = (self.room)()
        {
            return Err(reason);
        }
        let growth = self.reader.with(|it| it.growth(command, encoded));
        if growth > 0 {
            self.space.take(self.reader.bytes(), growth)?;
        }
        Ok(growth)
    }

    /// Follows the status of consensus until this member leads.
    fn follow(&self, mut status: watch::Receiver<Status>, ctx: &mut Context<Self>) {
        let changed = async move {
            let alive = status.changed().await.is_ok();
            alive.then_some(status)
        };
        ctx.then(changed, |registrar, status, ctx| match status {
            Some(status) => {
                registrar.look(&status.borrow().clone(), ctx);
                // What follows an election is another registrar's.
                if registrar.progress != Progress::Led {
                    registrar.follow(status, ctx);
                }
            }
            None => tracing::info!("consensus has ended"),
        });
    }

    fn look(&mut self, status: &Status, ctx: &mut Context<Self>) {
        if self.progress != Progress::Waiting || !status.may_lead(ctx.now().into_std()) {
            return;
        }
        let known = self.reader.with(|registry| registry.cluster_id.clone());
        if known.is_some() && !self.beginning.settle {
            return self.lead(status.term, ctx.clock().nanos(), ctx);
        }
        self.progress = Progress::Settling;
        // Naming the cluster as it is named changes nothing, and lies in the log behind all that was proposed.
        let id = known.unwrap_or_else(|| self.beginning.cluster_id.clone());
        let settled = self
            .consensus
            .propose(Command::SetClusterId { id }.encode());
        let (term, began) = (status.term, ctx.clock().nanos());
        ctx.then(settled, move |registrar, settled, ctx| {
            registrar.progress = Progress::Waiting;
            let status = registrar.consensus.status().borrow().clone();
            if settled.is_ok() && status.term == term && status.may_lead(ctx.now().into_std()) {
                registrar.lead(term, began, ctx);
            }
        });
    }

    /// `began`: when this member could lead first, on the clock of the node.
    fn lead(&mut self, term: u64, began: u64, ctx: &Context<Self>) {
        self.progress = Progress::Led;
        tracing::info!(term, "this master leads");
        let leads = Leads {
            term,
            registry: Box::new(self.reader.copy()),
            counted_ago: Duration::ZERO,
        };
        let took = ctx.clock().nanos().saturating_sub(began);
        self.numbers.fetched(Duration::from_nanos(took));
        if self.master.tell(leads).is_err() {
            tracing::error!("the master does not take its election");
        }
    }
}

impl Actor for Registrar {
    const NAME: &'static str = "registrar";

    fn started(&mut self, ctx: &mut Context<Self>) {
        let status = self.consensus.status();
        self.look(&status.borrow().clone(), ctx);
        self.follow(status, ctx);
    }

    fn observe(&self) -> Value {
        let status = self.consensus.status();
        let status = status.borrow();
        json!({
            "role": format!("{:?}", status.role),
            "term": status.term,
            "applied_index": status.applied_index,
            "proposals": status.counters.proposals,
            "syncs": status.counters.syncs,
        })
    }
}

impl Receive<Commit> for Registrar {
    fn receive(
        &mut self,
        commit: Commit,
        answer: Answer<<Commit as Message>::Reply>,
        ctx: &mut Context<Self>,
    ) {
        let command = commit.0.encode();
        let taken = match self.admit(&commit.0, command.len()) {
            Ok(taken) => taken,
            Err(reason) => return answer.send(Committed::Refused(WriteRefusal::NotNow(reason))),
        };
        let proposed = self.consensus.propose(command);
        let began = ctx.clock().nanos();
        self.numbers.begin();
        ctx.then(proposed, move |registrar, result, ctx| {
            let now = ctx.clock().nanos();
            let took = Duration::from_nanos(now.saturating_sub(began));
            let stored = result.is_ok();
            registrar.space.give_back(taken);
            registrar
                .numbers
                .end(Duration::from_nanos(now), took, stored);
            answer.send(committed(result));
        });
    }
}

impl Handler<RegistrarNumbers> for Registrar {
    fn handle(&mut self, _: RegistrarNumbers, _: &mut Context<Self>) -> Vec<(String, f64)> {
        self.numbers.all(&self.consensus.status().borrow())
    }
}

/// What became of a proposal, in the master's terms.
fn committed(result: Result<Applied, ProposeError>) -> Committed {
    match result {
        Ok(applied) => match Outcome::decode(&applied.outcome) {
            Ok(Outcome::Applied { .. }) => Committed::Applied,
            Ok(Outcome::Refused { reason }) => Committed::Refused(WriteRefusal::Rule(reason)),
            Err(error) => Committed::Refused(WriteRefusal::Rule(error.to_string())),
        },
        // Nothing was proposed.
        Err(error @ ProposeError::Full) => {
            Committed::Refused(WriteRefusal::NotNow(error.to_string()))
        }
        Err(error @ (ProposeError::TooLarge { .. } | ProposeError::Invalid(_))) => {
            Committed::Refused(WriteRefusal::Rule(error.to_string()))
        }
        Err(error) => {
            tracing::warn!(%error, "the registry did not answer for a write");
            Committed::Unknown
        }
    }
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
