//! Generated: descriptor tables, `Serialize` and `Deserialize` of every message.
#![allow(clippy::all, clippy::pedantic, rust_2018_idioms)]

use crate::codec::{
    read::{Context, EnumNumber, Fields, Nested, entries, many, message, one, skip},
    write::Writer,
};
use crate::descriptor::{
    Described, EnumDescriptor, FieldDescriptor, Kind, Label, MessageDescriptor,
};

include!(concat!(env!("OUT_DIR"), "/serde.rs"));
