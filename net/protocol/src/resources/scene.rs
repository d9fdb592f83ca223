//! What the tests of the algebra build their resources from.

use super::{Entry, Resources};
use crate::codec::{Limits, json};

/// An amount of `name` with these further fields of a resource in JSON.
pub(super) fn amount(name: &str, amount: impl std::fmt::Display, rest: &str) -> Entry {
    let comma = if rest.is_empty() { "" } else { "," };
    let text = format!(
        r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":{amount}}}{comma}{rest}}}"#
    );
    let resource = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
    Entry::from_proto(&resource).expect(&text)
}

/// So many megabytes of a disk with these fields.
pub(super) fn disk(megabytes: u32, rest: &str) -> Resources {
    amount("disk", megabytes, rest).into()
}

pub(super) fn cpus(number: u32, rest: &str) -> Resources {
    amount("cpus", number, rest).into()
}

pub(super) fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").expect(text)
}

/// The field of a disk with a persistent volume of that id.
pub(super) fn volume(id: &str) -> String {
    format!(
        r#""reservations":[{{"type":"STATIC","role":"role1"}}],"disk":{{"persistence":{{"id":"{id}"}},"volume":{{"mode":"RW","container_path":"path"}}}}"#
    )
}

pub(super) fn shared_volume(id: &str) -> String {
    format!(r#"{},"shared":{{}}"#, volume(id))
}
