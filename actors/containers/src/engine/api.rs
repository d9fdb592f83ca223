//! Owns the connection: one a call, HTTP/1.1 over the engine's socket, bounded in size and time.

use super::error::EngineError;
use crate::images::access::Logins;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

/// A bound for answers: the description of a container takes some kilobytes, a list of thousands a few megabytes.
const MAX_BODY_BYTES: usize = 16 << 20;
/// Of an answer's status and headers, where nothing else bounds it.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An engine at its socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    logins: Logins,
    created: Instant,
    /// When a call got no answer, in milliseconds since the start; 0: none did.
    silent_ms: AtomicU64,
}

impl Engine {
    /// `logins` are for registries that it fetches images from.
    pub fn new(socket: PathBuf, logins: Logins) -> Self {
        Self(Arc::new(Inner {
            socket,
            logins,
            created: Instant::now(),
            silent_ms: AtomicU64::new(0),
        }))
    }

    pub fn socket(&self) -> &Path {
        &self.0.socket
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.0.logins
    }

    /// Whether a call got no answer a moment ago: what is not urgent need not be asked then.
    pub fn is_silent(&self, within: Duration) -> bool {
        let silent = self.0.silent_ms.load(Ordering::Relaxed);
        let now = self.0.created.elapsed();
        silent > 0 && now < Duration::from_millis(silent) + within
    }

    /// Whether it answers, and its version.
    ///
    /// # Errors
    /// It cannot be reached, or is silent.
    pub async fn version(&self) -> Result<String, EngineError> {
        let body = self.call(Method::GET, "/version", None, CONNECT_TIMEOUT);
        let value: Value = parse(&body.await?)?;
        Ok(value["Version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// One call with its whole answer, which must be of success.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        time: Duration,
    ) -> Result<Bytes, EngineError> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let answer = async {
            let answer = self.open(method, path, body).await?;
            self::body(answer).await
        };
        let answered = timeout(time, answer).await;
        answered.unwrap_or_else(|_| Err(self.silent(call, time)))
    }

    pub(super) fn silent(&self, call: String, time: Duration) -> EngineError {
        let now = self.0.created.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.0.silent_ms.store(now.max(1), Ordering::Relaxed);
        EngineError::Silent {
            socket: self.0.socket.clone(),
            call,
            seconds: time.as_secs(),
        }
    }

    /// One call; the answer's body is read by the caller. Who drops it drops the connection.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, EngineError> {
        self.open_with(method, path, body, Vec::new()).await
    }

    pub(super) async fn open_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: Vec<(HeaderName, String)>,
    ) -> Result<Response<Incoming>, EngineError> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let is_wait = path.contains("/wait?");
        let body = body.map(Value::to_string).unwrap_or_default();
        // Without a version: the engine's own newest, which never takes away what is used here.
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "engine");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| EngineError::Broken(error.to_string()))?;
        let sent = self.send(request);
        // Some engines answer a wait with their head only when it is over.
        let answer = match is_wait {
            true => sent.await?,
            false => match timeout(HEAD_TIMEOUT, sent).await {
                Ok(sent) => sent?,
                Err(_) => return Err(self.silent(call, HEAD_TIMEOUT)),
            },
        };
        if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.0.silent_ms.store(0, Ordering::Relaxed);
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let text = match timeout(CONNECT_TIMEOUT, read(answer)).await {
            Ok(text) => text.unwrap_or_default(),
            Err(_) => Bytes::new(),
        };
        Err(EngineError::Refused {
            status,
            message: message(status, &text),
        })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, EngineError> {
        let unreachable = |source| EngineError::Unreachable {
            socket: self.0.socket.clone(),
            source,
        };
        let connected = timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.0.socket)).await;
        let stream = match connected {
            Ok(stream) => stream.map_err(unreachable)?,
            Err(_) => return Err(self.silent("a connection".to_owned(), CONNECT_TIMEOUT)),
        };
        let broken = |error: hyper::Error| EngineError::Broken(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // It ends with the answer's body, or with who reads it.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(broken)
    }
}

/// The whole body of an answer.
pub(super) async fn body(answer: Response<Incoming>) -> Result<Bytes, EngineError> {
    read(answer).await.map_err(EngineError::Broken)
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, String> {
    let body = Limited::new(answer.into_body(), MAX_BODY_BYTES);
    let body = body.collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes())
}

pub(super) fn parse(body: &[u8]) -> Result<Value, EngineError> {
    serde_json::from_slice(body).map_err(|error| EngineError::Broken(error.to_string()))
}

/// An engine's own words: Docker's member `message`, or whatever it wrote.
fn message(status: u16, body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let own = value.as_ref().and_then(|it| it["message"].as_str());
    let text = own.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    let text: String = text.trim().chars().take(1000).collect();
    match text.is_empty() {
        true => format!("status {status}"),
        false => text,
    }
}
