//! An operator's calls to one agent: sessions, attached streams, files (Mesos: `POST /api/v1` of the agent).

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tepui_protocol::{
    codec::{Limits, json},
    recordio,
    v1::{
        CommandInfo, ContainerId, ContainerInfo,
        agent::{
            Call, ProcessIo, Response,
            call::{
                AttachContainerInput, AttachContainerOutput, LaunchNestedContainerSession, Type,
                attach_container_input,
            },
        },
    },
};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout};

use crate::{Client, Error, Events, http};

const PATH: &str = "/api/v1";
const JSON: &str = "application/json";
const RECORDIO: &str = "application/recordio";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Records of input that wait for the connection.
const WAITING_RECORDS: usize = 4;

/// One agent.
#[derive(Debug, Clone)]
pub struct Agent {
    client: Client,
    address: String,
}

impl Agent {
    /// `address` is `host:port`.
    pub fn new(client: Client, address: impl Into<String>) -> Self {
        Self {
            client,
            address: address.into(),
        }
    }

    /// A call with one answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask(&self, call: &Call) -> Result<Response, Error> {
        let response = self.send(call, &[("accept", JSON)]).await?;
        let body = http::read(response).await?;
        decode(&body)
    }

    /// A call that is done or refused.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn order(&self, call: &Call) -> Result<(), Error> {
        let response = self.send(call, &[("accept", JSON)]).await?;
        http::read(response).await.map(drop)
    }

    /// Launches a container within another one for this client: what it says, until it ends. It ends with the stream.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn launch_session(
        &self,
        container_id: ContainerId,
        command: CommandInfo,
        container: Option<ContainerInfo>,
    ) -> Result<Events<ProcessIo>, Error> {
        let call = Call {
            r#type: Some(Type::LaunchNestedContainerSession as i32),
            launch_nested_container_session: Some(LaunchNestedContainerSession {
                container_id,
                command: Some(command),
                container,
            }),
            ..Call::default()
        };
        self.stream(&call).await
    }

    /// What a container with a terminal says from now on.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn attach_output(
        &self,
        container_id: ContainerId,
    ) -> Result<Events<ProcessIo>, Error> {
        let call = Call {
            r#type: Some(Type::AttachContainerOutput as i32),
            attach_container_output: Some(AttachContainerOutput { container_id }),
            ..Call::default()
        };
        self.stream(&call).await
    }

    async fn stream(&self, call: &Call) -> Result<Events<ProcessIo>, Error> {
        let headers = [("accept", RECORDIO), ("message-accept", JSON)];
        Ok(Events::new(self.send(call, &headers).await?))
    }

    async fn send(
        &self,
        call: &Call,
        headers: &[(&'static str, &str)],
    ) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
        let body = encode(call)?;
        let mut all = vec![("content-type", JSON)];
        all.extend_from_slice(headers);
        let request = http::Call {
            address: &self.address,
            path: PATH,
            body: Some(body.into()),
            headers: &all,
        };
        self.client.send(request).await
    }

    /// Begins to write to a container's standard input.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; a refusal comes with [`Input::finish`].
    pub async fn attach_input(&self, container_id: ContainerId) -> Result<Input, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            address: self.address.clone(),
            reason,
        };
        // A connection of its own: it is busy until the input ends.
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await;
        let stream = connected
            .map_err(|_| unreachable("no connection was made in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(http::root_cause(&error)))?;
        tokio::spawn(connection);
        let (records, waiting) = mpsc::channel(WAITING_RECORDS);
        let request = Request::builder()
            .method("POST")
            .uri(PATH)
            .header("host", &self.address)
            .header("content-type", RECORDIO)
            .header("message-content-type", JSON)
            .header("accept", JSON)
            .body(Records(waiting))
            .map_err(|error| unreachable(error.to_string()))?;
        let address = self.address.clone();
        let answer = tokio::spawn(async move {
            let answered = sender.send_request(request).await;
            let response = answered.map_err(|error| Error::Unreachable {
                address,
                reason: http::root_cause(&error),
            })?;
            let status = response.status();
            let text = http::read(response).await?;
            if status.is_success() {
                return Ok(());
            }
            Err(Error::Refused {
                status: status.as_u16(),
                text: String::from_utf8_lossy(&text).into_owned(),
            })
        });
        let input = Input { records, answer };
        let first = AttachContainerInput {
            r#type: Some(attach_container_input::Type::ContainerId as i32),
            container_id: Some(container_id),
            process_io: None,
        };
        input.record(first).await?;
        Ok(input)
    }
}

/// The writing end of a container's standard input.
#[derive(Debug)]
pub struct Input {
    records: mpsc::Sender<Bytes>,
    answer: JoinHandle<Result<(), Error>>,
}

impl Input {
    /// Waits until the connection takes it. Whether the container did, [`Self::finish`] tells; once it has refused, what
    /// is sent is lost.
    ///
    /// # Errors
    /// [`Error::Malformed`]: it cannot be written as JSON.
    pub async fn send(&self, message: ProcessIo) -> Result<(), Error> {
        let record = AttachContainerInput {
            r#type: Some(attach_container_input::Type::ProcessIo as i32),
            container_id: None,
            process_io: Some(message),
        };
        self.record(record).await
    }

    async fn record(&self, attach: AttachContainerInput) -> Result<(), Error> {
        let call = Call {
            r#type: Some(Type::AttachContainerInput as i32),
            attach_container_input: Some(attach),
            ..Call::default()
        };
        // Nobody takes it any more: the answer is there, and says why.
        let _ = self.records.send(recordio::encode(&encode(&call)?)).await;
        Ok(())
    }

    /// Ends the input, and waits for the answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn finish(self) -> Result<(), Error> {
        drop(self.records);
        let answer = self.answer.await;
        answer.unwrap_or_else(|error| Err(Error::Malformed(error.to_string())))
    }
}

/// A body that goes on for as long as somebody sends.
struct Records(mpsc::Receiver<Bytes>);

impl Body for Records {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let record = self.0.poll_recv(context);
        record.map(|record| record.map(|record| Ok(Frame::data(record))))
    }
}

fn encode(call: &Call) -> Result<Vec<u8>, Error> {
    json::encode(call).map_err(|error| Error::Malformed(error.to_string()))
}

fn decode(body: &[u8]) -> Result<Response, Error> {
    let limits = Limits {
        bytes: body.len(),
        items: usize::MAX,
        memory: usize::MAX,
        ..Limits::HTTP
    };
    json::decode(body, &limits).map_err(|error| Error::Malformed(error.to_string()))
}
