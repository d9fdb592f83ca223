//! Connections on which writes are made one after another, with as little of a client as each protocol allows: what the load
//! generator spends is taken from the servers on the same machine.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{System, etcd, etcd::PutRequest, tepui, zookeeper};

/// Most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// What a length-prefixed message of gRPC begins with: not compressed, and the length.
const GRPC_PREFIX_BYTES: usize = 5;

/// One client.
pub(crate) enum Client {
    Tepui(Http),
    EtcdJson(Http),
    Etcd(Grpc),
    Zookeeper(zookeeper::Session),
}

impl Client {
    pub(crate) async fn connect(system: System, address: &str) -> anyhow::Result<Client> {
        Ok(match system {
            System::Tepui => Client::Tepui(Http::connect(address).await?),
            System::EtcdJson => Client::EtcdJson(Http::connect(address).await?),
            System::Etcd => Client::Etcd(Grpc::connect(address).await?),
            System::Zookeeper => Client::Zookeeper(zookeeper::Session::open(address).await?),
        })
    }

    /// Another client on the same connection, where the protocol has such.
    pub(crate) fn beside(&self) -> Option<Client> {
        match self {
            Client::Etcd(grpc) => Some(Client::Etcd(grpc.clone())),
            _ => None,
        }
    }

    /// Writes, and returns when it is acknowledged.
    pub(crate) async fn write(&mut self, key: usize, value: u64) -> anyhow::Result<()> {
        match self {
            Client::Tepui(http) => {
                let request = tepui::put_request(&http.address, key, value);
                http.exchange(&request).await
            }
            Client::EtcdJson(http) => {
                let request = etcd::put_request(&http.address, key, value);
                http.exchange(&request).await
            }
            Client::Etcd(grpc) => grpc.put(key, value).await,
            Client::Zookeeper(session) => session.set(key, value).await,
        }
    }
}

/// A POST of JSON on a connection that is kept.
pub(super) fn post(address: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// HTTP/1.1, kept alive.
pub(crate) struct Http {
    address: String,
    stream: TcpStream,
    buffer: BytesMut,
}

impl Http {
    async fn connect(address: &str) -> anyhow::Result<Http> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Http {
            address: address.to_owned(),
            stream,
            buffer: BytesMut::new(),
        })
    }

    /// Sends a request and takes its answer, which must be a 200 with a length.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(answer) = head(&self.buffer)? {
                let whole = answer.head_bytes + answer.body_bytes;
                if self.buffer.len() >= whole {
                    let text = self.buffer.split_to(whole);
                    let body = String::from_utf8_lossy(&text[answer.head_bytes..]);
                    ensure!(answer.status == 200, "{}: {body}", answer.status);
                    return Ok(());
                }
            }
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "{} closed the connection", self.address);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
}

/// The head of an answer, once it is whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        ensure!(
            bytes.len() < MAX_HEAD_BYTES,
            "an answer's head without an end"
        );
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("an answer's head")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers: BTreeMap<String, &str> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let length = headers
        .get("content-length")
        .context("an answer without a length")?;
    Ok(Some(Head {
        status: status.context("an answer without a status")?.parse()?,
        head_bytes: end + 4,
        body_bytes: length.parse()?,
    }))
}

/// Unary calls of gRPC over HTTP/2; clones share the connection.
#[derive(Clone)]
pub(crate) struct Grpc {
    address: String,
    send: SendRequest<Bytes>,
}

impl Grpc {
    async fn connect(address: &str) -> anyhow::Result<Grpc> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = h2::client::handshake(stream).await?;
        // Ends with the connection; whoever waits on it hears of that.
        tokio::spawn(connection);
        Ok(Grpc {
            address: address.to_owned(),
            send,
        })
    }

    async fn put(&mut self, key: usize, value: u64) -> anyhow::Result<()> {
        let put = PutRequest::new(key, value);
        let mut body = BytesMut::with_capacity(GRPC_PREFIX_BYTES + put.encoded_len());
        body.put_u8(0);
        body.put_u32(u32::try_from(put.encoded_len())?);
        put.encode(&mut body)?;
        let request = http::Request::post(format!("http://{}/etcdserverpb.KV/Put", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut send = self.send.clone().ready().await?;
        let (answer, mut stream) = send.send_request(request, false)?;
        stream.send_data(body.freeze(), true)?;
        let answer = answer.await?;
        let status_of = |headers: &http::HeaderMap| {
            let status = headers.get("grpc-status")?.to_str().ok()?;
            Some(status.to_owned())
        };
        // A call that fails at once has no trailers of its own.
        let early = status_of(answer.headers());
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            let taken = data?.len();
            body.flow_control().release_capacity(taken)?;
        }
        let trailers = body.trailers().await?;
        let status = early.or_else(|| trailers.as_ref().and_then(status_of));
        let status = status.context("a call of gRPC ended without a status")?;
        ensure!(status == "0", "gRPC status {status}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_read_once_it_is_whole() {
        let answer =
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: x\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(head(&answer[..40]).unwrap(), None);
        let whole = Head {
            status: 307,
            head_bytes: answer.len() - 3,
            body_bytes: 3,
        };
        assert_eq!(head(answer).unwrap(), Some(whole));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_write_of_ours_is_as_large_as_the_others() {
        let role = tepui::role(7);
        assert_eq!(role.len() + 8, super::super::PAYLOAD_BYTES);
        assert_eq!(
            PutRequest::new(7, 1).value.len(),
            super::super::PAYLOAD_BYTES
        );
    }
}
