//! Owns commands beside a container's own that a client looks around with: their making, their streams, their end.

use super::api::{self, Engine};
use super::board::{self, Pipes};
use super::error::EngineError;
use super::exec::Exec;
use super::parts::Parts;
use super::{Done, SHORT, done};
use crate::switchboard::{Terminal, WindowSize};
use http::{Method, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::future::Future;
use tokio::net::UnixListener;

pub use super::board::SessionEnd;

/// A command to be begun.
#[derive(Clone, Debug)]
pub struct SessionOrder<'a> {
    pub words: &'a [String],
    /// As `NAME=value`.
    pub env: &'a [String],
    /// Where it is not the container's.
    pub user: Option<&'a str>,
    /// The streams are one terminal; else three pipes.
    pub terminal: Option<Terminal>,
}

/// A command that was begun, whose streams nobody has taken yet.
#[derive(Debug)]
pub struct Session {
    terminal: Option<ExecTerminal>,
    engine: Engine,
    id: String,
    stream: TokioIo<Upgraded>,
}

/// The terminal of a command.
#[derive(Clone, Debug)]
pub(super) struct ExecTerminal {
    engine: Engine,
    id: String,
}

impl ExecTerminal {
    /// Errors: the command has ended, or the engine is not there.
    pub(super) async fn resize(&self, size: WindowSize) -> Result<Done, EngineError> {
        let (id, WindowSize { rows, columns }) = (&self.id, size);
        let path = format!("/exec/{id}/resize?h={rows}&w={columns}");
        done(self.engine.call(Method::POST, &path, None, SHORT).await)
    }
}

impl Engine {
    /// Makes a command in a container that runs, with streams for a client, and does not begin it: the engine's id.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn make_session(
        &self,
        name: &str,
        order: &SessionOrder<'_>,
    ) -> Result<String, EngineError> {
        let mut body = json!({
            "Cmd": order.words, "Env": order.env, "Tty": order.terminal.is_some(),
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
        });
        if let Some(user) = order.user {
            body["User"] = user.into();
        }
        self.make_exec(name, &body).await
    }

    /// Begins a command that was made. `terminal`: as it was ordered.
    ///
    /// # Errors
    /// The container does not run, or has no such program; the engine gives no connection for the streams.
    pub async fn begin_session(
        &self,
        id: String,
        terminal: Option<Terminal>,
    ) -> Result<Session, EngineError> {
        let is_terminal = terminal.is_some();
        let start = json!({"Detach": false, "Tty": is_terminal});
        let path = format!("/exec/{id}/start");
        let upgrade = vec![
            (header::CONNECTION, "Upgrade".to_owned()),
            (header::UPGRADE, "tcp".to_owned()),
        ];
        let answer = self.open_with(Method::POST, &path, Some(&start), upgrade);
        let answer = answer.await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let body = api::body(answer).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(EngineError::Broken(format!(
                "no streams of a command: {text}"
            )));
        }
        let stream = hyper::upgrade::on(answer).await;
        let stream = stream.map_err(|error| EngineError::Broken(error.to_string()))?;
        let resized = is_terminal.then(|| ExecTerminal {
            engine: self.clone(),
            id: id.clone(),
        });
        if let (Some(resized), Some(size)) = (&resized, terminal.and_then(|it| it.size)) {
            // One that has ended already needs no size.
            let _ = resized.resize(size).await;
        }
        Ok(Session {
            terminal: resized,
            engine: self.clone(),
            id,
            stream: TokioIo::new(stream),
        })
    }
}

impl Session {
    /// The engine's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Serves its streams to clients that come to `listener`, as the shim of a container does, until it has said all it
    /// had to say, or `over` resolves, or the client it was begun for does not come, or goes. With it comes how to ask
    /// for its exit status.
    pub async fn serve(
        self,
        listener: UnixListener,
        over: impl Future<Output = ()>,
    ) -> (SessionEnd, Exec) {
        let (output, input) = tokio::io::split(self.stream);
        let parts = Parts::new(self.terminal.is_some());
        let pipes = Pipes {
            output,
            input,
            parts,
            terminal: self.terminal,
        };
        let end = board::serve(listener, pipes, over).await;
        (end, Exec::ended(self.engine, self.id))
    }
}
