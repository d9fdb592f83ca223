//! Finds the leading master's bridge by asking the masters over HTTP. Owns the sentence that says what is wrong
//! where none answers as expected.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tepui_client::{Client, Error, Leader, Masters};
use tokio::{
    net::lookup_host,
    time::{Instant, sleep, timeout},
};

use crate::notice::Notices;

const PATH: &str = "/tepui/v1/leader";
/// One master that does not answer must not hide the others: below the bridge's deadline for a look-up.
const DEADLINE: Duration = Duration::from_secs(3);
/// A master that knows no other leader may keep the question so long.
const WAIT_MS: u64 = 2_000;
/// Who waited for a new leader comes to it within this time after its election, not all at once.
const SPREAD_MS: u64 = 100;
/// Of an answer that is no leader, so much is shown.
const MAX_SHOWN_CHARS: usize = 80;

/// Asks; cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderFinder {
    masters: Masters,
    notices: Arc<Notices>,
    /// Who was named last. Who asks again has lost it, or not reached it.
    named: Arc<Mutex<Option<Leader>>>,
    /// The highest term of a leader that was named. A master of an old group, of which a backup was restored, may lead that
    /// group still: it would not be obeyed, and must not be in the way of who is.
    term: Arc<AtomicU64>,
}

impl LeaderFinder {
    /// `masters` are HTTP addresses, `host:port`; `term` is the highest that this agent has obeyed, in an earlier life too.
    pub(crate) fn new(masters: &[String], term: u64, notices: Arc<Notices>) -> Self {
        Self {
            masters: Masters::new(Client::default(), masters),
            notices,
            named: Arc::default(),
            term: Arc::new(AtomicU64::new(term)),
        }
    }

    /// The bridge of the leader, as the first master to know tells it; empty while none does. Masters are asked to
    /// answer when they know another leader than the last one found.
    pub(crate) async fn find(&self) -> Vec<SocketAddr> {
        let began = Instant::now();
        let lost = self.named().take();
        let lost = lost.map_or_else(String::new, |it| format!("&not={}", it.bridge));
        let path = format!("{PATH}?wait_ms={WAIT_MS}{lost}");
        let path = path.as_str();
        let mut asked: FuturesUnordered<_> = self
            .masters
            .addresses()
            .iter()
            .map(|master| self.ask(master, path))
            .collect();
        let mut troubles = Vec::new();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok((leader, _)) if self.is_deposed(&leader) => troubles.push(format!(
                    "{} leads in term {}, below that of a leader that this agent has followed: it is of an old group, or \
                     restored from an old backup",
                    leader.address, leader.term
                )),
                Ok((leader, addresses)) => {
                    self.term.fetch_max(leader.term, Relaxed);
                    *self.named() = Some(leader);
                    if began.elapsed() > Duration::from_millis(SPREAD_MS) {
                        let spread = uuid::Uuid::new_v4().as_u64_pair().0 % SPREAD_MS;
                        sleep(Duration::from_millis(spread)).await;
                    }
                    return addresses;
                }
                Err(trouble) => troubles.push(trouble),
            }
        }
        troubles.sort();
        self.notices.warn(format!(
            "no leading master found, trying on: {}",
            troubles.join("; ")
        ));
        Vec::new()
    }

    /// Masters of earlier versions tell no term.
    fn is_deposed(&self, leader: &Leader) -> bool {
        leader.term > 0 && leader.term < self.term.load(Relaxed)
    }

    /// Whether another master leads than the one that was found last, which is silent.
    pub(crate) async fn leads_elsewhere(&self) -> bool {
        let named = self.named().clone();
        match named {
            Some(named) => self.masters.leads_elsewhere(&named).await,
            // It is being looked for.
            None => false,
        }
    }

    fn named(&self) -> MutexGuard<'_, Option<Leader>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader as the master names it, and where its bridge is.
    async fn ask(&self, master: &str, path: &str) -> Result<(Leader, Vec<SocketAddr>), String> {
        let client = self.masters.client();
        let body = timeout(DEADLINE, client.get(master, path)).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(Error::Refused { status: 503, .. })) => {
                return Err(format!("{master} knows no leader yet"));
            }
            Ok(Err(Error::Refused { status, .. })) => {
                return Err(not_a_master(master, &format!("status {status}")));
            }
            Ok(Err(error @ Error::Unreachable { .. })) => return Err(error.to_string()),
            Ok(Err(error)) => return Err(not_a_master(master, &error.to_string())),
            Err(_) => return Err(format!("{master} did not answer within {DEADLINE:?}")),
        };
        let leader: Leader = serde_json::from_slice(&body).map_err(|_| {
            let text = String::from_utf8_lossy(&body);
            let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
            not_a_master(master, &format!("'{shown}'"))
        })?;
        let bridge = &leader.bridge;
        let found = lookup_host(bridge).await;
        let addresses: Vec<_> = found.map(Iterator::collect).unwrap_or_default();
        if addresses.is_empty() {
            return Err(format!(
                "{master} names the bridge '{bridge}', which is no address"
            ));
        }
        Ok((leader, addresses))
    }
}

fn not_a_master(master: &str, answer: &str) -> String {
    format!(
        "{master} answered GET {PATH} with {answer}, expected JSON with the leader's 'bridge'; \
         is it the HTTP address of a Tepui master (as in --master 127.0.0.1:5050)?"
    )
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
