//! What Mesos itself keeps, in its own JSON: not the v1 API's, and with keys in alphabetical order.

use serde_json::{Map, Value, json};
use tepui_protocol::{codec::json as codec, v1::MasterInfo};

/// As in the registry and in the nodes of ZooKeeper.
pub(crate) fn master_info(info: &MasterInfo) -> Value {
    let encoded = codec::encode(info).unwrap_or_default();
    let mut info: Value = serde_json::from_slice(&encoded).unwrap_or_default();
    // v1 spells this capability as an empty object, Mesos itself by its name.
    if let Some(last) = info.pointer_mut("/capabilities/2") {
        *last = json!({"type": "QUOTA_V2"});
    }
    sorted(info)
}

/// The value with the keys of all its objects in order.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        value => value,
    }
}
