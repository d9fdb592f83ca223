//! Operator calls to a master or an agent (Mesos: `POST /api/v1`) and the older JSON endpoints.

use tepui_protocol::{
    codec::{Limits, json},
    v1::master::{Call, Response, call},
};

use crate::{Client, Error, http};

/// An operator's view of the cluster through one of its masters.
#[derive(Debug, Clone)]
pub struct Operator {
    client: Client,
    master: String,
}

impl Operator {
    /// `master` is `host:port`; a redirect to the leader is followed.
    pub fn new(client: Client, master: impl Into<String>) -> Operator {
        Operator {
            client,
            master: master.into(),
        }
    }

    /// A question, by its type alone: GET_AGENTS, GET_TASKS …
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, kind: call::Type) -> Result<Response, Error> {
        let bytes = self
            .send(&Call {
                r#type: Some(kind as i32),
                ..Default::default()
            })
            .await?;
        json::decode(
            &bytes,
            &Limits {
                bytes: bytes.len(),
                items: usize::MAX,
                memory: usize::MAX,
                ..Limits::HTTP
            },
        )
        .map_err(|error| Error::Malformed(error.to_string()))
    }

    /// A call that changes something; `Ok` means done, or accepted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change(&self, call: &Call) -> Result<(), Error> {
        self.send(call).await.map(drop)
    }

    /// POSTs JSON to one of our own endpoints; the body of the answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<bytes::Bytes, Error> {
        let request = http::Call {
            address: &self.master,
            path,
            body: Some(body.to_string().into()),
            headers: &[("content-type", "application/json")],
        };
        http::read(self.client.send(request).await?).await
    }

    async fn send(&self, call: &Call) -> Result<bytes::Bytes, Error> {
        let body = json::encode(call).map_err(|error| Error::Malformed(error.to_string()))?;
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        let request = http::Call {
            address: &self.master,
            path: "/api/v1",
            body: Some(body.into()),
            headers: &headers,
        };
        http::read(self.client.send(request).await?).await
    }

    /// An older JSON endpoint, such as `/state`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn json(&self, path: &str) -> Result<serde_json::Value, Error> {
        let bytes = self.client.get(&self.master, path).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Malformed(error.to_string()))
    }
}
