//! How our own parts find the leader: `GET /tepui/v1/leader`.

use serde_json::{Map, Value};
use tepui_http::Reply;

use super::MasterHttp;
use crate::leadership::Standing;

impl MasterHttp {
    /// `leader` (HTTP, `host:port`), `bridge` (`host:port`), `cluster_id`, `term` and `version` (of the master that
    /// answers). Every master that knows who leads answers for it, so that one request is enough.
    pub(super) async fn leader(&self) -> Result<Reply, Reply> {
        let (leader, bridge, term) = match self.leadership.settled().await {
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
