//! Who leads at this moment, looked at all the time and shared by all clients.

use std::{future::Future, time::Duration};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tepui_client::Client;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

const PATH: &str = "/tepui/v1/leader";
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A stopped master takes the connection and answers nothing.
const LOOK_TIMEOUT: Duration = Duration::from_millis(300);
/// A group that has no leader for so long does not come back by itself.
const LEADER_LIMIT: Duration = Duration::from_secs(60);
/// A client gives an answer up after this; what it asked for may still happen.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
struct Look {
    number: u64,
    leader: Option<String>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lead(watch::Receiver<Look>);

impl Lead {
    /// Looks from now on; `masters` are HTTP addresses, `host:port`.
    pub(crate) fn watch(masters: Vec<String>) -> Lead {
        let (shown, looks) = watch::channel(Look::default());
        tokio::spawn(async move {
            let client = Client::default();
            loop {
                let known = shown.borrow().leader.clone();
                let leader = look(&client, &masters, known).await;
                shown.send_modify(|look| {
                    look.number += 1;
                    look.leader = leader;
                });
                if shown.is_closed() {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        });
        Lead(looks)
    }

    /// The leader, once there is one.
    pub(crate) async fn found(&self) -> anyhow::Result<String> {
        self.since(0).await
    }

    /// The leader, as a look shows it that began after now.
    pub(crate) async fn found_anew(&self) -> anyhow::Result<String> {
        // The look that is under way may have seen what was.
        let look = self.0.borrow().number + 2;
        self.since(look).await
    }

    async fn since(&self, number: u64) -> anyhow::Result<String> {
        let mut looks = self.0.clone();
        let found = looks.wait_for(|look| look.number >= number && look.leader.is_some());
        let found = timeout(LEADER_LIMIT, found)
            .await
            .with_context(|| format!("no master led for {} s", LEADER_LIMIT.as_secs()))??;
        found.leader.clone().context("a leader was found")
    }

    /// What the leader answers, or nothing if another one leads before it does, or if it takes too long.
    pub(crate) async fn unless_lost<T>(
        &self,
        leader: &str,
        answer: impl Future<Output = T>,
    ) -> Option<T> {
        let mut looks = self.0.clone();
        let moved = looks.wait_for(|look| look.leader.as_deref().is_some_and(|it| it != leader));
        tokio::select! {
            answer = answer => Some(answer),
            _ = moved => None,
            () = sleep(ANSWER_LIMIT) => None,
        }
    }
}

/// What a master answers, whoever leads; nothing if it takes too long.
pub(crate) async fn unless_late<T>(answer: impl Future<Output = T>) -> Option<T> {
    timeout(ANSWER_LIMIT, answer).await.ok()
}

/// Asks who led a moment ago, then everyone; the leader is who calls itself so.
async fn look(client: &Client, masters: &[String], known: Option<String>) -> Option<String> {
    if let Some(known) = known
        && leads(client, &known).await.is_ok()
    {
        return Some(known);
    }
    let mut asked: FuturesUnordered<_> = masters
        .iter()
        .map(async |master| leads(client, master).await.map(|()| master.clone()))
        .collect();
    while let Some(answer) = asked.next().await {
        if let Ok(leader) = answer {
            return Some(leader);
        }
    }
    None
}

async fn leads(client: &Client, master: &str) -> anyhow::Result<()> {
    let (named, _) = named_leader(client, master).await?;
    if port(&named) != port(master) {
        bail!("{named} leads");
    }
    Ok(())
}

/// Who leads and in which term, as this master tells it.
pub(crate) async fn named_leader(client: &Client, master: &str) -> anyhow::Result<(String, u64)> {
    let body = timeout(LOOK_TIMEOUT, client.get(master, PATH)).await??;
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    let leader = answer["leader"].as_str().context("no leader is named")?;
    let term = answer["term"].as_u64().context("no term is named")?;
    Ok((leader.to_string(), term))
}

/// Masters of one host differ in their ports; how they call the host is theirs.
pub(crate) fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or(address)
}
