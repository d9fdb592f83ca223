//! Finds the leading master's bridge by asking the masters over HTTP. Owns the sentence that says what is wrong
//! where none answers as expected.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Deserialize;
use tepui_client::{Client, Error};
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
/// A second opinion is not waited for longer: the silent master itself gives none.
const OPINION_DEADLINE: Duration = Duration::from_secs(1);
/// Of an answer that is no leader, so much is shown.
const MAX_SHOWN_CHARS: usize = 80;

/// What a master answers.
#[derive(Debug, Deserialize)]
struct Leader {
    /// `ip:port` or `host:port` of the leader's bridge.
    bridge: String,
    #[serde(default)]
    term: u64,
}

/// A leader as a master named it.
struct Named {
    bridge: String,
    term: u64,
    addresses: Vec<SocketAddr>,
}

/// Asks; cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderFinder {
    client: Client,
    masters: Arc<[String]>,
    notices: Arc<Notices>,
    /// The bridge that was named last, and its term. Who asks again has lost it, or not reached it.
    named: Arc<Mutex<Option<(String, u64)>>>,
}

impl LeaderFinder {
    /// `masters` are HTTP addresses, `host:port`.
    pub(crate) fn new(masters: &[String], notices: Arc<Notices>) -> Self {
        Self {
            client: Client::default(),
            masters: masters.into(),
            notices,
            named: Arc::default(),
        }
    }

    /// The bridge of the leader, as the first master to know tells it; empty while none does. Masters are asked to
    /// answer when they know another leader than the last one found.
    pub(crate) async fn find(&self) -> Vec<SocketAddr> {
        let began = Instant::now();
        let lost = self.named().take();
        let lost = lost.map_or_else(String::new, |(bridge, _)| format!("&not={bridge}"));
        let path = format!("{PATH}?wait_ms={WAIT_MS}{lost}");
        let path = path.as_str();
        let mut asked: FuturesUnordered<_> = self
            .masters
            .iter()
            .map(|master| self.ask(master, path))
            .collect();
        let mut troubles = Vec::new();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(found) => {
                    *self.named() = Some((found.bridge, found.term));
                    if began.elapsed() > Duration::from_millis(SPREAD_MS) {
                        let spread = uuid::Uuid::new_v4().as_u64_pair().0 % SPREAD_MS;
                        sleep(Duration::from_millis(spread)).await;
                    }
                    return found.addresses;
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

    /// Whether a master knows that another leads, of a later term, than the one at `connected`, which is silent. A slow
    /// master still leads by what the others know, and one that has not heard of it yet names an earlier leader.
    pub(crate) async fn leads_elsewhere(&self, connected: SocketAddr) -> bool {
        let Some(known_term) = self.named().as_ref().map(|(_, term)| *term) else {
            return false;
        };
        let masters = self.masters.iter();
        let asked = masters.map(|master| timeout(OPINION_DEADLINE, self.ask(master, PATH)));
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(answer) = asked.next().await {
            if let Ok(Ok(found)) = answer
                && found.term > known_term
                && !found.addresses.contains(&connected)
            {
                return true;
            }
        }
        false
    }

    fn named(&self) -> std::sync::MutexGuard<'_, Option<(String, u64)>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leader's bridge as the master names it, and where that is.
    async fn ask(&self, master: &str, path: &str) -> Result<Named, String> {
        let body = timeout(DEADLINE, self.client.get(master, path)).await;
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
        let Leader { bridge, term } = leader;
        let found = lookup_host(&bridge).await;
        let addresses: Vec<_> = found.map(Iterator::collect).unwrap_or_default();
        if addresses.is_empty() {
            return Err(format!(
                "{master} names the bridge '{bridge}', which is no address"
            ));
        }
        Ok(Named {
            bridge,
            term,
            addresses,
        })
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
