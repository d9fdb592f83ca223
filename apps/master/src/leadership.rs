//! Where this master stands towards its group, for all HTTP workers to read at no cost.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tepui_messages::master::Lease;
use tokio::time::{Instant, sleep};

/// A request waits so long for a leader whose lease has lapsed, as after a stalled disk: by then it leads again or
/// another one does.
const LAPSE_WAIT: Duration = Duration::from_secs(2);
const LAPSE_LOOK: Duration = Duration::from_millis(10);

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
}

impl Leadership {
    pub fn new(standing: Standing, lease: Lease) -> Leadership {
        Leadership {
            standing: Arc::new(RwLock::new(standing)),
            lease,
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
}

impl fmt::Debug for Leadership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Leadership")
            .field(&self.standing())
            .finish()
    }
}
