//! What a master asks of those who call, as it was started: their credentials, and what they may do.

use std::sync::Arc;

use tepui_http::{Credentials, Realm};
use tepui_protocol::acls::Acls;

/// Mesos' realm of endpoints that only read.
const READONLY: &str = "mesos-master-readonly";
/// Of those that may change something.
const READWRITE: &str = "mesos-master-readwrite";
/// Of the scheduler API.
const SCHEDULER: &str = "mesos-master-scheduler";

/// Who may enter which realm, and what they may do there. By default everybody, everything.
#[derive(Debug, Clone)]
pub struct Security {
    pub readonly: Realm,
    pub readwrite: Realm,
    pub scheduler: Realm,
    pub acls: Arc<Acls>,
    /// Names that browsers may have this master by, besides its own.
    pub http_hosts: Vec<String>,
    /// What `/flags` shows.
    pub shown: ShownSecurity,
}

/// The flags as they were given; secrets are in the files they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownSecurity {
    /// The path of the credentials.
    pub credentials: Option<String>,
    /// The lists, or the path of the file that holds them.
    pub acls: Option<String>,
}

/// Realms that ask for credentials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guarded {
    pub readonly: bool,
    pub readwrite: bool,
    pub scheduler: bool,
}

impl Default for Security {
    fn default() -> Self {
        Security::new(Guarded::default(), &Arc::default(), Arc::default())
    }
}

impl Security {
    /// Whether nobody changes anything or runs a program without a secret.
    pub(crate) fn is_guarded(&self) -> bool {
        self.readwrite.is_guarded() && self.scheduler.is_guarded()
    }

    pub fn new(guarded: Guarded, credentials: &Arc<Credentials>, acls: Arc<Acls>) -> Self {
        let realm = |name, is_guarded| match is_guarded {
            true => Realm::guarded(name, Arc::clone(credentials)),
            false => Realm::open(name),
        };
        Security {
            readonly: realm(READONLY, guarded.readonly),
            readwrite: realm(READWRITE, guarded.readwrite),
            scheduler: realm(SCHEDULER, guarded.scheduler),
            acls,
            http_hosts: Vec::new(),
            shown: ShownSecurity::default(),
        }
    }
}
