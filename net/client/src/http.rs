//! One HTTP client for all of Tepui: bounded in time and size, follows a master's 307 to its leader.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{
        Client as Pool,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    Credential,
    tls::{Roots, Secure},
    unix,
};

/// Bytes of one answer that is read whole.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// From sending a request to its answer's head, and from one part of its body to the next.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A redirect to the leader, and one more where it changed meanwhile.
const MAX_REDIRECTS: usize = 3;

/// Why a call had no effect that is known of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("{address} did not answer within {}s", ANSWER_TIMEOUT.as_secs())]
    Timeout { address: String },
    /// The other side's status and text.
    #[error("{status}: {text}")]
    Refused { status: u16, text: String },
    #[error("the answer is not what was asked for: {0}")]
    Malformed(String),
    #[error("no master leads at the moment ({0})")]
    NoLeader(String),
}

/// What a client may be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// For TCP; the addresses of one name share it.
    pub connect_timeout: Duration,
    pub roots: Roots,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            roots: Roots::System,
        }
    }
}

/// A cheap handle to the connection pools.
#[derive(Debug, Clone)]
pub struct Client {
    plain: Pool<HttpConnector, Full<Bytes>>,
    secure: Arc<Secure>,
    /// For masters and agents; files of others are fetched without it.
    credential: Option<Credential>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

/// Connections that idle are closed in time, not only when the server closes them.
pub(crate) fn pool<C: Connect + Clone>(connector: C) -> Pool<C, Full<Bytes>> {
    Pool::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// One request; `address` is `host:port`, or the path of a socket.
pub(crate) struct Call<'a> {
    pub(crate) address: &'a str,
    pub(crate) path: &'a str,
    /// POSTed where there is one, else the request is a GET.
    pub(crate) body: Option<Bytes>,
    pub(crate) headers: &'a [(&'static str, &'a str)],
}

impl Client {
    /// Opens nothing and reads nothing yet.
    pub fn new(options: Options) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        Client {
            plain: pool(connector.clone()),
            secure: Arc::new(Secure::new(options.roots, connector)),
            credential: None,
        }
    }

    /// The same pools for somebody who proves who they are; `None` is nobody.
    #[must_use]
    pub fn with_credential(self, credential: Option<Credential>) -> Self {
        Client { credential, ..self }
    }

    pub(crate) fn plain(&self) -> &Pool<HttpConnector, Full<Bytes>> {
        &self.plain
    }

    pub(crate) fn secure(&self) -> &Secure {
        &self.secure
    }

    /// Sends and waits for the head of the answer; follows redirects; anything but 2xx is an error.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>, Error> {
        let mut address = call.address.to_string();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send_once(&address, &call).await?;
            if response.status() == StatusCode::TEMPORARY_REDIRECT {
                address = redirect_target(&response)?;
                continue;
            }
            if response.status().is_success() {
                return Ok(response);
            }
            let status = response.status().as_u16();
            let text = String::from_utf8_lossy(&read(response).await?).into_owned();
            return Err(Error::Refused { status, text });
        }
        Err(Error::NoLeader(address))
    }

    async fn send_once(&self, address: &str, call: &Call<'_>) -> Result<Response<Incoming>, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            address: address.to_string(),
            reason,
        };
        let method = if call.body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method);
        let is_socket = address.starts_with('/');
        request = match is_socket {
            true => request.uri(call.path).header(header::HOST, "localhost"),
            false => request.uri(format!("http://{address}{}", call.path)),
        };
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        if let Some(credential) = &self.credential {
            request = request.header(header::AUTHORIZATION, credential.header());
        }
        let request = request
            .body(Full::new(call.body.clone().unwrap_or_default()))
            .map_err(|error| unreachable(format!("'{address}' is no address: {error}")))?;
        let sent = async {
            match is_socket {
                true => unix::send(address, request)
                    .await
                    .map_err(|error| root_cause(&error)),
                false => {
                    let sent = self.plain.request(request).await;
                    sent.map_err(|error| root_cause(&error))
                }
            }
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, sent).await;
        let answer = answer.map_err(|_| Error::Timeout {
            address: address.to_string(),
        })?;
        answer.map_err(unreachable)
    }

    /// GETs a path and reads the whole answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, address: &str, path: &str) -> Result<Bytes, Error> {
        read(
            self.send(Call {
                address,
                path,
                body: None,
                headers: &[],
            })
            .await?,
        )
        .await
    }
}

/// The innermost of a chain of errors says what happened (`Connection refused`).
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if cause.is::<tokio::time::error::Elapsed>() {
        return "no connection was made in time".to_owned();
    }
    cause.to_string()
}

/// The whole of an answer, which may take long and must not stop.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Bytes, Error> {
    read_all(response.into_body()).await
}

async fn read_all<B>(body: B) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut body = Limited::new(body, MAX_ANSWER_BYTES);
    let mut read = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(ANSWER_TIMEOUT, body.frame()).await;
        let frame = frame.map_err(|_| {
            Error::Malformed(format!(
                "nothing more of it came for {} s",
                ANSWER_TIMEOUT.as_secs()
            ))
        })?;
        match frame {
            None => return Ok(read.freeze()),
            Some(Err(error)) => return Err(Error::Malformed(error.to_string())),
            Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    }
}

/// `//host:port/path` as Mesos writes it, or a whole URL.
fn redirect_target<B>(response: &Response<B>) -> Result<String, Error> {
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or_else(|| Error::Malformed("a redirect without a Location".to_string()))?;
    let place = location
        .strip_prefix("http://")
        .or_else(|| location.strip_prefix("//"));
    let address = place.and_then(|place| place.split('/').next());
    let address = address.filter(|address| !address.is_empty());
    address.map(str::to_owned).ok_or_else(|| {
        Error::Malformed(format!(
            "a redirect to '{location}'; expected http://HOST:PORT/…"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_its_middle_is_an_error_and_a_slow_one_is_not() {
        let part = |_| async {
            tokio::time::sleep(ANSWER_TIMEOUT - Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"part ")))
        };
        let parts = || Box::pin(stream::iter(0..3).then(part));
        let read = read_all(StreamBody::new(parts())).await;
        assert_eq!(read.unwrap(), "part part part ");
        let stopped = StreamBody::new(parts().chain(stream::pending()));
        let read = read_all(stopped).await;
        let text = read.unwrap_err().to_string();
        assert!(text.ends_with("nothing more of it came for 30 s"), "{text}");
    }

    #[test]
    fn a_redirect_names_an_address() {
        let target = |location: &str| {
            let response = Response::builder().header(header::LOCATION, location);
            redirect_target(&response.body(()).unwrap())
        };
        for location in ["//m2:5050/api/v1", "http://m2:5050", "http://m2:5050/"] {
            assert_eq!(target(location).unwrap(), "m2:5050", "{location}");
        }
        for location in ["/api/v1", "https://m2:5050/api/v1", "http://", ""] {
            assert!(target(location).is_err(), "{location}");
        }
    }
}
