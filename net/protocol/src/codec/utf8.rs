//! Text in protobuf that is not UTF-8: Mesos' library takes it from proto2's `string` fields, prost does not.
//!
//! Reached only when decoding has failed. It goes over the bytes by the schema's tables, and what is no UTF-8 in
//! a text is U+FFFD afterwards. `bytes` fields and unknown ones stay as they are.

use prost::encoding::{WireType, decode_key, encode_varint, encoded_len_varint};

use super::{
    Limits,
    protobuf::{Error, take},
};
use crate::descriptor::{FieldDescriptor, Kind, Label, MessageDescriptor};

/// The same message with all its text in UTF-8; `None` where it was already. `bytes` is known to be within `limits`
/// and well-formed down to its texts.
pub(super) fn repair(
    bytes: &[u8],
    table: &'static MessageDescriptor,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Error> {
    let mut repair = Repair {
        bytes,
        edits: Vec::new(),
        most: limits.items,
    };
    let size = repair.message(0, bytes.len(), Shape::Message(table))?;
    if repair.edits.is_empty() {
        return Ok(None);
    }
    if size > limits.bytes {
        let limit = limits.bytes;
        return Err(Error::TooLarge { size, limit });
    }
    Ok(Some(repair.apply(size)))
}

/// What a length-delimited value is.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Message(&'static MessageDescriptor),
    /// One entry of a map, with the kind of its value.
    Entry(Kind),
    Other,
}

impl Shape {
    fn of(field: &FieldDescriptor) -> Shape {
        match field.label {
            Label::Map => Shape::Entry(field.kind),
            _ => Shape::of_kind(field.kind),
        }
    }

    fn of_kind(kind: Kind) -> Shape {
        match kind {
            Kind::String => Shape::Text,
            Kind::Message(table) => Shape::Message(table),
            _ => Shape::Other,
        }
    }

    fn within(self, number: u32) -> Shape {
        match (self, number) {
            (Shape::Message(table), _) => table.field(number).map_or(Shape::Other, Shape::of),
            (Shape::Entry(_), 1) => Shape::Text,
            (Shape::Entry(kind), 2) => Shape::of_kind(kind),
            _ => Shape::Other,
        }
    }
}

/// A value whose length is another one afterwards, or its text.
struct Edit {
    /// Where its length stands, where it begins and, of a text, where it ends.
    head: usize,
    start: usize,
    end: Option<usize>,
    length: usize,
}

struct Repair<'a> {
    bytes: &'a [u8],
    /// In the order of their places: one pass over the bytes applies them, and nothing is copied again for each
    /// message around it.
    edits: Vec<Edit>,
    most: usize,
}

impl Repair<'_> {
    /// The size of the message between these places afterwards.
    fn message(&mut self, mut at: usize, end: usize, shape: Shape) -> Result<usize, Error> {
        let mut size = 0;
        while at < end {
            let mut rest = &self.bytes[at..end];
            let (number, wire_type) = decode_key(&mut rest)?;
            let head = end - rest.len();
            let length = take(&mut rest, wire_type)?.len();
            let next = end - rest.len();
            size += head - at;
            size += match wire_type {
                WireType::LengthDelimited => {
                    self.value(head, next - length, next, shape.within(number))?
                }
                _ => next - head,
            };
            at = next;
        }
        Ok(size)
    }

    /// The size of a value afterwards, with its length before it.
    fn value(
        &mut self,
        head: usize,
        start: usize,
        end: usize,
        shape: Shape,
    ) -> Result<usize, Error> {
        let place = self.edits.len();
        let length = match shape {
            Shape::Other => return Ok(end - head),
            Shape::Text => match text_length(&self.bytes[start..end]) {
                None => return Ok(end - head),
                Some(length) => {
                    self.edit(head, start, Some(end))?;
                    length
                }
            },
            Shape::Message(_) | Shape::Entry(_) => {
                self.edit(head, start, None)?;
                let length = self.message(start, end, shape)?;
                if self.edits.len() == place + 1 {
                    self.edits.pop();
                    return Ok(end - head);
                }
                length
            }
        };
        self.edits[place].length = length;
        Ok(encoded_len_varint(length as u64) + length)
    }

    fn edit(&mut self, head: usize, start: usize, end: Option<usize>) -> Result<(), Error> {
        if self.edits.len() >= self.most {
            return Err(Error::TooMany(self.most));
        }
        let length = 0;
        self.edits.push(Edit {
            head,
            start,
            end,
            length,
        });
        Ok(())
    }

    fn apply(self, size: usize) -> Vec<u8> {
        let mut whole = Vec::with_capacity(size);
        let mut at = 0;
        for edit in self.edits {
            whole.extend_from_slice(&self.bytes[at..edit.head]);
            encode_varint(edit.length as u64, &mut whole);
            at = edit.end.unwrap_or(edit.start);
            let text = String::from_utf8_lossy(&self.bytes[edit.start..at]);
            whole.extend_from_slice(text.as_bytes());
        }
        whole.extend_from_slice(&self.bytes[at..]);
        whole
    }
}

/// The length in UTF-8 of a text that is not; `None` of one that is.
fn text_length(text: &[u8]) -> Option<usize> {
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    let chunks = text.utf8_chunks().map(|chunk| {
        let is_bad = !chunk.invalid().is_empty();
        chunk.valid().len() + usize::from(is_bad) * char::REPLACEMENT_CHARACTER.len_utf8()
    });
    Some(chunks.sum())
}

#[cfg(test)]
#[path = "utf8_tests.rs"]
mod tests;
