//! One request, read: decoded path and query, and the body within its bounds.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use actix_web::{
    HttpRequest,
    http::header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING,
        UPGRADE,
    },
    web::Payload,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::{
    bodies::Room,
    gzip::{self, Bomb},
    percent::{self, Malformed},
    reply::Reply,
};

/// Bytes of a request's body, before and after decompression.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Until the whole body must have arrived.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Before the paths of endpoints that Mesos does not have. Their values may be lists of resources, `cpus:4;mem:512`.
const OWN: &str = "/tepui/";

/// What a handler sees of a request.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub method: String,
    /// Decoded, with its leading slash.
    pub path: String,
    /// Path and query as they were sent, for redirects.
    pub target: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Who asks, once the realm of the path let them in and has names.
    pub principal: Option<String>,
    /// Where they ask from; `None` on a socket in the file system.
    pub peer: Option<SocketAddr>,
}

impl Incoming {
    /// Everything but the body.
    ///
    /// # Errors
    /// [`Malformed`] path or query.
    pub fn head(request: &HttpRequest) -> Result<Self, Malformed> {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        let target = uri
            .path_and_query()
            .map_or_else(|| "/".to_string(), ToString::to_string);
        let path = percent::decode(uri.path(), false)?;
        let query = if path.starts_with(OWN) {
            percent::own_parameters(query)?
        } else {
            percent::parameters(query)?
        };
        Ok(Self {
            method: request.method().to_string(),
            path,
            target,
            query,
            headers: last_lines(request.headers()),
            body: Bytes::new(),
            principal: None,
            peer: request.peer_addr(),
        })
    }

    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A header as text; unreadable bytes count as absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as the parameters of a form.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn form(&self) -> Result<BTreeMap<String, String>, Malformed> {
        percent::parameters(std::str::from_utf8(&self.body).map_err(|_| Malformed)?)
    }

    /// Refuses every method but `allowed`.
    ///
    /// # Errors
    /// The 405 to answer.
    pub fn expect_method(&self, allowed: &[&str]) -> Result<(), Reply> {
        if allowed.contains(&self.method.as_str()) {
            return Ok(());
        }
        Err(Reply::method_not_allowed(allowed, &self.method))
    }
}

/// Reads the body: at most [`MAX_BODY_BYTES`] within [`BODY_TIMEOUT`], gzip taken off.
///
/// # Errors
/// The 400, 408, 413 or 503 to answer.
pub async fn read_body(headers: &HeaderMap, payload: Payload) -> Result<Bytes, Reply> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    let limit = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX);
    if announced.is_some_and(|size| size > limit) {
        return Err(too_large());
    }
    // Of a request that asks for another protocol actix gives all that comes, without an end.
    let is_endless = headers.contains_key(UPGRADE) && !headers.contains_key(TRANSFER_ENCODING);
    let most = is_endless.then(|| usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX));
    let most = most.unwrap_or(usize::MAX);
    let mut room = Room::new();
    let body = tokio::time::timeout(BODY_TIMEOUT, collect(payload, most, &mut room))
        .await
        .map_err(|_| {
            Reply::text(
                408,
                format!(
                    "The request's body did not arrive within {} seconds",
                    BODY_TIMEOUT.as_secs()
                ),
            )
        })??;
    let gzipped = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !gzipped {
        return Ok(room.hold(body));
    }
    let body = gzip::decompress(&body, MAX_BODY_BYTES).map_err(|bomb| match bomb {
        Bomb::TooLarge => too_large(),
        Bomb::Malformed => Reply::bad_request("Failed to decompress the request's body: not gzip"),
    })?;
    room.grow(body.len())?;
    Ok(room.hold(body))
}

/// Reads to the end, or until there are `most` bytes.
async fn collect(mut payload: Payload, most: usize, room: &mut Room) -> Result<Bytes, Reply> {
    let mut body = BytesMut::new();
    while body.len() < most {
        let Some(part) = payload.next().await else {
            break;
        };
        let part = part.map_err(|error| {
            Reply::bad_request(format!("Failed to read the request's body: {error}"))
        })?;
        if body.len() + part.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        room.grow(body.len() + part.len())?;
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

fn too_large() -> Reply {
    Reply::text(
        413,
        format!("The request's body exceeds the limit of {MAX_BODY_BYTES} bytes"),
    )
}

/// Of a header that is given on several lines the last one counts, as with libprocess (`decoder.hpp`): Go's client of Mesos
/// relies on it. But two names, or two hosts, are never taken for one.
fn last_lines(headers: &HeaderMap) -> HeaderMap {
    let mut last = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if matches!(*name, AUTHORIZATION | HOST) {
            last.append(name.clone(), value.clone());
        } else {
            last.insert(name.clone(), value.clone());
        }
    }
    last
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
