//! One answer, before actix makes it bytes. Owns Mesos' habits of status, type and text.

use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::{
        StatusCode,
        header::{
            ALLOW, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
            HeaderValue, LOCATION,
        },
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::LocalBoxStream};

use crate::{gzip, media};

/// Bodies from this size on are compressed for those who ask.
const GZIP_FROM_BYTES: usize = 1024;

type Failure = Box<dyn std::error::Error>;

/// Status, headers and body.
pub struct Reply {
    status: StatusCode,
    content_type: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
}

enum Body {
    Whole(Bytes),
    /// Chunked, or of a size known before. Never compressed.
    Stream(Option<u64>, LocalBoxStream<'static, Result<Bytes, Failure>>),
}

impl Reply {
    /// No body, and so no Content-Type.
    pub fn empty(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            content_type: None,
            headers: Vec::new(),
            body: Body::Whole(Bytes::new()),
        }
    }

    /// Plain text, as all refusals are; typed even where the text is empty.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            content_type: Some("text/plain; charset=utf-8"),
            body: Body::Whole(Bytes::from(text.into())),
            ..Self::empty(status)
        }
    }

    /// A 400.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::text(400, text)
    }

    /// A refusal without a text of its own: `404 Not Found.`
    pub fn bare(status: u16) -> Self {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reason = code.canonical_reason().unwrap_or_default();
        Self::text(status, format!("{status} {reason}."))
    }

    /// A 200 with a body.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(content_type),
            body: Body::Whole(body.into()),
            ..Self::empty(200)
        }
    }

    /// A 200 with JSON, wrapped in a call where the query names one (`?jsonp=cb`).
    pub fn json(body: impl Into<Bytes>, jsonp: Option<&str>) -> Self {
        let body = body.into();
        let Some(callback) = jsonp.filter(|callback| !callback.is_empty()) else {
            return Self::ok("application/json", body);
        };
        if !callback
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_$.[]".contains(&b))
        {
            return Self::bad_request(
                "Invalid 'jsonp' query parameter: expected the name of a JavaScript function",
            );
        }
        let mut wrapped = Vec::with_capacity(callback.len() + body.len() + 2);
        wrapped.extend_from_slice(callback.as_bytes());
        wrapped.push(b'(');
        wrapped.extend_from_slice(&body);
        wrapped.push(b')');
        Self::ok("text/javascript", wrapped)
    }

    /// A 405 with `Allow`.
    pub fn method_not_allowed(allowed: &[&str], received: &str) -> Self {
        let quoted: Vec<String> = allowed.iter().map(|method| format!("'{method}'")).collect();
        let text = format!(
            "405 Method Not Allowed. Expecting one of {{ {} }}, but received '{received}'.",
            quoted.join(", ")
        );
        Self::text(405, text).header(ALLOW, &allowed.join(", "))
    }

    /// A 307 to another place.
    pub fn redirect(location: &str) -> Self {
        Self::empty(307).header(LOCATION, location)
    }

    /// A 200 whose body goes on for as long as `records` does: one chunk an item.
    pub fn stream<E>(
        content_type: &'static str,
        records: impl Stream<Item = Result<Bytes, E>> + 'static,
    ) -> Self
    where
        E: Into<Failure> + 'static,
    {
        let records = records.map(|record| record.map_err(Into::into));
        Self {
            content_type: Some(content_type),
            body: Body::Stream(None, records.boxed_local()),
            ..Self::empty(200)
        }
    }

    /// A 200 with a file of `size` bytes, to be saved as `name`.
    pub fn download<E>(
        name: &str,
        size: u64,
        content: impl Stream<Item = Result<Bytes, E>> + 'static,
    ) -> Self
    where
        E: Into<Failure> + 'static,
    {
        let content = content.map(|part| part.map_err(Into::into));
        // Nothing is shown in a browser: it is an attachment.
        let content_type = mime_guess::from_path(name).first_raw();
        let content_type = content_type.unwrap_or("application/octet-stream");
        let reply = Self {
            content_type: Some(content_type),
            body: Body::Stream(Some(size), content.boxed_local()),
            ..Self::empty(200)
        };
        reply.header(CONTENT_DISPOSITION, &format!("attachment; filename={name}"))
    }

    /// Adds a header; one that cannot be written (line breaks in a name of a file) is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The response for a request with these headers.
    pub fn into_response(self, request: &HeaderMap) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in self.headers {
            response.append_header(header);
        }
        if let Some(content_type) = self.content_type {
            response.insert_header((CONTENT_TYPE, content_type));
        }
        match self.body {
            Body::Stream(None, records) => response.streaming(records),
            Body::Stream(Some(size), content) => response.body(SizedStream::new(size, content)),
            Body::Whole(body) if body.is_empty() => response.finish(),
            Body::Whole(body) => {
                if body.len() >= GZIP_FROM_BYTES
                    && media::accepts_gzip(request)
                    && let Some(compressed) = gzip::compress(&body)
                {
                    response.insert_header((CONTENT_ENCODING, "gzip"));
                    return response.body(compressed);
                }
                response.body(body)
            }
        }
    }
}

impl From<crate::percent::Malformed> for Reply {
    fn from(error: crate::percent::Malformed) -> Self {
        Reply::bad_request(error.to_string())
    }
}
