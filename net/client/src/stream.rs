//! An event stream: RecordIO out of a chunked answer, decoded record by record.

use std::marker::PhantomData;

use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};
use serde::de::DeserializeOwned;
use tepui_protocol::{
    codec::{Limits, json},
    descriptor::Described,
    recordio,
};

use crate::Error;

/// Events as they arrive. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events<T> {
    body: Incoming,
    decoder: recordio::Decoder,
    event: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Described> Events<T> {
    pub(crate) fn new(response: Response<Incoming>) -> Self {
        Events {
            body: response.into_body(),
            decoder: recordio::Decoder::new(Limits::HTTP.bytes),
            event: PhantomData,
        }
    }

    /// The next event; `None` once the other side has ended the stream.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the connection broke, [`Error::Malformed`] for what is no event.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            let record = self
                .decoder
                .next_record()
                .map_err(|error| Error::Malformed(error.to_string()))?;
            if let Some(record) = record {
                let event = json::decode(&record, &Limits::HTTP)
                    .map_err(|error| Error::Malformed(error.to_string()))?;
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Error::Unreachable {
                        address: "the event stream".to_string(),
                        reason: error.to_string(),
                    });
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(&data);
                    }
                }
            }
        }
    }
}
