//! The masters of one cluster as one address: finds who leads, and tries again through a change of leaders.

use std::{
    collections::hash_map::RandomState,
    fmt,
    future::Future,
    hash::{BuildHasher, Hasher},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{Client, Error};

const PATH: &str = "/tepui/v1/leader";
/// A master that does not answer must not hide the others.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);
/// A leader that says nothing for so long is asked of at the others: it may be stopped, or cut off, and keep its
/// connections.
const DOUBT_AFTER: Duration = Duration::from_millis(2_500);
const OPINION_DEADLINE: Duration = Duration::from_secs(1);
/// The first pause; each is drawn between its half and its whole, and doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who leads, as a master of ours answers to `GET /tepui/v1/leader`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Leader {
    /// `host:port` of its HTTP API.
    #[serde(rename = "leader")]
    pub address: String,
    /// `host:port` of its bridge.
    #[serde(default)]
    pub bridge: String,
    /// 0: nothing is known of terms.
    #[serde(default)]
    pub term: u64,
}

impl Leader {
    fn is_silent(&self) -> Error {
        Error::Unreachable {
            address: self.address.clone(),
            reason: "it says nothing, and another master leads".to_string(),
        }
    }

    fn of_unknown_term(address: &str) -> Self {
        Leader {
            address: address.to_string(),
            bridge: String::new(),
            term: 0,
        }
    }
}

/// What to do where no master can be reached at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutMasters {
    GiveUp,
    /// As through a change of leaders.
    Wait,
}

/// Some masters' HTTP addresses, `host:port`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Masters {
    client: Client,
    addresses: Arc<[String]>,
    patience: Duration,
}

impl Masters {
    /// How long a call waits for a leader, unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(15);

    pub fn new(client: Client, addresses: &[String]) -> Self {
        Masters {
            client,
            addresses: addresses.into(),
            patience: Self::PATIENCE,
        }
    }

    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Masters { patience, ..self }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Calls the leader; where there is none, or the one that was called is just gone, again after a while. What
    /// a leader refused is its answer and is not asked again.
    ///
    /// Where no master can be reached at all there is no change of leaders to wait for.
    ///
    /// # Errors
    /// The last one, once patience is at its end.
    pub async fn call<T>(&self, call: impl AsyncFn(&str) -> Result<T, Error>) -> Result<T, Error> {
        let call = async |leader: &Leader| call(&leader.address).await;
        self.call_leader(WithoutMasters::GiveUp, call).await
    }

    /// The same, and says who it is.
    pub(crate) async fn call_leader<T>(
        &self,
        without_masters: WithoutMasters,
        call: impl AsyncFn(&Leader) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let (error, hopeless) = match self.leader().await {
                Ok(leader) => match self.unless_another_leads(&leader, call(&leader)).await {
                    Err(error) if error.is_change_of_leader() => {
                        let is_only = self.addresses.len() == 1;
                        let hopeless = is_only && error.is_nobody_at(&leader.address);
                        (error, hopeless)
                    }
                    answer => return answer,
                },
                Err(error) => {
                    let hopeless = !matches!(error, Error::NoLeader(_));
                    (error, hopeless)
                }
            };
            let gives_up = hopeless && without_masters == WithoutMasters::GiveUp;
            if gives_up || Instant::now() + pause > deadline {
                return Err(error);
            }
            sleep(pause - pause.mul_f64(draw() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Where the leader answers, as the first master to know tells it. A single address is taken as it is: it
    /// redirects.
    ///
    /// # Errors
    /// [`Error::NoLeader`] where a master answered that there is none, else why none could be reached.
    async fn leader(&self) -> Result<Leader, Error> {
        if let [only] = &*self.addresses {
            return Ok(Leader::of_unknown_term(only));
        }
        let mut asked: FuturesUnordered<_> =
            self.addresses.iter().map(|it| self.look(it)).collect();
        let mut last = Error::NoLeader("no master was named".to_string());
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(leader) => return Ok(leader),
                // That a master answered says more than that another did not.
                Err(error) if matches!(last, Error::Refused { .. }) => drop(error),
                Err(error) => last = error,
            }
        }
        match last {
            Error::Refused { status: 503, text } => Err(Error::NoLeader(text)),
            other => Err(other),
        }
    }

    async fn look(&self, master: &str) -> Result<Leader, Error> {
        let answer = timeout(LOOK_DEADLINE, self.client.get(master, PATH)).await;
        let body = match answer {
            // A master of Mesos knows no such path, and redirects.
            Ok(Err(Error::Refused { status: 404, .. })) => {
                return Ok(Leader::of_unknown_term(master));
            }
            Ok(answer) => answer?,
            Err(_) => {
                return Err(Error::Unreachable {
                    address: master.to_string(),
                    reason: format!("no answer within {LOOK_DEADLINE:?}"),
                });
            }
        };
        serde_json::from_slice(&body).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// What the leader answers, unless another one leads before it does.
    pub(crate) async fn unless_another_leads<T>(
        &self,
        leader: &Leader,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let doubted = async {
            loop {
                sleep(DOUBT_AFTER).await;
                if self.leads_elsewhere(leader).await {
                    return leader.is_silent();
                }
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            error = doubted => Err(error),
        }
    }

    /// Whether another master knows that somebody else leads, of a later term, than one that is silent. A slow master
    /// still leads by what the others know, and one that has not heard of it yet names an earlier leader.
    pub async fn leads_elsewhere(&self, leader: &Leader) -> bool {
        let others = self.addresses.iter().filter(|it| **it != leader.address);
        let asked = others.map(|master| timeout(OPINION_DEADLINE, self.look(master)));
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(answer) = asked.next().await {
            if let Ok(Ok(found)) = answer
                && found.term > leader.term
                && found.address != leader.address
            {
                return true;
            }
        }
        false
    }
}

/// Asks the other masters while a stream of a leader says nothing.
pub(crate) struct Doubt {
    masters: Masters,
    leader: Leader,
    /// When they are asked next.
    at: Instant,
    asking: Option<BoxFuture<'static, bool>>,
}

impl Doubt {
    pub(crate) fn new(masters: Masters, leader: Leader) -> Self {
        Doubt {
            masters,
            leader,
            at: Instant::now() + DOUBT_AFTER,
            asking: None,
        }
    }

    /// The leader has said something.
    pub(crate) fn heard(&mut self) {
        self.at = Instant::now() + DOUBT_AFTER;
        self.asking = None;
    }

    /// Ends when another master leads. Whoever stops waiting for it can go on later.
    pub(crate) async fn confirmed(&mut self) -> Error {
        loop {
            if let Some(asking) = &mut self.asking {
                let leads_elsewhere = asking.await;
                self.heard();
                if leads_elsewhere {
                    return self.leader.is_silent();
                }
            }
            sleep_until(self.at).await;
            let (masters, leader) = (self.masters.clone(), self.leader.clone());
            let asking = async move { masters.leads_elsewhere(&leader).await };
            self.asking = Some(Box::pin(asking));
        }
    }
}

impl fmt::Debug for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Doubt({:?})", self.leader)
    }
}

impl Error {
    /// Whether it may be that of a change of leaders: another try may meet another leader.
    pub fn is_change_of_leader(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::NoLeader(_) => true,
            // 408 is of a master that was stopped so long that it did not read the request: nothing was done.
            Error::Refused { status, .. } => matches!(status, 408 | 503),
            Error::Timeout { .. } | Error::Malformed(_) => false,
        }
    }

    fn is_nobody_at(&self, asked: &str) -> bool {
        matches!(self, Error::Unreachable { address, .. } if address == asked)
    }
}

/// From 0 to 1. Spreads those who lost the same leader; good enough for that.
fn draw() -> f64 {
    // Each state is seeded anew by the standard library.
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
#[path = "masters_tests.rs"]
pub(crate) mod tests;
