//! Asking an actor on behalf of a client who waits.

use std::time::Duration;

use tepui_kit::{AskError, Asker, Message, within};

use crate::reply::Reply;

/// What a client waits for an actor at most.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks, and turns silence into a 503 that says what to do.
///
/// # Errors
/// The 503 to answer.
pub async fn ask<M: Message>(asker: &Asker<M>, message: M) -> Result<M::Reply, Reply> {
    let answer = within(ANSWER_TIMEOUT, asker.ask(message)).await;
    answer.map_err(refusal)
}

/// The 503 to answer.
pub fn refusal(error: AskError) -> Reply {
    let reason = match error {
        AskError::Full => "it has more requests than it can take; try again later".to_string(),
        AskError::Closed => {
            "it ended before it answered, as when it leads no more; whether the request had \
                 an effect is unknown"
                .to_string()
        }
        AskError::Timeout => format!(
            "it gave no answer within {} seconds; whether the request had an effect is unknown",
            ANSWER_TIMEOUT.as_secs()
        ),
        AskError::Refused(words) => words,
    };
    Reply::text(503, format!("Service Unavailable: {reason}"))
}
