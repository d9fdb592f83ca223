//! What a call to the agent is written in and its answer is to be written in: whole messages, or RecordIO streams of
//! them (Mesos: `slave/http.cpp`, `Http::api` and `_api`). Owns the statuses and texts of Mesos' refusals; reads no body.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use tepui_http::{MediaType, Reply, media};
use tepui_protocol::v1::agent::call;

const RECORDIO: &str = "application/recordio";
/// Of the messages in a stream that is sent here.
const MESSAGE_CONTENT_TYPE: HeaderName = HeaderName::from_static("message-content-type");
/// Of those in a stream that is sent back.
const MESSAGE_ACCEPT: HeaderName = HeaderName::from_static("message-accept");

/// Whole or in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) message: MediaType,
    pub(super) is_stream: bool,
}

/// Whether a request says that it streams.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE);
    given.is_some_and(|given| given.as_bytes() == RECORDIO.as_bytes())
}

/// What a request is written in, to the letter.
pub(super) fn of_request(headers: &HeaderMap) -> Result<Form, Reply> {
    if is_stream(headers) {
        let message = match headers.get(&MESSAGE_CONTENT_TYPE).map(|it| it.as_bytes()) {
            None => Err(Reply::bad_request(
                "Expecting 'Message-Content-Type' to be set for streaming requests",
            )),
            Some(b"application/json") => Ok(MediaType::Json),
            Some(b"application/x-protobuf") => Ok(MediaType::Protobuf),
            Some(_) => Err(Reply::text(
                415,
                "Expecting 'Message-Content-Type' of application/json or application/x-protobuf",
            )),
        };
        return message.map(|message| Form {
            message,
            is_stream: true,
        });
    }
    let message = MediaType::of_request(headers).map_err(|refused| match refused.status() {
        415 => Reply::text(
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio",
        ),
        _ => refused,
    })?;
    if headers.contains_key(&MESSAGE_CONTENT_TYPE) {
        return Err(Reply::text(
            415,
            "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
        ));
    }
    Ok(Form {
        message,
        is_stream: false,
    })
}

/// What the answer is to be written in: the first that `Accept` admits of JSON, protobuf and RecordIO.
pub(super) fn of_answer(headers: &HeaderMap) -> Result<Form, Reply> {
    let both = [MediaType::Json, MediaType::Protobuf].into_iter();
    let whole = both.clone().find(|it| media::accepts(headers, it.as_str()));
    if let Some(message) = whole {
        if headers.contains_key(&MESSAGE_ACCEPT) {
            return Err(Reply::text(
                406,
                "Expecting 'Message-Accept' to be not set for non-streaming responses",
            ));
        }
        let is_stream = false;
        return Ok(Form { message, is_stream });
    }
    if !media::accepts(headers, RECORDIO) {
        return Err(Reply::text(
            406,
            "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio",
        ));
    }
    let mut both = both;
    let message = both.find(|it| media::allows(headers, &MESSAGE_ACCEPT, it.as_str()));
    let message = message.ok_or_else(|| {
        Reply::text(
            406,
            "Expecting 'Message-Accept' to allow application/json or application/x-protobuf",
        )
    })?;
    let is_stream = true;
    Ok(Form { message, is_stream })
}

/// Only some calls stream.
pub(super) fn check(kind: call::Type, request: Form, answer: Form) -> Result<(), Reply> {
    let name = kind.as_str_name();
    let writes = kind == call::Type::AttachContainerInput;
    let reads = matches!(
        kind,
        call::Type::AttachContainerOutput | call::Type::LaunchNestedContainerSession
    );
    let refused = match (request.is_stream, writes) {
        (true, false) => format!(
            "Streaming 'Content-Type' application/recordio is not supported for {name} call"
        ),
        (false, true) => {
            format!("Expecting 'Content-Type' to be application/recordio for {name} call")
        }
        _ if answer.is_stream && !reads => {
            let text = format!("Streaming response is not supported for {name} call");
            return Err(Reply::text(406, text));
        }
        _ => return Ok(()),
    };
    Err(Reply::text(415, refused))
}

impl Form {
    /// A 200 with a stream of messages. Without RecordIO in `Accept` they are in records nevertheless: so it is in Mesos.
    pub(super) fn stream<S>(self, records: S) -> Reply
    where
        S: futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + 'static,
    {
        if !self.is_stream {
            return Reply::stream(self.message.as_str(), records);
        }
        let reply = Reply::stream(RECORDIO, records);
        reply.header(MESSAGE_CONTENT_TYPE, self.message.as_str())
    }
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
