//! Mesos' protobuf wire form, v1 and v0 alike, since field numbers agree.
//!
//! prost takes a missing required field or an unknown required enum in silence; Mesos refuses them.
//! A walk over the bytes by the schema's tables refuses them here, with depth and counts, before anything is decoded.
//! And prost refuses text that is not UTF-8; Mesos takes it, so it is mended here (`utf8`).

use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};

use super::{Limits, utf8};
use crate::descriptor::{Described, FieldDescriptor, Kind, Label, MessageDescriptor};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("message of {size} bytes exceeds the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("messages nest deeper than {0} levels")]
    TooDeep(usize),
    #[error("message holds more than {0} fields")]
    TooMany(usize),
    #[error("the lists of the message take more than {0} bytes of memory")]
    TooRoomy(usize),
    #[error("missing required field {message}.{field}")]
    Missing {
        message: &'static str,
        field: &'static str,
    },
    #[error("malformed protobuf")]
    Malformed(#[from] prost::DecodeError),
    #[error("malformed protobuf: {0}")]
    Wire(&'static str),
}

pub fn encode<T: Message>(message: &T) -> Vec<u8> {
    message.encode_to_vec()
}

/// Bytes that [`encode`] would give.
pub fn size<T: Message>(message: &T) -> usize {
    message.encoded_len()
}

/// # Errors
/// What is outside `limits`, not protobuf, or lacks a required field.
pub fn decode<T: Message + Default + Described>(bytes: &[u8], limits: &Limits) -> Result<T, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLarge {
            size: bytes.len(),
            limit: limits.bytes,
        });
    }
    let mut walk = Walk {
        limits,
        fields: 0,
        memory: 0,
    };
    walk.message(bytes, T::descriptor(), 1)?;
    let error = match T::decode(bytes) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    match utf8::repair(bytes, T::descriptor(), limits)? {
        Some(repaired) => Ok(T::decode(&repaired[..])?),
        None => Err(error.into()),
    }
}

struct Walk<'a> {
    limits: &'a Limits,
    fields: usize,
    /// Of the elements of lists and maps.
    memory: usize,
}

impl Walk<'_> {
    fn message(
        &mut self,
        mut bytes: &[u8],
        table: &'static MessageDescriptor,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > self.limits.depth {
            return Err(Error::TooDeep(self.limits.depth));
        }
        let mut seen = 0u64;
        while !bytes.is_empty() {
            self.fields += 1;
            if self.fields > self.limits.items {
                return Err(Error::TooMany(self.limits.items));
            }
            let (number, wire_type) = decode_key(&mut bytes)?;
            let value = take(&mut bytes, wire_type)?;
            let Some(index) = table.fields.iter().position(|field| field.number == number) else {
                continue;
            };
            let bit = 1u64.checked_shl(index as u32).unwrap_or(0);
            // Of a field that comes twice the last counts, as it does when it is decoded.
            if self.value(&table.fields[index], wire_type, value, depth)? {
                seen |= bit;
            } else {
                seen &= !bit;
            }
        }
        for (index, field) in table.fields.iter().enumerate() {
            if field.label == Label::Required
                && seen & 1u64.checked_shl(index as u32).unwrap_or(0) == 0
            {
                return Err(Error::Missing {
                    message: table.name,
                    field: field.name,
                });
            }
        }
        Ok(())
    }

    /// Whether the value counts as present: an unknown enum value does not.
    fn value(
        &mut self,
        field: &'static FieldDescriptor,
        wire_type: WireType,
        mut value: &[u8],
        depth: usize,
    ) -> Result<bool, Error> {
        self.take_room(field)?;
        match field.kind {
            Kind::Message(table) if field.label == Label::Map => {
                self.map_entry(value, Some(table), depth + 1)?;
            }
            _ if field.label == Label::Map => self.map_entry(value, None, depth + 1)?,
            Kind::Message(table) if wire_type == WireType::LengthDelimited => {
                self.message(value, table, depth + 1)?;
            }
            Kind::Message(_) => return Err(Error::Wire("a message field is not length-delimited")),
            Kind::Enum(table) if wire_type == WireType::Varint => {
                let number = decode_varint(&mut value)?;
                return Ok(table.name_of(number as i32).is_some());
            }
            _ => {}
        }
        Ok(true)
    }

    /// Every element of a list counts by the size of its type.
    fn take_room(&mut self, field: &'static FieldDescriptor) -> Result<(), Error> {
        self.memory += match (field.label, field.kind) {
            (Label::Required | Label::Optional, _) => 0,
            (_, Kind::Message(table)) => table.memory,
            _ => size_of::<String>(),
        };
        match self.memory > self.limits.memory {
            true => Err(Error::TooRoomy(self.limits.memory)),
            false => Ok(()),
        }
    }

    fn map_entry(
        &mut self,
        mut bytes: &[u8],
        value_table: Option<&'static MessageDescriptor>,
        depth: usize,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (number, wire_type) = decode_key(&mut bytes)?;
            let value = take(&mut bytes, wire_type)?;
            if let (2, Some(table), WireType::LengthDelimited) = (number, value_table, wire_type) {
                self.message(value, table, depth)?;
            }
        }
        Ok(())
    }
}

/// Splits the encoded value off the front: payload of a length-delimited one, else its own bytes.
pub(super) fn take<'a>(bytes: &mut &'a [u8], wire_type: WireType) -> Result<&'a [u8], Error> {
    let start = *bytes;
    let length = match wire_type {
        WireType::Varint => {
            decode_varint(bytes)?;
            return Ok(&start[..start.len() - bytes.len()]);
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::LengthDelimited => usize::try_from(decode_varint(bytes)?)
            .map_err(|_| Error::Wire("a length exceeds the machine"))?,
        WireType::StartGroup | WireType::EndGroup => {
            return Err(Error::Wire("groups are not used"));
        }
    };
    if length > bytes.len() {
        return Err(Error::Wire("a length exceeds the message"));
    }
    let (value, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(value)
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
