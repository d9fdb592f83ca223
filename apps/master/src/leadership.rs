//! Where this master stands towards its group, for all HTTP workers to read at no cost.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tepui_messages::master::Lease;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout_at},
};

/// A request waits so long for a leader whose lease has lapsed, as after a stalled disk: by then it leads again or
/// another one does.
const LAPSE_WAIT: Duration = Duration::from_secs(2);
const LAPSE_LOOK: Duration = Duration::from_millis(10);
/// Requests that may wait for another leader; more are answered at once.
const MAX_WAITING: usize = 4_000;

/// Where this master stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is the leader and has not finished recovery.
    Recovering,
    Leading {
        term: u64,
    },
    /// Another one leads.
    Following(Leader),
    NoLeader,
}

/// Another master, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// `host:port` of its HTTP API.
    pub http: String,
    /// `host:port` of its bridge.
    pub bridge: String,
    pub term: u64,
}

/// A cheap shared handle.
#[derive(Clone)]
pub struct Leadership {
    standing: Arc<RwLock<Standing>>,
    lease: Lease,
    /// Told of each new standing.
    changed: watch::Sender<()>,
    waiting: Arc<Semaphore>,
}

impl Leadership {
    pub fn new(standing: Standing, lease: Lease) -> Leadership {
        Leadership {
            standing: Arc::new(RwLock::new(standing)),
            lease,
            changed: watch::Sender::new(()),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// What was set last; a leader's lease may have lapsed since.
    pub fn standing(&self) -> Standing {
        // Replaced whole, so never torn.
        self.standing
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set(&self, standing: Standing) {
        *self
            .standing
            .write()
            .unwrap_or_else(PoisonError::into_inner) = standing;
        self.changed.send_replace(());
    }

    /// The standing at this moment, where it is certain: absent for a leader that no majority confirms.
    pub fn confirmed(&self) -> Option<Standing> {
        let standing = self.standing();
        match standing {
            Standing::Leading { term } => ((self.lease)() == Some(term)).then_some(standing),
            certain => Some(certain),
        }
    }

    /// As [`Self::confirmed`], after waiting a little for a lease that has lapsed.
    pub async fn settled(&self) -> Standing {
        let deadline = Instant::now() + LAPSE_WAIT;
        loop {
            match self.confirmed() {
                Some(standing) => return standing,
                None if Instant::now() >= deadline => return Standing::NoLeader,
                None => sleep(LAPSE_LOOK).await,
            }
        }
    }

    /// As [`Self::settled`], after waiting at most `patience` for a leader other than the one whose bridge is `lost`.
    /// A master that leads is asked because it is there: it never waits.
    pub async fn known(&self, lost: Option<&str>, patience: Duration) -> Standing {
        let deadline = Instant::now() + patience;
        let mut changed = self.changed.subscribe();
        let waiting = self.waiting.try_acquire();
        loop {
            let standing = self.settled().await;
            let is_news = match &standing {
                Standing::Leading { .. } => true,
                Standing::Following(leader) => Some(leader.bridge.as_str()) != lost,
                Standing::Recovering | Standing::NoLeader => false,
            };
            if is_news || waiting.is_err() {
                return standing;
            }
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return standing;
            }
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Leadership")
            .field(&self.standing())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use tepui_kit::stage::TestStage;

    use super::*;

    fn following(bridge: &str) -> Standing {
        Standing::Following(Leader {
            http: "h:1".to_owned(),
            bridge: bridge.to_owned(),
            term: 4,
        })
    }

    #[test]
    fn who_lost_the_leader_hears_of_the_next_one_at_once() {
        TestStage::run(1, async |_| {
            let leadership = Leadership::new(following("old:1"), Arc::new(|| None));
            let patience = Duration::from_secs(60);
            let mut asked = Box::pin(leadership.known(Some("old:1"), patience));
            assert!(futures_util::poll!(&mut asked).is_pending());
            for void in [Standing::NoLeader, Standing::Recovering, following("old:1")] {
                leadership.set(void);
                assert!(futures_util::poll!(&mut asked).is_pending());
            }
            leadership.set(following("new:1"));
            assert_eq!(asked.await, following("new:1"));
        });
    }

    #[test]
    fn patience_ends_and_so_does_the_number_of_those_who_wait() {
        TestStage::run(1, async |_| {
            let leadership = Leadership::new(Standing::NoLeader, Arc::new(|| None));
            let patience = Duration::from_secs(2);
            let before = Instant::now();
            assert_eq!(leadership.known(None, patience).await, Standing::NoLeader);
            assert_eq!(before.elapsed(), patience);
            let _all = leadership.waiting.acquire_many(MAX_WAITING as u32).await;
            let before = Instant::now();
            assert_eq!(leadership.known(None, patience).await, Standing::NoLeader);
            assert_eq!(before.elapsed(), Duration::ZERO);
        });
    }
}
