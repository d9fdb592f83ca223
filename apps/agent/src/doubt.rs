//! Leaves a master that has fallen silent where another one leads: a leader that was stopped, or cut off, keeps its
//! connections, and nobody else would tell its agents.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{bridge::AgentService, leader::LeaderFinder, node::Orders};

/// A master beats every 2 s: two beats are missing.
const DOUBT_AFTER_MS: u64 = 4_500;
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// No more often, so that many agents of a slow master do not make it slower.
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
        if peer.stats().heard_ago_ms < DOUBT_AFTER_MS {
            continue;
        }
        let leaders = finder.find().await;
        let elsewhere = peer.address().filter(|address| !leaders.contains(address));
        if elsewhere.is_some() && !leaders.is_empty() {
            tracing::info!("the master is silent and another one leads");
            peer.close("another master leads");
        }
        sleep(ASK_INTERVAL).await;
    }
}
