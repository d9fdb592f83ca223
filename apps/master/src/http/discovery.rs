//! How our own parts find the leader: `GET /tepui/v1/leader`.

use serde_json::{Map, Value};
use tepui_http::Reply;

use super::MasterHttp;
use crate::leadership::Standing;

impl MasterHttp {
    /// `leader` (HTTP, `host:port`), `bridge` (`ip:port`), `cluster_id`, `term` and `version`. A follower knows no more than the
    /// leader's address and sends there, as it does with all else.
    pub(super) fn leader(&self) -> Result<Reply, Reply> {
        let mut answer = Map::new();
        let mut put = |name: &str, value: Value| answer.insert(name.to_string(), value);
        match self.leadership.standing() {
            Standing::Leading { term, cluster_id } => {
                put("leader", self.own_address().into());
                put("bridge", self.facts.bridge.as_str().into());
                put("cluster_id", cluster_id.into());
                put("term", term.into());
            }
            Standing::Following(leader) => {
                return Err(Reply::redirect(&format!("//{leader}/tepui/v1/leader")));
            }
            Standing::Recovering => {
                return Err(Reply::text(503, "Master has not finished recovery"));
            }
            Standing::NoLeader => return Err(Reply::text(503, "No leader elected")),
        }
        put("version", env!("CARGO_PKG_VERSION").into());
        Ok(Reply::json(Value::Object(answer).to_string(), None))
    }
}
