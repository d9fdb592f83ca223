//! Whether this master leads, for all HTTP workers to read at no cost.

use std::sync::{Arc, PoisonError, RwLock};

use tepui_kit::{Link, Tell, TellError};
use tepui_master_actor::Master;
use tepui_messages::master::Leads;

/// Where this master stands towards its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It leads and has not finished recovery.
    Recovering,
    Leading {
        term: u64,
        cluster_id: Option<String>,
    },
    /// Another one leads, at this `host:port`.
    Following(String),
    NoLeader,
}

/// A cheap shared handle.
#[derive(Debug, Clone)]
pub struct Leadership(Arc<RwLock<Standing>>);

impl Leadership {
    pub fn new(standing: Standing) -> Leadership {
        Leadership(Arc::new(RwLock::new(standing)))
    }

    pub fn standing(&self) -> Standing {
        // Replaced whole, so never torn.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set(&self, standing: Standing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

/// Tells the master of its election, and then the HTTP workers: whatever they send comes after it.
pub(crate) struct Announce {
    master: Link<Master>,
    leadership: Leadership,
}

impl Announce {
    pub(crate) fn new(master: Link<Master>, leadership: Leadership) -> Announce {
        Announce { master, leadership }
    }
}

impl Tell<Leads> for Announce {
    fn tell(&self, leads: Leads) -> Result<(), TellError> {
        let standing = Standing::Leading {
            term: leads.term,
            cluster_id: leads.registry.cluster_id.clone(),
        };
        self.master.tell(leads)?;
        self.leadership.set(standing);
        Ok(())
    }
}
