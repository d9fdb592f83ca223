//! What an agent asks of those who call, as it was started: their credentials, and what they may do.

use std::sync::Arc;

use tepui_http::{Credentials, Realm};
use tepui_node::tokens::TokenKey;
use tepui_protocol::acls::Acls;

/// Mesos' realm of endpoints that only read.
const READONLY: &str = "mesos-agent-readonly";
/// Of those that may change something.
const READWRITE: &str = "mesos-agent-readwrite";
/// Of the calls of executors.
const EXECUTOR: &str = "mesos-agent-executor";

/// How executors prove who they are (Mesos: `--jwt_secret_key`, `--authenticate_http_executors`).
#[derive(Debug, Clone, Default)]
pub struct ExecutorSecurity {
    /// Signs what they are given at their start; `None`: they are given nothing.
    pub key: Option<TokenKey>,
    /// Whether they must show it.
    pub asked: bool,
    /// The path of the key, as `/flags` shows it.
    pub shown_key: Option<String>,
}

/// Who may enter which realm, and what they may do there. By default everybody, everything.
#[derive(Debug, Clone)]
pub struct Security {
    pub readonly: Realm,
    pub readwrite: Realm,
    /// Entered only where executors are asked.
    pub executor: Realm,
    pub acls: Arc<Acls>,
    /// Names that browsers may have this agent by, besides its own.
    pub http_hosts: Vec<String>,
    pub executors: ExecutorSecurity,
    /// The path of the credentials, as `/flags` shows it.
    pub shown_credentials: Option<String>,
    /// The lists, or the path of the file that holds them.
    pub shown_acls: Option<String>,
}

impl Default for Security {
    fn default() -> Self {
        Security::new(false, false, &Arc::default(), Arc::default())
    }
}

impl Security {
    /// `readonly` and `readwrite` are whether these realms ask for credentials.
    pub fn new(
        readonly: bool,
        readwrite: bool,
        credentials: &Arc<Credentials>,
        acls: Arc<Acls>,
    ) -> Self {
        let realm = |name, is_guarded| match is_guarded {
            true => Realm::guarded(name, Arc::clone(credentials)),
            false => Realm::open(name),
        };
        Security {
            readonly: realm(READONLY, readonly),
            readwrite: realm(READWRITE, readwrite),
            executor: realm(EXECUTOR, true),
            acls,
            http_hosts: Vec::new(),
            executors: ExecutorSecurity::default(),
            shown_credentials: None,
            shown_acls: None,
        }
    }
}
