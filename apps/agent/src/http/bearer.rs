//! Tokens in headers: executors show what the agent gave them at their start (`Authorization: Bearer …`, RFC 6750). What a
//! token says, `tepui_node::tokens` knows.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use tepui_http::{Incoming, Reply};
use tepui_messages::agent::ExecutorClaims;
use tepui_node::tokens::TokenKey;

use super::Route;
use crate::{Security, security::EXECUTOR};

/// The claims of an executor that calls; `None` where nobody asks for them, or where the caller is none.
///
/// # Errors
/// The 401 to answer.
pub(super) fn claims(
    security: &Security,
    route: Route,
    request: &Incoming,
) -> Result<Option<ExecutorClaims>, Reply> {
    let executors = &security.executors;
    let Some(key) = executors.key.as_ref().filter(|_| executors.asked) else {
        return Ok(None);
    };
    match route {
        Route::Executor => claimed(key, &request.headers).map(Some),
        // Executors and operators come by one door.
        Route::Call if security.readwrite.is_guarded() && is_bearer(&request.headers) => {
            claimed(key, &request.headers).map(Some)
        }
        _ => Ok(None),
    }
}

fn is_bearer(headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION);
    given.is_some_and(|it| it.as_bytes().starts_with(b"Bearer "))
}

fn claimed(key: &TokenKey, headers: &HeaderMap) -> Result<ExecutorClaims, Reply> {
    // Two of them would mean that two parties disagree about who calls.
    let mut given = headers.get_all(AUTHORIZATION);
    let given = match (given.next(), given.next()) {
        (None, _) => return Err(refused(None)),
        (Some(given), None) => given.to_str().ok(),
        _ => None,
    };
    let Some((scheme, token)) = given.and_then(|text| text.split_once(' ')) else {
        return Err(refused(Some("Malformed 'Authorization' header")));
    };
    if scheme != "Bearer" {
        return Err(refused(Some("Scheme unsupported")));
    }
    key.verify(token)
        .map_err(|reason| refused(Some(&format!("Invalid JWT: {reason}"))))
}

fn refused(reason: Option<&str>) -> Reply {
    let why = reason.map(|it| format!(", error=\"invalid_token\", error_description=\"{it}\""));
    let challenge = format!("Bearer realm=\"{EXECUTOR}\"{}", why.unwrap_or_default());
    Reply::bare(401).header(WWW_AUTHENTICATE, &challenge)
}

#[cfg(test)]
#[path = "bearer_tests.rs"]
mod tests;
