//! HTTP over a socket in the file system: a connection a call, which ends with its answer.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// `path` is the socket's; the URI of the request has a path only.
pub(crate) async fn send(
    path: &str,
    request: Request<Full<Bytes>>,
) -> io::Result<Response<Incoming>> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends when the answer was read, or its reader is gone.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    answer.map_err(io::Error::other)
}
