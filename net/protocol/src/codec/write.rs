//! What generated `Serialize` code calls: by name in JSON, by field number in MessagePack.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::descriptor::EnumDescriptor;

/// Writes one message as a map.
pub(crate) struct Writer<M> {
    map: M,
    human: bool,
}

impl<M: SerializeMap> Writer<M> {
    /// `present` is the number of fields that will be written in MessagePack, whose maps begin with their length.
    pub(crate) fn begin<S>(serializer: S, present: usize) -> Result<Self, S::Error>
    where
        S: Serializer<SerializeMap = M, Ok = M::Ok, Error = M::Error>,
    {
        let human = serializer.is_human_readable();
        let map = serializer.serialize_map((!human).then_some(present))?;
        Ok(Writer { map, human })
    }

    pub(crate) fn human(&self) -> bool {
        self.human
    }

    pub(crate) fn end(self) -> Result<M::Ok, M::Error> {
        self.map.end()
    }

    fn put<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        number: u32,
        value: &T,
    ) -> Result<(), M::Error> {
        if self.human {
            self.map.serialize_entry(name, value)
        } else {
            self.map.serialize_entry(&number, value)
        }
    }

    pub(crate) fn value<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        number: u32,
        value: &T,
    ) -> Result<(), M::Error> {
        self.put(name, number, value)
    }

    pub(crate) fn values<T: Serialize>(
        &mut self,
        name: &'static str,
        number: u32,
        values: &[T],
    ) -> Result<(), M::Error> {
        self.put(name, number, values)
    }

    pub(crate) fn double(
        &mut self,
        name: &'static str,
        number: u32,
        value: &f64,
    ) -> Result<(), M::Error> {
        self.put(
            name,
            number,
            &Double {
                value: *value,
                human: self.human,
            },
        )
    }

    pub(crate) fn bytes(
        &mut self,
        name: &'static str,
        number: u32,
        value: &[u8],
    ) -> Result<(), M::Error> {
        self.put(
            name,
            number,
            &Bytes {
                value,
                human: self.human,
            },
        )
    }

    /// An unknown number has no name: JSON leaves the field out, as proto2 drops an unknown value.
    pub(crate) fn enumeration(
        &mut self,
        name: &'static str,
        number: u32,
        value: &i32,
        table: &EnumDescriptor,
    ) -> Result<(), M::Error> {
        if !self.human {
            return self.put(name, number, value);
        }
        match table.name_of(*value) {
            Some(text) => self.put(name, number, text),
            None => Ok(()),
        }
    }

    pub(crate) fn enumerations(
        &mut self,
        name: &'static str,
        number: u32,
        values: &[i32],
        table: &EnumDescriptor,
    ) -> Result<(), M::Error> {
        if !self.human {
            return self.put(name, number, values);
        }
        let names: Vec<&str> = values
            .iter()
            .filter_map(|value| table.name_of(*value))
            .collect();
        self.put(name, number, &names)
    }
}

/// Not a number and the infinities are text in JSON, which has no word for them.
struct Double {
    value: f64,
    human: bool,
}

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.human || self.value.is_finite() {
            return serializer.serialize_f64(self.value);
        }
        serializer.serialize_str(if self.value.is_nan() {
            "NaN"
        } else if self.value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        })
    }
}

struct Bytes<'a> {
    value: &'a [u8],
    human: bool,
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.human {
            serializer.serialize_str(&STANDARD.encode(self.value))
        } else {
            serializer.serialize_bytes(self.value)
        }
    }
}
