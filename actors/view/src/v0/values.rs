//! Small values in v0 JSON: resources, attributes, times, lists.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_messages::UnixNanos;
use tepui_protocol::{
    resources::{Quantity, Ranges, Resources, Value},
    v1::{Attribute, Label, Labels, Resource, value},
};

use crate::world::Amounts;

/// A list written from an iterator.
pub(crate) struct List<F>(pub(crate) F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// An object written field by field.
pub(crate) struct Object<F>(pub(crate) F);

/// What is written of an object, field by field.
pub(crate) trait Fields {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

impl<F: Fields> Serialize for Object<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write(&mut map)?;
        map.end()
    }
}

/// An object written from an iterator of keys and values.
pub(crate) struct Entries<F>(pub(crate) F);

impl<F, I, K, V> Serialize for Entries<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map((self.0)())
    }
}

/// A field that is left out without a value.
pub(crate) fn optional<M: SerializeMap, V: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<V>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, &value),
        None => Ok(()),
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(at: UnixNanos) -> f64 {
    at as f64 / 1e9
}

pub(crate) fn labels(labels: &Option<Labels>) -> Option<&[Label]> {
    labels.as_ref().map(|labels| labels.labels.as_slice())
}

/// Resources as an object: disk, mem, gpus and cpus always, then what else there is; ranges and sets as
/// text, revocable ones under a name of their own.
pub(crate) struct Summed<'a>(pub(crate) &'a Resources);

const ALWAYS: [&str; 4] = ["disk", "mem", "gpus", "cpus"];

impl Serialize for Summed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut always = [Quantity::ZERO; ALWAYS.len()];
        let mut scalars = BTreeMap::<String, Quantity>::new();
        let mut ranges = BTreeMap::<String, Ranges>::new();
        let mut sets = BTreeMap::<String, BTreeSet<&str>>::new();
        for entry in self.0 {
            let name = || {
                let suffix = if entry.is_revocable() {
                    "_revocable"
                } else {
                    ""
                };
                format!("{}{suffix}", entry.name())
            };
            let usual = ALWAYS.iter().position(|name| **entry.name() == **name);
            match (entry.value(), usual.filter(|_| !entry.is_revocable())) {
                (Value::Scalar(amount), Some(at)) => always[at] += *amount,
                (Value::Scalar(amount), None) => {
                    *scalars.entry(name()).or_default() += *amount;
                }
                (Value::Ranges(value), _) => ranges.entry(name()).or_default().union(value),
                (Value::Set(items), _) => {
                    let items = items.iter().map(String::as_str);
                    sets.entry(name()).or_default().extend(items);
                }
            }
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, amount) in ALWAYS.iter().zip(always) {
            map.serialize_entry(name, &amount.to_f64())?;
        }
        for (name, amount) in scalars {
            map.serialize_entry(&name, &amount.to_f64())?;
        }
        for (name, ranges) in ranges {
            map.serialize_entry(&name, &ranges.to_string())?;
        }
        for (name, items) in sets {
            let items: Vec<&str> = items.into_iter().collect();
            map.serialize_entry(&name, &set_text(&items))?;
        }
        map.end()
    }
}

/// Amounts as an object: what there is, alphabetically.
pub(crate) struct Plain<'a>(pub(crate) &'a Amounts);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let amounts = self.0.iter();
        serializer.collect_map(amounts.map(|(name, amount)| (name, amount.quantity.to_f64())))
    }
}

/// Attributes as an object of numbers and texts.
pub(crate) struct Attributes<'a>(pub(crate) &'a [Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for attribute in self.0 {
            let name = &attribute.name;
            match attribute.r#type() {
                value::Type::Scalar => {
                    let value = attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
                    map.serialize_entry(name, &value)?;
                }
                value::Type::Ranges => {
                    let ranges = attribute.ranges.as_ref().map(Ranges::from_proto);
                    map.serialize_entry(name, &ranges.unwrap_or_default().to_string())?;
                }
                value::Type::Set => {
                    let items = attribute.set.as_ref().map(|set| set.item.as_slice());
                    map.serialize_entry(name, &set_text(items.unwrap_or_default()))?;
                }
                value::Type::Text => {
                    let text = attribute.text.as_ref().map(|text| text.value.as_str());
                    map.serialize_entry(name, text.unwrap_or_default())?;
                }
            }
        }
        map.end()
    }
}

fn set_text<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    format!("{{{}}}", items.join(", "))
}

/// Resources that were validated before they came here.
pub(crate) fn parsed(resources: &[Resource]) -> Resources {
    Resources::from_proto_unchecked(resources)
}
