//! Which type a body is and which one the client wants.

use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use serde::{Serialize, de::DeserializeOwned};
use tepui_protocol::{
    codec::{Limits, json, protobuf},
    descriptor::Described,
};

use crate::reply::Reply;

/// The two encodings of the v1 APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Protobuf,
}

impl MediaType {
    /// As in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::Protobuf => "application/x-protobuf",
        }
    }

    /// The type of the request's body, to the letter: no parameters, no other case (Mesos: `master/http.cpp`,
    /// `Http::api`).
    ///
    /// # Errors
    /// The 400 or 415 to answer.
    pub fn of_request(headers: &HeaderMap) -> Result<Self, Reply> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Err(Reply::bad_request("Expecting 'Content-Type' to be present"));
        };
        match value.as_bytes() {
            b"application/json" => Ok(MediaType::Json),
            b"application/x-protobuf" => Ok(MediaType::Protobuf),
            _ => Err(Reply::text(
                415,
                "Expecting 'Content-Type' of application/json or application/x-protobuf",
            )),
        }
    }

    /// What the answer is written in: JSON wherever `Accept` admits it.
    ///
    /// # Errors
    /// The 406 to answer.
    pub fn of_answer(headers: &HeaderMap) -> Result<Self, Reply> {
        [MediaType::Json, MediaType::Protobuf]
            .into_iter()
            .find(|media| accepts(headers, media.as_str()))
            .ok_or_else(|| {
                Reply::text(
                    406,
                    "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
                )
            })
    }

    /// Decodes a call.
    ///
    /// # Errors
    /// The 400 to answer, in Mesos' words.
    pub fn decode<T>(self, body: &[u8]) -> Result<T, Reply>
    where
        T: DeserializeOwned + Described + prost::Message + Default,
    {
        match self {
            MediaType::Json => json::decode(body, &Limits::HTTP)
                .map_err(|error| Reply::bad_request(error.to_string())),
            MediaType::Protobuf => protobuf::decode(body, &Limits::HTTP).map_err(|error| {
                tracing::debug!(%error, "a protobuf body was refused");
                let name = T::descriptor().short_name();
                Reply::bad_request(format!("Failed to parse body into {name} protobuf"))
            }),
        }
    }

    /// A 200 with `message`.
    pub fn reply<T: Serialize + prost::Message>(self, message: &T) -> Reply {
        match self {
            MediaType::Json => match json::encode(message) {
                Ok(body) => Reply::ok(self.as_str(), body),
                Err(error) => Reply::text(500, format!("Failed to write the answer: {error}")),
            },
            MediaType::Protobuf => Reply::ok(self.as_str(), protobuf::encode(message)),
        }
    }
}

/// Whether `Accept` admits `kind`. The most specific range decides; only `q=0` excludes.
pub fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    allows(headers, &ACCEPT, kind)
}

/// As [`accepts`], by another header of the same form.
pub fn allows(headers: &HeaderMap, header: &HeaderName, kind: &str) -> bool {
    let family = kind.split('/').next().unwrap_or_default();
    let of_family = format!("{family}/*");
    admits(headers, header, &[kind, &of_family, "*/*"]).unwrap_or(true)
}

/// Whether `Accept-Encoding` asks for gzip; without the header nobody does.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    admits(headers, &ACCEPT_ENCODING, &["gzip", "*"]).unwrap_or(false)
}

/// Looks for the first of `names` in a list with weights; `None` if there is no such header. The last one counts, see
/// [`crate::Incoming`].
fn admits(headers: &HeaderMap, header: &HeaderName, names: &[&str]) -> Option<bool> {
    let line = headers.get_all(header).last()?;
    let line = line.to_str().unwrap_or_default();
    let items: Vec<(&str, bool)> = line.split(',').map(weighted).collect();
    let found = names.iter().find_map(|name| {
        items
            .iter()
            .find(|(item, _)| item.eq_ignore_ascii_case(name))
    });
    Some(found.is_some_and(|(_, wanted)| *wanted))
}

/// `text/html;q=0.5`: the name, and whether its weight is above 0.
fn weighted(item: &str) -> (&str, bool) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let excluded = weight.is_some_and(|weight| weight.parse::<f64>().is_ok_and(|q| q <= 0.0));
    (name, !excluded)
}
