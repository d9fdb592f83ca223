//! Tokens in headers: executors show what the agent gave them at their start (`Authorization: Bearer …`, RFC 6750). What a
//! token says, `tepui_node::tokens` knows.
//!
//! An agent that asks executors takes names with secrets and tokens at every door of its, and tells whoever has neither of
//! both (Mesos: `CombinedAuthenticator`).

use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use tepui_http::{Realm, Reply};
use tepui_messages::agent::ExecutorClaims;
use tepui_node::tokens::TokenKey;

use crate::security::ExecutorSecurity;

/// Who has come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// A principal; `None`: nobody was asked.
    Named(Option<String>),
    Executor(ExecutorClaims),
}

/// Lets in who may enter the realm.
///
/// # Errors
/// The 401 to answer.
pub(super) fn enter(
    realm: &Realm,
    executors: &ExecutorSecurity,
    headers: &HeaderMap,
) -> Result<Entered, Reply> {
    let named = realm.enter(headers).map(Entered::Named);
    match key(executors) {
        Some(key) => named.or_else(|_| {
            let shown = claimed(key, headers).map(Entered::Executor);
            shown.map_err(|why| refused(realm, why.as_deref()))
        }),
        None => named,
    }
}

/// The key of the tokens, where executors are asked for them.
pub(super) fn key(executors: &ExecutorSecurity) -> Option<&TokenKey> {
    executors.key.as_ref().filter(|_| executors.asked)
}

/// Those of a principal that is no executor: they are no executor's.
pub(super) fn of_nobody() -> ExecutorClaims {
    ExecutorClaims {
        framework_id: String::new(),
        executor_id: String::new(),
        container_id: String::new(),
    }
}

/// # Errors
/// What is wrong with the token; `None`: nothing was shown, so that nothing is wrong with it (RFC 6750, 3.1).
fn claimed(key: &TokenKey, headers: &HeaderMap) -> Result<ExecutorClaims, Option<String>> {
    // Two of them would mean that two parties disagree about who calls.
    let mut given = headers.get_all(AUTHORIZATION);
    let given = match (given.next(), given.next()) {
        (None, _) => return Err(None),
        (Some(given), None) => given.to_str().ok(),
        _ => None,
    };
    let parts = given.and_then(|text| text.split_once(' '));
    let Some((scheme, token)) = parts.filter(|(_, token)| !token.contains(' ')) else {
        return Err(Some("Malformed 'Authorization' header".to_owned()));
    };
    if scheme != "Bearer" {
        return Err(Some(format!("Scheme '{scheme}' unsupported")));
    }
    let verified = key.verify(token);
    verified.map_err(|reason| Some(format!("Invalid JWT: {reason}")))
}

/// Both challenges, as one header, and what either would have said.
fn refused(realm: &Realm, why: Option<&str>) -> Reply {
    let why = why.map(|it| format!(", error=\"invalid_token\", error_description=\"{it}\""));
    let bearer = format!(
        "Bearer realm=\"{}\"{}",
        realm.name(),
        why.unwrap_or_default()
    );
    let said = ["Basic", "Bearer"]
        .map(|scheme| format!("\"{scheme}\" authenticator returned:\n401 Unauthorized."));
    let challenges = format!("{},{bearer}", realm.challenge());
    Reply::text(401, said.join("\n\n")).header(WWW_AUTHENTICATE, &challenges)
}

#[cfg(test)]
#[path = "bearer_tests.rs"]
mod tests;
