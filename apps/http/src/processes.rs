//! `/__processes__`: who lives in this process.

use serde_json::{Value, json};
use tepui_kit::Directory;

use crate::{incoming::Incoming, reply::Reply};

/// The actors, as Mesos lists its libprocess actors. Mailboxes count messages but do not show them, so `events` is empty.
pub fn processes(directory: &Directory, request: &Incoming) -> Reply {
    let actors: Vec<Value> = directory
        .snapshot()
        .iter()
        .map(|mailbox| json!({"events": [], "id": mailbox.actor}))
        .collect();
    Reply::json(Value::from(actors).to_string(), request.parameter("jsonp"))
}
