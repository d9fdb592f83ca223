//! The group of masters, for operators: `GET` and `POST /tepui/v1/cluster`, `GET /tepui/v1/cluster/backup`.

use bytes::Bytes;
use serde::Deserialize;
use tepui_http::{Incoming, Reply, ask, audit};
use tepui_kit::Message;

use super::MasterHttp;

/// What the operator wants of the group, as `POST` has it: `{"type": "REMOVE", "name": "m4"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum ClusterCall {
    /// Not by `POST`: every master answers.
    #[serde(skip)]
    Describe,
    #[serde(skip)]
    Backup,
    Add {
        name: String,
        /// `host:port` of its bridge.
        address: String,
        /// Whether a member of that name is to be replaced.
        #[serde(default)]
        replace: bool,
    },
    Remove {
        name: String,
    },
    TransferLeader {
        name: String,
    },
}

/// Why a call had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of HTTP.
    pub status: u16,
    pub text: String,
}

impl Message for ClusterCall {
    /// JSON; of a backup, its bytes.
    type Reply = Result<Bytes, Refusal>;
}

impl MasterHttp {
    pub(super) async fn cluster(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET", "POST"])?;
        if request.method == "GET" {
            let answer = self.of_cluster(ClusterCall::Describe).await?;
            return Ok(Reply::json(answer, request.parameter("jsonp")));
        }
        self.expect_leading(request).await?;
        let call: ClusterCall = serde_json::from_slice(&request.body).map_err(|error| {
            Reply::bad_request(format!(
                "Failed to read the call: {error}; expected {{\"type\": \"ADD\", \"name\": …, \"address\": …}}, or \
                 REMOVE or TRANSFER_LEADER with a name"
            ))
        })?;
        let about = format!("{call:?}");
        let answer = self.of_cluster(call).await;
        let answer = answer.map(|body| Reply::json(body, None));
        audit::change(request, "cluster", &about, &answer);
        answer
    }

    pub(super) async fn cluster_backup(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET"])?;
        let backup = self.of_cluster(ClusterCall::Backup).await?;
        Ok(Reply::ok("application/octet-stream", backup))
    }

    pub(super) async fn of_cluster(&self, call: ClusterCall) -> Result<Bytes, Reply> {
        let answer = ask(&self.cluster, call).await?;
        answer.map_err(|refused| Reply::text(refused.status, refused.text))
    }
}
