//! An event stream: RecordIO out of a chunked answer, decoded record by record.

use std::{collections::VecDeque, marker::PhantomData};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};
use serde::de::DeserializeOwned;
use tepui_protocol::{
    codec::{Limits, json},
    descriptor::Described,
    recordio,
};

use crate::{Error, masters::Doubt};

/// Events as they arrive. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events<T> {
    body: Incoming,
    decoder: recordio::Decoder,
    /// Decoded and not yet asked for.
    records: VecDeque<Bytes>,
    /// Ends it when another master leads and the one it is from says nothing.
    doubt: Option<Doubt>,
    event: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Described> Events<T> {
    pub(crate) fn new(response: Response<Incoming>) -> Self {
        Events {
            body: response.into_body(),
            decoder: recordio::Decoder::new(Limits::HTTP.bytes),
            records: VecDeque::new(),
            doubt: None,
            event: PhantomData,
        }
    }

    pub(crate) fn with_doubt(self, doubt: Doubt) -> Self {
        Events {
            doubt: Some(doubt),
            ..self
        }
    }

    /// The next event; `None` once the other side has ended the stream.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the connection broke, or another master leads; [`Error::Malformed`] for what is no event.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(record) = self.records.pop_front() {
                let event = json::decode(&record, &Limits::HTTP)
                    .map_err(|error| Error::Malformed(error.to_string()))?;
                return Ok(Some(event));
            }
            let frame = match &mut self.doubt {
                None => self.body.frame().await,
                Some(doubt) => tokio::select! {
                    biased;
                    frame = self.body.frame() => {
                        doubt.heard();
                        frame
                    }
                    error = doubt.confirmed() => return Err(error),
                },
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Error::Unreachable {
                        address: "the event stream".to_string(),
                        reason: error.to_string(),
                    });
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let records = self
                            .decoder
                            .feed(&data)
                            .map_err(|error| Error::Malformed(error.to_string()))?;
                        self.records.extend(records);
                    }
                }
            }
        }
    }
}
