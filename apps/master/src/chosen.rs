//! The policies of the allocator that somebody chose while masters ran: kept in the registry, so that the next leader
//! begins with them, whatever its own flags say.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tepui_kit::Asker;
use tepui_messages::allocator::{Policies, PolicyStatus};
use tepui_registry::{Command, Registry};

const COLLECTION: &str = "allocator";
const NAME: &str = "policies";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Chosen {
    policy: String,
    shadow: Option<String>,
}

/// What makes them outlive this leader.
pub(crate) fn keep(status: &PolicyStatus) -> Command {
    let chosen = Chosen {
        policy: status.policy.to_string(),
        shadow: status.shadow.map(|shadow| shadow.policy.to_string()),
    };
    let value = serde_json::to_vec(&chosen).expect("two texts are JSON");
    Command::PutDocument {
        collection: COLLECTION.to_string(),
        name: NAME.to_string(),
        value: Bytes::from(value),
    }
}

/// What was chosen, if anybody ever chose.
pub(crate) fn kept(registry: &Registry) -> Option<Policies> {
    let value = registry.documents.get(COLLECTION)?.get(NAME)?;
    match serde_json::from_slice::<Chosen>(value) {
        Ok(Chosen { policy, shadow }) => Some(Policies {
            policy: Some(policy),
            shadow: Some(shadow),
        }),
        Err(error) => {
            tracing::warn!(%error, "the chosen policies cannot be read; those of the flags hold");
            None
        }
    }
}

/// Lets a leader begin with what was chosen. A policy it does not have leaves it with those of its flags.
pub(crate) async fn obey(allocator: Asker<Policies>, chosen: Policies) {
    match allocator.ask(chosen).await {
        Ok(Ok(_)) => {}
        Ok(Err(reason)) => {
            tracing::warn!(
                reason,
                "the chosen policies are not there; those of the flags hold"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "the allocator was not told of the chosen policies");
        }
    }
}

#[cfg(test)]
#[path = "chosen_tests.rs"]
mod tests;
