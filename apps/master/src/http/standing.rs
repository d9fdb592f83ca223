//! Who answers: the leader, or the way to it (Mesos: `Http::redirect`).

use tepui_http::{Incoming, Reply};

use super::MasterHttp;
use crate::leadership::Standing;

impl MasterHttp {
    /// Lets a request pass on the leader alone.
    ///
    /// # Errors
    /// 307 to the leader; 503 while there is none or it has not finished recovery.
    pub(super) async fn expect_leading(&self, request: &Incoming) -> Result<(), Reply> {
        match self.leadership.settled().await {
            Standing::Leading { .. } => Ok(()),
            Standing::Recovering => Err(Reply::text(503, "Master has not finished recovery")),
            Standing::Following(leader) => {
                // Two slashes at the start would name another host.
                let path = request.target.trim_start_matches('/');
                Err(Reply::redirect(&format!("//{}/{path}", leader.http)))
            }
            Standing::NoLeader => Err(Reply::text(503, "No leader elected")),
        }
    }

    /// `/redirect`: the leader's address. Nothing below it, to stop loops.
    ///
    /// # Errors
    /// 503 while there is none: who followed it to a master that does not lead would take that one for the leader.
    pub(super) fn redirect(&self, rest: Option<&str>) -> Result<Reply, Reply> {
        if rest.is_some() {
            return Err(Reply::bare(404));
        }
        let leader = match self.leadership.standing() {
            Standing::Following(leader) => leader.http,
            Standing::Leading { .. } | Standing::Recovering => self.own_address(),
            Standing::NoLeader => return Err(Reply::text(503, "No leader elected")),
        };
        Ok(Reply::redirect(&format!("//{leader}")))
    }

    /// `host:port` of the leader, if that is another master.
    pub(super) fn leader_elsewhere(&self) -> Option<String> {
        match self.leadership.standing() {
            Standing::Following(leader) => Some(leader.http),
            _ => None,
        }
    }

    /// `hostname:port` of this master.
    pub(super) fn own_address(&self) -> String {
        let master = &self.facts.master;
        format!("{}:{}", master.hostname(), master.port)
    }
}
