//! How our own parts find the leader: `GET /tepui/v1/leader`.

use std::time::Duration;

use serde_json::{Map, Value};
use tepui_http::{Incoming, Reply};

use super::MasterHttp;
use crate::leadership::Standing;

/// Below the deadlines of those who ask.
const MAX_PATIENCE: Duration = Duration::from_secs(2);

impl MasterHttp {
    /// `leader` (HTTP, `host:port`), `bridge` (`host:port`), `cluster_id`, `term` and `version` (of the master that
    /// answers). Every master that knows who leads answers for it, so that one request is enough.
    ///
    /// With `wait_ms` (at most 2000) a follower answers when it knows a leader, other than the one whose bridge is
    /// `not`: who lost the leader need not ask again and again.
    pub(super) async fn leader(&self, request: &Incoming) -> Result<Reply, Reply> {
        let patience = request.parameter("wait_ms");
        let patience = patience.and_then(|text| text.parse().ok());
        let patience = patience.map_or(Duration::ZERO, Duration::from_millis);
        let known = self
            .leadership
            .known(request.parameter("not"), patience.min(MAX_PATIENCE));
        let (leader, bridge, term) = match known.await {
            Standing::Leading { term } => (self.own_address(), self.facts.bridge.clone(), term),
            Standing::Following(leader) => (leader.http, leader.bridge, leader.term),
            Standing::Recovering => {
                return Err(Reply::text(503, "Master has not finished recovery"));
            }
            Standing::NoLeader => return Err(Reply::text(503, "No leader elected")),
        };
        let mut answer = Map::new();
        let mut put = |name: &str, value: Value| answer.insert(name.to_string(), value);
        put("leader", leader.into());
        put("bridge", bridge.into());
        put("cluster_id", (self.cluster_id)().into());
        put("term", term.into());
        put("version", env!("CARGO_PKG_VERSION").into());
        Ok(Reply::json(Value::Object(answer).to_string(), None))
    }
}
