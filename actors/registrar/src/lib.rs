//! The actor in front of consensus: takes commands, answers when they are applied, and tells who leads.
//!
//! Owns no state of the cluster: that is the registry's. Commands of one sender are proposed in their order;
//! consensus groups all that wait into one sync.

use serde_json::{Value, json};
use tepui_consensus::{Applied, Consensus, ProposeError, Status};
use tepui_kit::{Actor, Answer, Context, Message, Receive, Teller};
use tepui_messages::{
    master::Leads,
    registrar::{Commit, Committed},
};
use tepui_registry::{Outcome, RegistryReader};
use tokio::sync::watch;

/// In front of one member of the group.
pub struct Registrar {
    consensus: Consensus,
    reader: RegistryReader,
    /// Told when this member begins to lead.
    master: Teller<Leads>,
    /// The term this member last led in.
    led: Option<u64>,
}

impl Registrar {
    pub fn new(consensus: Consensus, reader: RegistryReader, master: Teller<Leads>) -> Registrar {
        Registrar {
            consensus,
            reader,
            master,
            led: None,
        }
    }

    /// Follows the status of consensus for as long as the actor lives.
    fn follow(&self, mut status: watch::Receiver<Status>, ctx: &mut Context<Self>) {
        let changed = async move {
            let alive = status.changed().await.is_ok();
            alive.then_some(status)
        };
        ctx.then(changed, |registrar, status, ctx| match status {
            Some(status) => {
                registrar.look(&status.borrow().clone(), ctx);
                registrar.follow(status, ctx);
            }
            None => tracing::info!("consensus has ended"),
        });
    }

    fn look(&mut self, status: &Status, ctx: &mut Context<Self>) {
        if let Some(reason) = status.stopped.as_ref().filter(|reason| !reason.is_empty()) {
            tracing::error!(
                reason,
                "consensus has stopped; this master can no longer write its registry"
            );
        }
        let now = ctx.now().into_std();
        if status.may_lead(now) && self.led != Some(status.term) {
            self.led = Some(status.term);
            tracing::info!(term = status.term, "this master leads");
            let leads = Leads {
                term: status.term,
                registry: Box::new(self.reader.copy()),
            };
            if self.master.tell(leads).is_err() {
                tracing::error!("the master does not take its election");
            }
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
        let proposed = self.consensus.propose(commit.0.encode());
        ctx.spawn(async move { answer.send(committed(proposed.await)) });
    }
}

/// What became of a proposal, in the master's terms.
fn committed(result: Result<Applied, ProposeError>) -> Committed {
    match result {
        Ok(applied) => match Outcome::decode(&applied.outcome) {
            Ok(Outcome::Applied { .. }) => Committed::Applied,
            Ok(Outcome::Refused { reason }) => Committed::Refused(reason),
            Err(error) => Committed::Refused(error.to_string()),
        },
        Err(error) => Committed::Refused(error.to_string()),
    }
}
