//! A realm: the endpoints that one set of credentials opens (Mesos: `mesos-master-readonly` and its kin).

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};

use crate::{Credentials, Reply};

/// Endpoints of one kind, and who may enter.
#[derive(Debug, Clone)]
pub struct Realm {
    name: &'static str,
    /// `None`: everybody enters, and nobody has a name.
    credentials: Option<Arc<Credentials>>,
}

impl Realm {
    /// Everybody may enter.
    pub const fn open(name: &'static str) -> Self {
        Realm {
            name,
            credentials: None,
        }
    }

    /// Only those may enter who prove who they are.
    pub fn guarded(name: &'static str, credentials: Arc<Credentials>) -> Self {
        Realm {
            name,
            credentials: Some(credentials),
        }
    }

    /// Whether secrets are asked for.
    pub fn is_guarded(&self) -> bool {
        self.credentials.is_some()
    }

    /// What it asks of those who have shown nothing, or something wrong.
    pub fn challenge(&self) -> String {
        format!("Basic realm=\"{}\"", self.name)
    }

    /// How it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The principal of a request with these headers; `None` where nobody is asked.
    ///
    /// # Errors
    /// The 401 to answer.
    pub fn enter(&self, headers: &HeaderMap) -> Result<Option<String>, Reply> {
        let Some(credentials) = &self.credentials else {
            return Ok(None);
        };
        // Two of them would mean that two parties disagree about who calls.
        let mut given = headers.get_all(AUTHORIZATION);
        let principal = match (given.next(), given.next()) {
            (Some(given), None) => credentials.principal(given.as_bytes()),
            _ => None,
        };
        let refused = || Reply::bare(401).header(WWW_AUTHENTICATE, &self.challenge());
        principal.map(Some).ok_or_else(refused)
    }
}

#[cfg(test)]
#[path = "realm_tests.rs"]
mod tests;
