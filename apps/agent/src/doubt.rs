//! Leaves a master that has fallen silent where another one leads: a leader that was stopped, or cut off, keeps its
//! connections, and nobody else would tell its agents.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{bridge::AgentService, leader::LeaderFinder, node::Orders};

/// A master beats every 2 s: one beat is missing. That costs a question or two, and no more while it leads.
const DOUBT_AFTER_MS: u64 = 2_500;
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// No more often, so that many agents of a slow master do not make the others slow.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) async fn watch<N: Orders + Clone>(
    service: Arc<AgentService<N>>,
    finder: LeaderFinder,
) -> Infallible {
    loop {
        sleep(LOOK_INTERVAL).await;
        let Some(peer) = service.current() else {
            continue;
        };
        let is_silent = || peer.stats().heard_ago_ms >= DOUBT_AFTER_MS;
        if !is_silent() {
            continue;
        }
        // It may have spoken meanwhile: then it says itself what it is.
        if finder.leads_elsewhere().await && is_silent() {
            tracing::info!("the master is silent and another one leads");
            peer.close("another master leads");
        }
        sleep(ASK_INTERVAL).await;
    }
}
