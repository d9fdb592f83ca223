//! Tables of the schema's messages: what a decoder must know before it believes its input.
//!
//! Generated from `proto/` by the build; the codecs use them to name errors and to check bounds.

/// A message type.
#[derive(Debug)]
pub struct MessageDescriptor {
    /// Full name, `mesos.v1.Offer`.
    pub name: &'static str,
    /// In the order of declaration, which is the order of JSON.
    pub fields: &'static [FieldDescriptor],
    /// Bytes of its Rust type, without what lies elsewhere.
    pub memory: usize,
}

/// A field of a message.
#[derive(Debug)]
pub struct FieldDescriptor {
    pub name: &'static str,
    pub number: u32,
    pub label: Label,
    pub kind: Kind,
    /// In JSON the list is printed even when it is empty.
    pub print_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Optional,
    Required,
    Repeated,
    /// Keys are strings; the kind is that of the values.
    Map,
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Bool,
    String,
    Bytes,
    Enum(&'static EnumDescriptor),
    Message(&'static MessageDescriptor),
}

/// An enumeration: names and numbers in the order of declaration.
#[derive(Debug)]
pub struct EnumDescriptor {
    pub name: &'static str,
    pub values: &'static [(&'static str, i32)],
}

/// A type that has a table.
pub trait Described {
    fn descriptor() -> &'static MessageDescriptor;
}

impl MessageDescriptor {
    pub fn field(&self, number: u32) -> Option<&'static FieldDescriptor> {
        self.fields.iter().find(|field| field.number == number)
    }

    pub fn field_named(&self, name: &str) -> Option<&'static FieldDescriptor> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// `Call` of `mesos.v1.scheduler.Call`, as error texts name it.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

impl EnumDescriptor {
    /// The number of a name, case-sensitive.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, number)| *number)
    }

    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(_, candidate)| *candidate == number)
            .map(|(name, _)| *name)
    }
}
