//! An executor: subscribes at its agent, is told what to run, reports (Mesos: `POST /api/v1/executor`).

use std::env;

use tepui_protocol::{
    codec::json,
    v1::{
        ExecutorId, FrameworkId, TaskId, TaskState, TaskStatus,
        executor::{Call, Event, call, call::Type},
        task_status::Source,
    },
};

use crate::{Client, Credential, Error, Events, http};

const PATH: &str = "/api/v1/executor";
const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
const JSON: &str = "application/json";

/// An executor that an agent started.
#[derive(Debug, Clone)]
pub struct Executor {
    client: Client,
    agent: String,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
}

impl Executor {
    /// From the environment an agent gives (`MESOS_AGENT_ENDPOINT`, or `MESOS_DOMAIN_SOCKET` where there is one,
    /// `MESOS_FRAMEWORK_ID`, `MESOS_EXECUTOR_ID`; `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`, where there is one, goes with
    /// each call, in place of a credential of the client's).
    ///
    /// # Errors
    /// [`Error::Malformed`] names the variable that is not there, or means nothing.
    pub fn from_environment(client: Client) -> Result<Executor, Error> {
        Self::from_variables(client, |name| env::var(name).ok())
    }

    fn from_variables(
        client: Client,
        find: impl Fn(&str) -> Option<String>,
    ) -> Result<Executor, Error> {
        let variable = |name: &str| {
            find(name).ok_or_else(|| {
                Error::Malformed(format!(
                    "{name} is not set: executors are started by an agent"
                ))
            })
        };
        let token = find(TOKEN).map(|token| Credential::of_token(&token));
        let client = match token {
            None => client,
            Some(Some(token)) => client.with_credential(Some(token)),
            Some(None) => return Err(Error::Malformed(format!("{TOKEN} is not a token"))),
        };
        Ok(Executor {
            client,
            agent: match find("MESOS_DOMAIN_SOCKET") {
                Some(path) => path,
                None => variable("MESOS_AGENT_ENDPOINT")?,
            },
            framework_id: FrameworkId {
                value: variable("MESOS_FRAMEWORK_ID")?,
            },
            executor_id: ExecutorId {
                value: variable("MESOS_EXECUTOR_ID")?,
            },
        })
    }

    /// # Errors
    /// See [`Error`].
    pub async fn subscribe(&self) -> Result<Events<Event>, Error> {
        let call = Call {
            subscribe: Some(call::Subscribe::default()),
            ..self.envelope(Type::Subscribe)
        };
        self.send(&call).await.map(Events::new)
    }

    /// Reports a task's state; `uuid` (16 random bytes, version 4) comes back in ACKNOWLEDGED.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update(
        &self,
        task_id: TaskId,
        state: TaskState,
        message: Option<String>,
        uuid: [u8; 16],
    ) -> Result<(), Error> {
        let status = TaskStatus {
            task_id,
            state: state as i32,
            message,
            source: Some(Source::Executor as i32),
            executor_id: Some(self.executor_id.clone()),
            uuid: Some(uuid.to_vec().into()),
            ..Default::default()
        };
        let call = Call {
            update: Some(call::Update { status }),
            ..self.envelope(Type::Update)
        };
        http::read(self.send(&call).await?).await.map(drop)
    }

    fn envelope(&self, kind: Type) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: Some(kind as i32),
            ..Default::default()
        }
    }

    async fn send(&self, call: &Call) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
        let body = json::encode(call).map_err(|error| Error::Malformed(error.to_string()))?;
        let headers = [("content-type", JSON), ("accept", JSON)];
        let request = http::Call {
            address: &self.agent,
            path: PATH,
            body: Some(body.into()),
            headers: &headers,
        };
        self.client.send(request).await
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
