//! What Mesos says of JSON it cannot take (stout `protobuf.hpp`, `json.hpp`; picojson's syntax errors).
//!
//! Reached only when decoding has failed: it may be slow, it must be exact.

use serde_json::{Map, Value};

use super::{json::Error, read::from_base64};
use crate::descriptor::{Described, FieldDescriptor, Kind, Label, MessageDescriptor};

pub(super) fn explain<T: Described>(bytes: &[u8], error: &serde_json::Error) -> Error {
    let table = T::descriptor();
    let convert = |reason: String| Error::Convert {
        message: table.short_name(),
        reason,
    };
    let object = match serde_json::from_slice::<Value>(bytes) {
        Err(error) => return Error::Syntax(syntax(bytes, &error)),
        Ok(Value::Object(object)) => object,
        Ok(_) => return convert("Expecting a JSON object".to_string()),
    };
    if let Err(reason) = types(&object, table) {
        return convert(reason);
    }
    let mut absent = Vec::new();
    missing(&object, table, "", &mut absent);
    if absent.is_empty() {
        return convert(error.to_string());
    }
    convert(format!("Missing required fields: {}", absent.join(", ")))
}

/// `syntax error at line 1 near: …`: the rest of the line from the bad place.
fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    let line = error.line().max(1);
    let text = bytes
        .split(|byte| *byte == b'\n')
        .nth(line - 1)
        .unwrap_or_default();
    let from = if error.is_eof() {
        text.len()
    } else {
        error.column().saturating_sub(1)
    };
    let rest = String::from_utf8_lossy(text.get(from..).unwrap_or_default());
    format!("syntax error at line {line} near: {rest}")
}

/// The first value of a type its field does not take, in the order of keys.
fn types(object: &Map<String, Value>, table: &'static MessageDescriptor) -> Result<(), String> {
    let mut keys: Vec<&String> = object.keys().collect();
    keys.sort();
    for key in keys {
        if let Some(field) = table.field_named(key) {
            field_type(&object[key], field)?;
        }
    }
    Ok(())
}

fn field_type(value: &Value, field: &'static FieldDescriptor) -> Result<(), String> {
    match (field.label, value) {
        (_, Value::Null) => Ok(()),
        (Label::Repeated | Label::Map, Value::Array(values)) => {
            values.iter().try_for_each(|value| field_type(value, field))
        }
        (_, Value::Array(_)) => Err(unexpected(value, field)),
        (Label::Map, Value::Object(entries)) => entries
            .values()
            .try_for_each(|value| one_type(value, field)),
        (Label::Map, _) => Err(unexpected(value, field)),
        _ => one_type(value, field),
    }
}

fn one_type(value: &Value, field: &'static FieldDescriptor) -> Result<(), String> {
    match (field.kind, value) {
        (_, Value::Null) => Ok(()),
        (Kind::Message(table), Value::Object(object)) => types(object, table),
        (Kind::String | Kind::Enum(_), Value::String(_)) | (Kind::Bool, Value::Bool(_)) => Ok(()),
        (Kind::Bool, Value::String(text)) if text == "true" || text == "false" => Ok(()),
        (Kind::Bytes, Value::String(text)) => base64_error(text, field),
        (Kind::Message(_) | Kind::String | Kind::Enum(_) | Kind::Bytes | Kind::Bool, _) => {
            Err(unexpected(value, field))
        }
        (_, Value::Number(_)) => Ok(()),
        (_, Value::String(text)) => number_error(text, field),
        _ => Err(unexpected(value, field)),
    }
}

fn unexpected(value: &Value, field: &FieldDescriptor) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("Not expecting a JSON {kind} for field '{}'", field.name)
}

fn base64_error(text: &str, field: &FieldDescriptor) -> Result<(), String> {
    let reason = match from_base64(text) {
        Ok(_) => return Ok(()),
        Err(base64::DecodeError::InvalidByte(_, byte)) => {
            format!("Invalid character '{}'", char::from(byte))
        }
        Err(error) => error.to_string(),
    };
    Err(format!(
        "Failed to base64 decode bytes field '{}': {reason}",
        field.name
    ))
}

fn number_error(text: &str, field: &FieldDescriptor) -> Result<(), String> {
    if matches!(text, "Infinity" | "-Infinity" | "NaN")
        && matches!(field.kind, Kind::Double | Kind::Float)
    {
        return Ok(());
    }
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "Failed to parse '{text}' as a JSON number for field '{}': {}",
            field.name,
            syntax(text.as_bytes(), &error)
        )),
    }
}

/// Required fields that are absent: of the message itself in the order of declaration, then of those inside it.
fn missing(
    object: &Map<String, Value>,
    table: &'static MessageDescriptor,
    prefix: &str,
    absent: &mut Vec<String>,
) {
    for field in table.fields {
        if field.label == Label::Required && !present(object.get(field.name), field) {
            absent.push(format!("{prefix}{}", field.name));
        }
    }
    for field in table.fields {
        let (Kind::Message(inner), Some(value)) = (field.kind, object.get(field.name)) else {
            continue;
        };
        let within = format!("{prefix}{}", field.name);
        match field.label {
            Label::Map => {
                let maps = items(value).into_iter().filter_map(Value::as_object);
                for (key, value) in maps.flatten() {
                    nested(value, inner, &format!("{within}[{key}]."), absent);
                }
            }
            Label::Repeated => {
                for (index, value) in items(value).into_iter().enumerate() {
                    nested(value, inner, &format!("{within}[{index}]."), absent);
                }
            }
            _ => nested(value, inner, &format!("{within}."), absent),
        }
    }
}

/// What a list comes to: a bare value is one of one item, lists within it are part of it, `null` is nothing.
fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().flat_map(items).collect(),
        value => vec![value],
    }
}

fn nested(
    value: &Value,
    table: &'static MessageDescriptor,
    prefix: &str,
    absent: &mut Vec<String>,
) {
    if let Value::Object(object) = value {
        missing(object, table, prefix, absent);
    }
}

fn present(value: Option<&Value>, field: &FieldDescriptor) -> bool {
    match (value, field.kind) {
        (None | Some(Value::Null), _) => false,
        (Some(Value::String(name)), Kind::Enum(table)) => table.number(name).is_some(),
        _ => true,
    }
}
