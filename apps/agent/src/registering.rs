//! The way to the leading master, on which a registration of any size gets through.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tepui_bridge::Peer;
use tepui_kit::{Ask, AskError, Tell, TellError, Wire};
use tepui_protocol::{
    codec::{Limits, msgpack, protobuf},
    node::{AgentRegistration, RegisterAgent, RegisterAgentPart},
    parts::{REGISTRATION_PART_BYTES, split},
};

/// Of a message that is not larger in protobuf a frame can carry all, its items included.
const SURELY_FITS_BYTES: usize = 256 << 10;

/// A connection to the leading master.
pub(crate) struct ToMaster(pub(crate) Peer);

impl<M: Wire> Tell<M> for ToMaster {
    fn tell(&self, message: M) -> Result<(), TellError> {
        self.0.tell(message)
    }
}

impl Ask<RegisterAgent> for ToMaster {
    fn ask(
        &self,
        request: RegisterAgent,
    ) -> BoxFuture<'static, Result<AgentRegistration, AskError>> {
        if protobuf::size(&request) <= SURELY_FITS_BYTES {
            return self.0.ask(request);
        }
        let peer = self.0.clone();
        Box::pin(async move {
            let prepared = tokio::task::spawn_blocking(|| prepare(request)).await;
            match prepared.map_err(|error| AskError::Refused(error.to_string()))? {
                Prepared::Whole(request) => peer.ask(*request).await,
                Prepared::InParts(message) => ask_in_parts(&peer, &message).await,
                Prepared::TooLarge(text) => Err(AskError::Refused(text)),
            }
        })
    }
}

enum Prepared {
    Whole(Box<RegisterAgent>),
    /// It is larger than a frame.
    InParts(Bytes),
    /// No master would take it.
    TooLarge(String),
}

fn prepare(request: RegisterAgent) -> Prepared {
    let message = match msgpack::encode(&request) {
        Ok(message) => message,
        Err(error) => return Prepared::TooLarge(format!("it cannot be written: {error}")),
    };
    if msgpack::scan(&message, &Limits::BRIDGE).is_ok() {
        return Prepared::Whole(Box::new(request));
    }
    match msgpack::scan(&message, &Limits::REGISTRATION) {
        Ok(()) => Prepared::InParts(message.into()),
        Err(error) => Prepared::TooLarge(format!(
            "what runs on this agent is more than a master takes: {error}; end tasks or shorten their labels"
        )),
    }
}

/// One after the other, so that no more than one waits here and each has its own deadline.
async fn ask_in_parts(peer: &Peer, message: &Bytes) -> Result<AgentRegistration, AskError> {
    tracing::info!(bytes = message.len(), "the registration is told in parts");
    let mut answer = AgentRegistration::default();
    for part in split(message, REGISTRATION_PART_BYTES) {
        answer = peer.ask(RegisterAgentPart::from(part)).await?;
    }
    Ok(answer)
}

#[cfg(test)]
#[path = "registering_tests.rs"]
mod tests;
