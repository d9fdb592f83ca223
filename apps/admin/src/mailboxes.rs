//! Every mailbox of the master and its agents, with rates between two looks.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    Inner,
    feed::{Frame, View},
    live::event,
};

/// Rows sent to a page; those of the master come first.
const MAX_ROWS: usize = 2_000;
/// An agent that answers later is left out of this look.
const AGENTS_DEADLINE: Duration = Duration::from_millis(500);

/// Counters of one mailbox at the last look.
#[derive(Debug, Clone, Default)]
struct Counters {
    accepted: u64,
    finished: u64,
    per_message: BTreeMap<String, u64>,
}

/// Remembers the counters of the last look.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    at_ms: i64,
    last: BTreeMap<(String, u64), Counters>,
}

impl View for Mailboxes {
    async fn next(&mut self, inner: &Inner) -> Frame {
        let sources = &inner.sources;
        let agents = tokio::time::timeout(AGENTS_DEADLINE, (sources.agents_mailboxes)()).await;
        let agents_late = agents.is_err();
        let (agents, not_asked) = agents.unwrap_or_default();
        let rows = collect(inner, agents);
        let mut data = self.look(sources.unix_ms(), rows, agents_late);
        data["agents_not_asked"] = json!(not_asked);
        Frame {
            opening: bytes::Bytes::new(),
            event: event("actors", &data),
        }
    }
}

/// All mailboxes as JSON, each with the name of its node.
fn collect(inner: &Inner, agents: Vec<(String, Value)>) -> Vec<Value> {
    let own = inner.sources.directory.snapshot();
    let mut rows: Vec<Value> = own
        .iter()
        .filter_map(|stats| serde_json::to_value(stats).ok())
        .collect();
    for (agent, stats) in agents {
        let stats = match stats {
            Value::Array(stats) => stats,
            one => vec![one],
        };
        for mut row in stats {
            if let Value::Object(fields) = &mut row {
                fields.insert("node".to_owned(), Value::from(agent.clone()));
                rows.push(row);
            }
        }
    }
    rows
}

impl Mailboxes {
    /// Adds `in_per_s` and `out_per_s` to each row and `per_s` to each message type: null at first sight.
    fn look(&mut self, at_ms: i64, mut rows: Vec<Value>, agents_late: bool) -> Value {
        let elapsed_ms = at_ms - std::mem::replace(&mut self.at_ms, at_ms);
        let last = std::mem::take(&mut self.last);
        let omitted = rows.len().saturating_sub(MAX_ROWS);
        rows.truncate(MAX_ROWS);
        for row in &mut rows {
            let key = (text(row, "node"), number(row, "id"));
            let before = last.get(&key);
            let rate = |now: u64, before: Option<u64>| {
                before.and_then(|before| per_s(now, before, elapsed_ms))
            };
            let mut now = Counters {
                accepted: number(row, "accepted"),
                finished: number(row, "finished"),
                per_message: BTreeMap::new(),
            };
            row["in_per_s"] = json!(rate(now.accepted, before.map(|before| before.accepted)));
            row["out_per_s"] = json!(rate(now.finished, before.map(|before| before.finished)));
            for message in row["per_message"].as_array_mut().into_iter().flatten() {
                let (name, count) = (text(message, "message"), number(message, "count"));
                // A type not seen before has had all its messages since the last look.
                let earlier =
                    before.map(|before| before.per_message.get(&name).copied().unwrap_or(0));
                message["per_s"] = json!(rate(count, earlier));
                now.per_message.insert(name, count);
            }
            self.last.insert(key, now);
        }
        json!({ "at_ms": at_ms, "rows": rows, "omitted": omitted, "agents_late": agents_late })
    }
}

/// Messages a second; `None` where the counter began anew or no time has passed.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
pub(crate) fn per_s(now: u64, before: u64, elapsed_ms: i64) -> Option<f64> {
    let grown = now.checked_sub(before)?;
    (elapsed_ms > 0).then(|| grown as f64 * 1_000.0 / elapsed_ms as f64)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

#[cfg(test)]
#[path = "mailboxes_tests.rs"]
mod tests;
