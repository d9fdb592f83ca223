//! The commands of four letters that a connection may send instead of opening a session.

use std::fmt::Write;

/// What they tell of. `Received` and `Sent` count records.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) zxid: i64,
    pub(crate) nodes: usize,
    /// Of each connection: where from, received, sent.
    pub(crate) connections: Vec<(String, u64, u64)>,
}

/// Clients read three numbers from it: those of the ZooKeeper whose protocol is spoken.
const VERSION: &str = concat!("3.8.0-tepui-", env!("CARGO_PKG_VERSION"));

pub(crate) fn answer(word: [u8; 4], facts: &Facts) -> String {
    match &word {
        b"ruok" => "imok".to_owned(),
        // A client in read-only mode looks for a server that is not; there is none, so none must look.
        b"isro" => "rw".to_owned(),
        b"envi" => format!("Environment:\nzookeeper.version={VERSION}, read-only\n"),
        b"srvr" => format!("Zookeeper version: {VERSION}, read-only\n{}", counts(facts)),
        b"stat" => {
            let mut text = format!("Zookeeper version: {VERSION}, read-only\nClients:\n");
            for (peer, received, sent) in &facts.connections {
                let _ = writeln!(text, " /{peer}[1](queued=0,recved={received},sent={sent})");
            }
            text + "\n" + &counts(facts)
        }
        other => format!(
            "{} is not executed because it is not in the whitelist.\n",
            String::from_utf8_lossy(other)
        ),
    }
}

fn counts(facts: &Facts) -> String {
    format!(
        "Latency min/avg/max: 0/0.0/0\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: 0\nZxid: {:#x}\nMode: read-only\nNode count: {}\n",
        facts.received,
        facts.sent,
        facts.connections.len(),
        facts.zxid,
        facts.nodes
    )
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
