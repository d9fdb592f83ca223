//! ATTACH_CONTAINER_INPUT: a request that streams, from the client's body to the container's shim. Owns the reading of
//! its records and what becomes of them; nothing is read ahead of the container.

use std::{collections::VecDeque, io, sync::Arc};

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use tepui_containers::switchboard::{Decoder, Greeting, Kind, MAX_FRAME_BYTES, WindowSize, frame};
use tepui_http::{Incoming, MediaType, Reply, audit, incoming::BODY_TIMEOUT};
use tepui_messages::agent::NodeState;
use tepui_protocol::{
    codec::Limits,
    recordio,
    v1::agent::{
        Call, ProcessIo,
        call::{self, attach_container_input},
        process_io::{self, control},
    },
    validate,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    time::timeout,
};

use super::{Api, access::Caller, attach, calls::dotted, negotiation};

/// Answers one call, with the whole of its stream.
pub(super) async fn call(
    api: &Api,
    request: &Incoming,
    payload: Payload,
    (node, caller): (Arc<NodeState>, &Caller),
) -> Result<Reply, Reply> {
    let form = negotiation::of_request(&request.headers)?;
    let answer = negotiation::of_answer(&request.headers)?;
    let mut calls = Calls {
        payload,
        decoder: recordio::Decoder::new(Limits::HTTP.bytes),
        records: VecDeque::new(),
        media: form.message,
    };
    let first = timeout(BODY_TIMEOUT, calls.next()).await;
    let first = first.map_err(|_| {
        let seconds = BODY_TIMEOUT.as_secs();
        let text = format!("The request's first record did not arrive within {seconds} seconds");
        Reply::text(408, text)
    })??;
    let first =
        first.ok_or_else(|| Reply::bad_request("Received EOF while reading request body"))?;
    negotiation::check(first.r#type(), form, answer)?;
    caller.authorize(&first, &node)?;
    let attach = first.attach_container_input.unwrap_or_default();
    if attach.r#type() != attach_container_input::Type::ContainerId {
        return Err(Reply::bad_request(
            "Expecting 'attach_container_input.type' to be CONTAINER_ID",
        ));
    }
    let id = attach.container_id.unwrap_or_default();
    attach::check_known(&id, &node)?;
    let connected = api.sockets.connect(&dotted(&id), Greeting::Input).await?;
    if caller.claims.is_none() {
        let begun = Ok(Reply::empty(200));
        audit::change(request, "ATTACH_CONTAINER_INPUT", &dotted(&id), &begun);
    }
    let (reader, writer) = connected.into_split();
    let mut verdict = std::pin::pin!(verdict(reader));
    let given = std::pin::pin!(give(&mut calls, writer));
    tokio::select! {
        verdict = &mut verdict => verdict,
        given = given => match given {
            Given::Refused(refused) => Err(refused),
            // It is gone, or goes on without its input: it has said which.
            Given::All | Given::Broken => verdict.await,
        },
    }
}

/// The records of one request, as they come.
struct Calls {
    payload: Payload,
    decoder: recordio::Decoder,
    records: VecDeque<Bytes>,
    media: MediaType,
}

impl Calls {
    /// `None`: the client has ended its request.
    async fn next(&mut self) -> Result<Option<Call>, Reply> {
        loop {
            if let Some(record) = self.records.pop_front() {
                let call: Call = self.media.decode(&record)?;
                validate::agent::call(&call).map_err(|reason| {
                    Reply::bad_request(format!("Failed to validate agent::Call: {reason}"))
                })?;
                return Ok(Some(call));
            }
            let part = match self.payload.next().await {
                None => return Ok(None),
                Some(part) => part.map_err(|error| {
                    Reply::bad_request(format!("Failed to read the request's body: {error}"))
                })?,
            };
            let records = self.decoder.feed(&part);
            let records = records.map_err(|error| Reply::bad_request(error.to_string()))?;
            self.records.extend(records);
        }
    }
}

/// How far the client's records came.
enum Given {
    All,
    /// The container takes no more.
    Broken,
    Refused(Reply),
}

async fn give(calls: &mut Calls, mut writer: OwnedWriteHalf) -> Given {
    loop {
        let call = match calls.next().await {
            Ok(Some(call)) => call,
            Ok(None) => break,
            Err(refused) => return Given::Refused(refused),
        };
        if call.r#type() != call::Type::AttachContainerInput {
            let name = call.r#type().as_str_name();
            return Given::Refused(Reply::bad_request(format!(
                "Expecting 'type' to be ATTACH_CONTAINER_INPUT instead of: '{name}'"
            )));
        }
        let attached = call.attach_container_input.unwrap_or_default();
        if let Err(reason) = validate::process_io::input(&attached) {
            return Given::Refused(Reply::bad_request(reason));
        }
        for framed in frames(attached.process_io.unwrap_or_default()) {
            if writer.write_all(&framed).await.is_err() {
                return Given::Broken;
            }
        }
    }
    match writer.shutdown().await {
        Ok(()) => Given::All,
        Err(_) => Given::Broken,
    }
}

/// What the shim is told; nothing of heartbeats, whose record was the message.
fn frames(message: ProcessIo) -> Vec<Vec<u8>> {
    if message.r#type() == process_io::Type::Data {
        let bytes = message.data.and_then(|it| it.data).unwrap_or_default();
        if bytes.is_empty() {
            return vec![frame(Kind::Stdin, &[])];
        }
        let parts = bytes.chunks(MAX_FRAME_BYTES);
        return parts.map(|part| frame(Kind::Stdin, part)).collect();
    }
    let control = message.control.unwrap_or_default();
    if control.r#type() != control::Type::TtyInfo {
        return Vec::new();
    }
    let size = control.tty_info.and_then(|it| it.window_size);
    let characters = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let size = size.map(|size| WindowSize {
        rows: characters(size.rows),
        columns: characters(size.columns),
    });
    let framed = size.map(|size| frame(Kind::Window, &size.to_bytes()));
    framed.into_iter().collect()
}

/// What the shim says of the input in the end.
async fn verdict(mut reader: OwnedReadHalf) -> Result<Reply, Reply> {
    let mut decoder = Decoder::default();
    let mut chunk = [0; 64];
    loop {
        let found = decoder.take();
        let found = found.map_err(|error| Reply::text(500, error.to_string()))?;
        if let Some((kind, bytes)) = found {
            return match kind {
                Kind::Busy => Err(Reply::text(
                    409,
                    "Multiple input connections are not allowed",
                )),
                Kind::Broken => {
                    let text = format!("Failed writing to stdin: {}", reason(&bytes));
                    Err(Reply::text(500, text))
                }
                Kind::Unsized => {
                    let text = format!("Unable to set the window size: {}", reason(&bytes));
                    Err(Reply::bad_request(text))
                }
                _ => Ok(Reply::empty(200)),
            };
        }
        match reader.read(&mut chunk).await {
            // The container has ended.
            Ok(0) | Err(_) => return Ok(Reply::empty(200)),
            Ok(length) => decoder.feed(&chunk[..length]),
        }
    }
}

/// What the C library says of an `errno`.
fn reason(errno: &[u8]) -> String {
    let errno = errno.try_into().map_or(0, i32::from_le_bytes);
    let text = io::Error::from_raw_os_error(errno).to_string();
    let words = text.split_once(" (os error");
    words.map_or_else(|| text.clone(), |(words, _)| words.to_owned())
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
