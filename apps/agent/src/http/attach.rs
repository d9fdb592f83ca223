//! Clients at a container's standard streams: ATTACH_CONTAINER_OUTPUT, ATTACH_CONTAINER_INPUT and
//! LAUNCH_NESTED_CONTAINER_SESSION (Mesos: docs/operator-http-api.md). Owns what is between a connection and the socket
//! of the container's shim, where the streams are kept; a restart of the agent loses only the connections.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tepui_containers::{
    attach,
    switchboard::{Decoder, Greeting, Kind, MAX_FRAME_BYTES},
};
use tepui_http::Reply;
use tepui_messages::agent::{Answer, LaunchGuest, NodeState, SignalContainer};
use tepui_protocol::{
    codec::{json, protobuf},
    recordio,
    signal::SIGKILL,
    v1::{
        ContainerId, DurationInfo,
        agent::{
            Call, ProcessIo,
            process_io::{self, Control, Data, control, data},
        },
    },
};
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::{Api, calls::dotted, executor::reply, negotiation::Form};

/// Mesos' `--http_heartbeat_interval`.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// Where the shims' sockets are.
#[derive(Debug, Clone)]
pub(crate) struct Sockets(Arc<PathBuf>);

impl Sockets {
    /// `runtime_dir` holds one directory a container.
    pub(crate) fn new(runtime_dir: PathBuf) -> Self {
        Self(Arc::new(runtime_dir))
    }

    /// Connects to one container, of which the node knows.
    pub(super) async fn connect(
        &self,
        container_id: &str,
        greeting: Greeting,
    ) -> Result<UnixStream, Reply> {
        let connected = attach::connect(&self.0.join(container_id), greeting).await;
        let connected = connected.map_err(|error| {
            tracing::warn!(
                container_id,
                "nobody can attach: {}",
                crate::runtime::told(&error)
            );
            Reply::text(500, error.to_string())
        })?;
        connected.ok_or_else(|| {
            Reply::text(
                500,
                "I/O switchboard server was disabled for this container",
            )
        })
    }
}

/// The refusal of a container that is not under an executor.
pub(super) fn check_known(id: &ContainerId, node: &NodeState) -> Result<(), Reply> {
    let mut root = id;
    while let Some(parent) = &root.parent {
        root = parent;
    }
    let mut executors = node.frameworks.iter().flat_map(|it| &it.executors);
    if executors.any(|executor| executor.container_id == *root) {
        return Ok(());
    }
    let text = format!("Container {} cannot be found", dotted(id));
    Err(Reply::text(404, text))
}

/// What a container says from now on.
pub(super) async fn output(
    api: &Api,
    call: Call,
    node: &NodeState,
    form: Form,
) -> Result<Reply, Reply> {
    let id = call
        .attach_container_output
        .unwrap_or_default()
        .container_id;
    check_known(&id, node)?;
    let connected = api.sockets.connect(&dotted(&id), Greeting::Output).await?;
    Ok(form.stream(records(connected, form, None)))
}

/// Launches a container for this client alone, and tells what it says from its beginning.
pub(super) async fn session(api: &Api, call: Call, form: Form) -> Result<Reply, Reply> {
    let asked = call.launch_nested_container_session.unwrap_or_default();
    let container_id = dotted(&asked.container_id);
    let message = LaunchGuest {
        container_id: container_id.clone(),
        command: asked.command,
        container: asked.container,
        resources: Vec::new(),
        limits: BTreeMap::new(),
        is_session: true,
    };
    let answer = api.ask(message).await?;
    if answer != Answer::OK {
        return Ok(reply(answer));
    }
    // Made first: whatever happens from here on, it does not outlive its client.
    let end = SessionEnd {
        api: api.clone(),
        container_id,
    };
    let connected = api.sockets.connect(&end.container_id, Greeting::Session);
    let connected = connected.await?;
    Ok(form.stream(records(connected, form, Some(end))))
}

/// Kills a session's container when it is dropped with the response. The shim does the same when its connection ends,
/// even without the agent.
struct SessionEnd {
    api: Api,
    container_id: String,
}

impl Drop for SessionEnd {
    fn drop(&mut self) {
        let message = SignalContainer {
            container_id: std::mem::take(&mut self.container_id),
            signal: SIGKILL,
        };
        let killed = self.api.node.ask(message);
        actix_web::rt::spawn(async move {
            // One that has ended is no error.
            if let Err(error) = killed.await {
                tracing::warn!(%error, "the node does not know that a session has lost its client");
            }
        });
    }
}

struct Feed {
    stream: UnixStream,
    decoder: Decoder,
    chunk: Vec<u8>,
    form: Form,
    heartbeat: Interval,
    _end: Option<SessionEnd>,
}

impl Feed {
    /// `None`: the container has ended, or cut a client that held it up.
    async fn next(&mut self) -> Result<Option<ProcessIo>, io::Error> {
        loop {
            let found = self.decoder.take().map_err(io::Error::other)?;
            if let Some((kind, bytes)) = found {
                match kind {
                    Kind::Stdout => return Ok(Some(said(data::Type::Stdout, bytes))),
                    Kind::Stderr => return Ok(Some(said(data::Type::Stderr, bytes))),
                    _ => continue,
                }
            }
            tokio::select! {
                biased;
                length = self.stream.read(&mut self.chunk) => match length? {
                    0 => return Ok(None),
                    length => self.decoder.feed(&self.chunk[..length]),
                },
                _ = self.heartbeat.tick() => return Ok(Some(heartbeat())),
            }
        }
    }
}

/// RecordIO, with heartbeats in between. Nothing is read ahead of the client: what it does not take waits in the shim.
fn records(
    stream: UnixStream,
    form: Form,
    end: Option<SessionEnd>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + 'static {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        stream,
        decoder: Decoder::default(),
        chunk: vec![0; MAX_FRAME_BYTES],
        form,
        heartbeat,
        _end: end,
    };
    stream::try_unfold(feed, |mut feed| async move {
        let Some(message) = feed.next().await? else {
            return Ok(None);
        };
        let record = match feed.form.message {
            tepui_http::MediaType::Json => json::encode(&message).map_err(io::Error::other)?,
            tepui_http::MediaType::Protobuf => protobuf::encode(&message),
        };
        Ok(Some((recordio::encode(&record), feed)))
    })
}

fn said(stream: data::Type, bytes: Vec<u8>) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data as i32),
        data: Some(Data {
            r#type: Some(stream as i32),
            data: Some(bytes.into()),
        }),
        control: None,
    }
}

fn heartbeat() -> ProcessIo {
    let nanoseconds = i64::try_from(HEARTBEAT_INTERVAL.as_nanos()).unwrap_or(i64::MAX);
    ProcessIo {
        r#type: Some(process_io::Type::Control as i32),
        data: None,
        control: Some(Control {
            r#type: Some(control::Type::Heartbeat as i32),
            tty_info: None,
            heartbeat: Some(control::Heartbeat {
                interval: Some(DurationInfo { nanoseconds }),
            }),
        }),
    }
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
