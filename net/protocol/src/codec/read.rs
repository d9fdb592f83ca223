//! What generated `Deserialize` code calls: lenient as Mesos' own JSON reader, strict about what is missing.
//!
//! `null` counts as absent; numbers may be text; an integer field takes a fraction or a negative
//! number (stout's `protobuf::parse`); an unknown enum name counts as absent. Keys are names in JSON and field numbers in
//! MessagePack; unknown ones are skipped. Repeated fields and maps are read by `lists`.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::lists::{Entries, Many};
use crate::descriptor::{Described, EnumDescriptor, Label};

/// A message's fields, one at a time.
pub(crate) trait Fields: Default + Described {
    /// Reads the value of field `number` from `map`; true if it was present (not null, not an unknown enum).
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        number: u32,
        human: bool,
        map: &mut A,
    ) -> Result<bool, A::Error>;
}

/// What a value's reader must know of its field.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    pub(crate) name: &'static str,
    pub(crate) human: bool,
    pub(crate) values: Option<&'static EnumDescriptor>,
}

pub(crate) fn message<'de, T: Fields, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(MessageVisitor(PhantomData))
}

pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<bool, A::Error> {
    map.next_value::<IgnoredAny>()?;
    Ok(false)
}

/// A singular value; `None` where it counts as absent.
pub(crate) fn one<'de, T: Value, A: MapAccess<'de>>(
    map: &mut A,
    context: Context,
) -> Result<Option<T>, A::Error> {
    map.next_value_seed(One(context, PhantomData))
}

pub(crate) fn many<'de, T: Value, A: MapAccess<'de>>(
    map: &mut A,
    context: Context,
) -> Result<Vec<T>, A::Error> {
    let mut values = Vec::new();
    map.next_value_seed(Many(context, &mut values))?;
    Ok(values)
}

pub(crate) fn entries<'de, T: Value, A: MapAccess<'de>>(
    map: &mut A,
    context: Context,
) -> Result<BTreeMap<String, T>, A::Error> {
    let mut values = BTreeMap::new();
    map.next_value_seed(Entries(context, &mut values))?;
    Ok(values)
}

struct MessageVisitor<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for MessageVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", T::descriptor().name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let table = T::descriptor();
        let mut message = T::default();
        let mut seen = 0u64;
        while let Some(key) = map.next_key_seed(Key(table))? {
            if message.read(key.number, key.human, &mut map)? {
                seen |= bit(table, key.number);
            }
        }
        for field in table.fields {
            if field.label == Label::Required && seen & bit(table, field.number) == 0 {
                return Err(A::Error::missing_field(field.name));
            }
        }
        Ok(message)
    }
}

/// Required fields all stand among the first 64 of their message; a test over the schema holds this.
fn bit(table: &'static crate::descriptor::MessageDescriptor, number: u32) -> u64 {
    let position = table.fields.iter().position(|field| field.number == number);
    position.map_or(0, |index| 1u64.checked_shl(index as u32).unwrap_or(0))
}

/// A field's number, and whether it was found by name.
struct FieldKey {
    number: u32,
    human: bool,
}

struct Key(&'static crate::descriptor::MessageDescriptor);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = FieldKey;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldKey, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = FieldKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name or number")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<FieldKey, E> {
        // Zero is no field's number: it is skipped.
        let number = self.0.field_named(name).map_or(0, |field| field.number);
        Ok(FieldKey {
            number,
            human: true,
        })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<FieldKey, E> {
        Ok(FieldKey {
            number: u32::try_from(number).unwrap_or(0),
            human: false,
        })
    }
}

/// A type that stands for one value of a field.
pub(crate) trait Value: Sized {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        context: Context,
    ) -> Result<Option<Self>, D::Error>;

    /// From an object that has begun already.
    fn read_map<'de, A: MapAccess<'de>>(_map: A, context: Context) -> Result<Self, A::Error> {
        Err(A::Error::custom(format_args!(
            "field '{}': an object",
            context.name
        )))
    }
}

/// A message inside a message.
pub(crate) struct Nested<T>(pub(crate) T);

impl<T: for<'a> Deserialize<'a>> Value for Nested<T> {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        _: Context,
    ) -> Result<Option<Self>, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map(Nested))
    }

    fn read_map<'de, A: MapAccess<'de>>(map: A, _: Context) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Nested)
    }
}

/// An enum's number.
pub(crate) struct EnumNumber(pub(crate) i32);

macro_rules! scalar_value {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D, context: Context) -> Result<Option<Self>, D::Error> {
                deserializer.deserialize_any(Scalar::<Self>(context, PhantomData))
            }
        }
    )*};
}
scalar_value!(
    i32,
    i64,
    u32,
    u64,
    f32,
    f64,
    bool,
    String,
    bytes::Bytes,
    EnumNumber
);

struct Scalar<T>(Context, PhantomData<T>);

/// What a scalar makes of each form it may arrive in; `Err` says what was wrong with a text.
trait FromAny: Sized {
    const EXPECTED: &'static str;
    fn int(_value: i128, _context: Context) -> Option<Option<Self>> {
        None
    }
    fn float(_value: f64) -> Option<Self> {
        None
    }
    fn text(_value: &str, _context: Context) -> Result<Option<Self>, String> {
        Err(format!("expected {}", Self::EXPECTED))
    }
    fn boolean(_value: bool) -> Option<Self> {
        None
    }
    fn raw(_value: &[u8]) -> Option<Self> {
        None
    }
}

impl<T: FromAny> Scalar<T> {
    fn wrong<E: Error>(&self, what: &str) -> E {
        E::custom(format_args!(
            "field '{}': {what}, expected {}",
            self.0.name,
            T::EXPECTED
        ))
    }
}

impl<'de, T: FromAny> Visitor<'de> for Scalar<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for field '{}'", T::EXPECTED, self.0.name)
    }
    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<T>, E> {
        T::boolean(value)
            .map(Some)
            .ok_or_else(|| self.wrong("a boolean"))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<T>, E> {
        T::int(value.into(), self.0).ok_or_else(|| self.wrong("a number"))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<T>, E> {
        T::int(value.into(), self.0).ok_or_else(|| self.wrong("a number"))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<T>, E> {
        T::float(value)
            .map(Some)
            .ok_or_else(|| self.wrong("a fraction"))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Option<T>, E> {
        T::text(value, self.0).map_err(|error| self.wrong(&error))
    }
    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Option<T>, E> {
        T::raw(value).map(Some).ok_or_else(|| self.wrong("bytes"))
    }
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl FromAny for $type {
            const EXPECTED: &'static str = "an integer";
            // Mesos casts: -1 is the largest uint32, 1.7 is 1.
            fn int(value: i128, _: Context) -> Option<Option<Self>> { Some(Some(value as $type)) }
            fn float(value: f64) -> Option<Self> { Some(value as i128 as $type) }
            fn text(value: &str, context: Context) -> Result<Option<Self>, String> {
                if !context.human { return Err("a text".to_string()); }
                number(value).map(|n| Some(match n { Number::Int(n) => n as $type, Number::Float(n) => n as i128 as $type }))
            }
        }
    )*};
}
integer!(i32, i64, u32, u64);

macro_rules! fraction {
    ($($type:ty),*) => {$(
        impl FromAny for $type {
            const EXPECTED: &'static str = "a number";
            fn int(value: i128, _: Context) -> Option<Option<Self>> { Some(Some(value as $type)) }
            fn float(value: f64) -> Option<Self> { Some(value as $type) }
            fn text(value: &str, _: Context) -> Result<Option<Self>, String> {
                match value {
                    "Infinity" => return Ok(Some(<$type>::INFINITY)),
                    "-Infinity" => return Ok(Some(<$type>::NEG_INFINITY)),
                    "NaN" => return Ok(Some(<$type>::NAN)),
                    _ => {}
                }
                number(value).map(|n| Some(match n { Number::Int(n) => n as $type, Number::Float(n) => n as $type }))
            }
        }
    )*};
}
fraction!(f32, f64);

enum Number {
    Int(i128),
    Float(f64),
}

/// A JSON number in a text.
fn number(text: &str) -> Result<Number, String> {
    if let Ok(int) = text.parse::<i64>() {
        return Ok(Number::Int(int.into()));
    }
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(number) => Ok(match number.as_u64() {
            Some(int) => Number::Int(int.into()),
            None => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Err(_) => Err(format!("'{text}' is not a number")),
    }
}

impl FromAny for bool {
    const EXPECTED: &'static str = "a boolean";
    fn boolean(value: bool) -> Option<Self> {
        Some(value)
    }
    fn text(value: &str, _: Context) -> Result<Option<Self>, String> {
        match value {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(format!("'{value}'")),
        }
    }
}

impl FromAny for String {
    const EXPECTED: &'static str = "a string";
    fn text(value: &str, _: Context) -> Result<Option<Self>, String> {
        Ok(Some(value.to_string()))
    }
}

/// As Mesos reads it: blanks and line ends in it are passed over, and padding may be missing (stout's `base64.hpp`).
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    if let Ok(exact) = STANDARD.decode(text) {
        return Ok(exact);
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let until_padding = text.split('=').next().unwrap_or_default();
    let is_blank = |it: &u8| it.is_ascii_whitespace() || *it == b'\x0b';
    let dense: Vec<u8> = until_padding.bytes().filter(|it| !is_blank(it)).collect();
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(dense)
}

impl FromAny for bytes::Bytes {
    const EXPECTED: &'static str = "base64 text";
    fn text(value: &str, context: Context) -> Result<Option<Self>, String> {
        if !context.human {
            return Ok(Some(bytes::Bytes::copy_from_slice(value.as_bytes())));
        }
        from_base64(value)
            .map(|bytes| Some(bytes.into()))
            .map_err(|error| error.to_string())
    }
    fn raw(value: &[u8]) -> Option<Self> {
        Some(bytes::Bytes::copy_from_slice(value))
    }
}

impl FromAny for EnumNumber {
    const EXPECTED: &'static str = "a value's name";
    fn int(value: i128, context: Context) -> Option<Option<Self>> {
        if context.human {
            return None;
        }
        i32::try_from(value)
            .ok()
            .map(|number| Some(EnumNumber(number)))
    }
    fn text(value: &str, context: Context) -> Result<Option<Self>, String> {
        Ok(context
            .values
            .and_then(|table| table.number(value))
            .map(EnumNumber))
    }
}

pub(super) struct One<T>(pub(super) Context, pub(super) PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for One<T> {
    type Value = Option<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer, self.0)
    }
}
