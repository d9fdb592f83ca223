//! Where the web admin reads from.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tepui_client::Client;
use tepui_kit::{Asker, Directory};
use tepui_messages::view::{Query, Question};

use crate::error::Error;

/// How long a question to the view may take before the page says that it has no answer.
const VIEW_DEADLINE: Duration = Duration::from_secs(2);

/// The mailboxes of agents, as many as a page can show: the name an agent is shown under, and an array of its
/// [`MailboxStats`](tepui_kit::MailboxStats) as JSON; and how many agents were not asked. It should answer within half a second; a later answer
/// is left out.
pub type AgentsMailboxes =
    Arc<dyn Fn() -> BoxFuture<'static, (Vec<(String, Value)>, usize)> + Send + Sync>;

/// Everything the web admin reads from.
pub struct Sources {
    /// The master's own mailboxes.
    pub directory: Directory,
    pub view: Asker<Query>,
    /// The number of the last change; the view is asked again only after it moved.
    pub changes: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub agents_mailboxes: AgentsMailboxes,
    /// Whether this master leads; the view of one that does not is empty or old.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    /// For the agents' `/state` and `/files/read`.
    pub client: Client,
    /// The cluster's name, where it has one.
    pub cluster: Option<String>,
    /// This master's version.
    pub version: String,
}

impl Sources {
    pub(crate) fn change_number(&self) -> u64 {
        (self.changes)()
    }

    /// Asks the view for JSON that holds everything decided so far.
    pub(crate) async fn ask(&self, question: Question) -> Result<Value, Error> {
        let query = Query {
            after: self.change_number(),
            question,
            // Whoever may see the admin may see everything: the master lets nobody else to it.
            viewer: None,
            seat: None,
        };
        let answer = tokio::time::timeout(VIEW_DEADLINE, self.view.ask(query))
            .await
            .map_err(|_| Error::ViewLate(VIEW_DEADLINE))?
            .map_err(|error| Error::View(error.to_string()))?;
        serde_json::from_slice(&answer).map_err(|error| Error::View(error.to_string()))
    }

    pub(crate) fn unix_ms(&self) -> i64 {
        i64::try_from(self.directory.clock().unix_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }
}
