//! Writes, for each message, its descriptor table and its serde code; see `src/codec/` for what they call.

use std::fmt::Write;

use protox::prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind,
    MessageDescriptor,
};

use crate::names::{constant, message_path, snake};

pub(crate) fn generate(pool: DescriptorPool) -> String {
    let print_empty = pool
        .get_extension_by_name("tepui.print_empty")
        .expect("options.proto declares print_empty");
    let mut out = String::new();
    for enumeration in pool.all_enums().filter(|e| ours(e.full_name())) {
        enum_table(&mut out, &enumeration);
    }
    let enums: Vec<String> = pool
        .all_enums()
        .filter(|e| ours(e.full_name()))
        .map(|e| format!("&{}", constant(e.full_name())))
        .collect();
    line(
        &mut out,
        &format!(
            "/// Every enum of the schema.\npub static ENUMS: [&EnumDescriptor; {}] = [{}];",
            enums.len(),
            enums.join(", ")
        ),
    );
    let mut count = 0;
    for message in pool
        .all_messages()
        .filter(|m| ours(m.full_name()) && !m.is_map_entry())
    {
        count += 1;
        message_table(&mut out, &message, &print_empty);
        serialize(&mut out, &message, &print_empty);
        fields(&mut out, &message);
    }
    let all: Vec<String> = pool
        .all_messages()
        .filter(|m| ours(m.full_name()) && !m.is_map_entry())
        .map(|m| format!("&{}", constant(m.full_name())))
        .collect();
    line(
        &mut out,
        &format!(
            "/// Every message of the schema.\npub static MESSAGES: [&MessageDescriptor; {count}] = [{}];",
            all.join(", ")
        ),
    );
    out
}

fn ours(full_name: &str) -> bool {
    full_name.starts_with("mesos.")
        || full_name.starts_with("tepui.")
        || full_name == "google.protobuf.Duration"
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn enum_table(out: &mut String, enumeration: &EnumDescriptor) {
    let values: Vec<String> = enumeration
        .values()
        .map(|value| format!("({:?}, {})", value.name(), value.number()))
        .collect();
    writeln!(
        out,
        "static {}: EnumDescriptor = EnumDescriptor {{ name: {:?}, values: &[{}] }};",
        constant(enumeration.full_name()),
        enumeration.full_name(),
        values.join(", ")
    )
    .expect("writing to a string");
}

fn message_table(out: &mut String, message: &MessageDescriptor, print_empty: &ExtensionDescriptor) {
    let name = constant(message.full_name());
    let fields: Vec<String> = declared(message)
        .map(|field| {
            format!(
                "FieldDescriptor {{ name: {:?}, number: {}, label: Label::{}, kind: {}, print_empty: {} }}",
                field.name(),
                field.number(),
                label(&field),
                kind_table(&field),
                prints_empty(&field, print_empty)
            )
        })
        .collect();
    line(
        out,
        &format!(
            "static {name}: MessageDescriptor = MessageDescriptor {{ name: {:?}, fields: &[{}], memory: size_of::<{}>() }};",
            message.full_name(),
            fields.join(", "),
            message_path(message)
        ),
    );
    line(
        out,
        &format!(
            "impl Described for {} {{ fn descriptor() -> &'static MessageDescriptor {{ &{name} }} }}",
            message_path(message)
        ),
    );
}

/// Fields in the order of declaration, which is the order of JSON.
fn declared(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> + use<> {
    let order: Vec<u32> = message
        .descriptor_proto()
        .field
        .iter()
        .map(|field| field.number() as u32)
        .collect();
    let message = message.clone();
    order
        .into_iter()
        .map(move |number| message.get_field(number).expect("declared field"))
}

fn prints_empty(field: &FieldDescriptor, option: &ExtensionDescriptor) -> bool {
    let options = field.options();
    options.has_extension(option) && options.get_extension(option).as_bool() == Some(true)
}

fn label(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        _ if field.is_map() => "Map",
        Cardinality::Optional => "Optional",
        Cardinality::Required => "Required",
        Cardinality::Repeated => "Repeated",
    }
}

/// The form of a field's Rust type; a proto3 scalar (in `google.protobuf.Duration`) is there without an `Option`.
fn shape(field: &FieldDescriptor) -> &'static str {
    match label(field) {
        "Optional" if !field.supports_presence() => "Implicit",
        label => label,
    }
}

/// The kind of a field, or of a map's values.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

fn kind_table(field: &FieldDescriptor) -> String {
    match value_kind(field) {
        Kind::Message(message) => format!("Kind::Message(&{})", constant(message.full_name())),
        Kind::Enum(enumeration) => format!("Kind::Enum(&{})", constant(enumeration.full_name())),
        kind => format!("Kind::{}", scalar(&kind).0),
    }
}

/// The table's name and the Rust type of a scalar.
fn scalar(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Double => ("Double", "f64"),
        Kind::Float => ("Float", "f32"),
        Kind::Int32 => ("Int32", "i32"),
        Kind::Int64 => ("Int64", "i64"),
        Kind::Uint32 => ("Uint32", "u32"),
        Kind::Uint64 => ("Uint64", "u64"),
        Kind::Bool => ("Bool", "bool"),
        Kind::String => ("String", "String"),
        Kind::Bytes => ("Bytes", "bytes::Bytes"),
        other => panic!("the schema uses no field of kind {other:?}; add it here"),
    }
}

fn serialize(out: &mut String, message: &MessageDescriptor, print_empty: &ExtensionDescriptor) {
    let path = message_path(message);
    line(out, &format!("impl serde::Serialize for {path} {{"));
    line(
        out,
        "fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {",
    );
    let counts: Vec<String> = declared(message)
        .map(|field| {
            let ident = snake(field.name());
            match shape(&field) {
                "Required" | "Implicit" => "1".to_string(),
                "Optional" => format!("usize::from(self.{ident}.is_some())"),
                _ => format!("usize::from(!self.{ident}.is_empty())"),
            }
        })
        .collect();
    let count = if counts.is_empty() {
        "0".to_string()
    } else {
        counts.join(" + ")
    };
    line(
        out,
        &format!("#[allow(unused_mut)] let mut writer = Writer::begin(serializer, {count})?;"),
    );
    for field in declared(message) {
        serialize_field(out, &field, prints_empty(&field, print_empty));
    }
    line(out, "writer.end()\n}\n}");
}

fn serialize_field(out: &mut String, field: &FieldDescriptor, print_empty: bool) {
    let (ident, name, number) = (snake(field.name()), field.name(), field.number());
    let (method, table) = match value_kind(field) {
        Kind::Enum(e) => ("enumeration", format!(", &{}", constant(e.full_name()))),
        Kind::Bytes => ("bytes", String::new()),
        Kind::Double | Kind::Float => ("double", String::new()),
        _ => ("value", String::new()),
    };
    match shape(field) {
        "Required" | "Implicit" => line(
            out,
            &format!("writer.{method}({name:?}, {number}, &self.{ident}{table})?;"),
        ),
        "Optional" => line(
            out,
            &format!(
                "if let Some(value) = &self.{ident} {{ writer.{method}({name:?}, {number}, value{table})?; }}"
            ),
        ),
        "Map" => {
            assert!(
                matches!(method, "value"),
                "maps of enums, bytes and numbers are not in the schema"
            );
            line(
                out,
                &format!(
                    "if !self.{ident}.is_empty() {{ writer.value({name:?}, {number}, &self.{ident})?; }}"
                ),
            );
        }
        _ => {
            let condition = if print_empty {
                format!("!self.{ident}.is_empty() || writer.human()")
            } else {
                format!("!self.{ident}.is_empty()")
            };
            line(
                out,
                &format!(
                    "if {condition} {{ writer.{method}s({name:?}, {number}, &self.{ident}{table})?; }}"
                ),
            );
        }
    }
}

fn fields(out: &mut String, message: &MessageDescriptor) {
    let path = message_path(message);
    line(out, &format!("impl Fields for {path} {{"));
    line(
        out,
        "#[allow(unused_variables, clippy::useless_conversion)]",
    );
    line(
        out,
        "fn read<'de, A: serde::de::MapAccess<'de>>(&mut self, number: u32, human: bool, map: &mut A) -> Result<bool, A::Error> {",
    );
    line(out, "match number {");
    for field in declared(message) {
        read_field(out, &field);
    }
    line(out, "_ => skip(map),\n}\n}\n}");
    line(
        out,
        &format!("impl<'de> serde::Deserialize<'de> for {path} {{"),
    );
    line(
        out,
        "fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> { message(deserializer) }\n}",
    );
}

fn read_field(out: &mut String, field: &FieldDescriptor) {
    let (ident, number) = (snake(field.name()), field.number());
    let (marker, table, unwrap) = match value_kind(field) {
        Kind::Enum(e) => (
            "EnumNumber".to_string(),
            format!("Some(&{})", constant(e.full_name())),
            ".0",
        ),
        Kind::Message(m) => (
            format!("Nested<{}>", message_path(&m)),
            "None".to_string(),
            ".0",
        ),
        kind => (scalar(&kind).1.to_string(), "None".to_string(), ""),
    };
    let context = format!(
        "Context {{ name: {:?}, human, values: {table} }}",
        field.name()
    );
    let into = if matches!(value_kind(field), Kind::Message(_)) {
        ".into()"
    } else {
        ""
    };
    let text = match shape(field) {
        "Implicit" => format!(
            "{{ if let Some(value) = one::<{marker}, A>(map, {context})? {{ self.{ident} = value; }} Ok(true) }}"
        ),
        "Required" => format!(
            "match one::<{marker}, A>(map, {context})? {{ Some(value) => {{ self.{ident} = value{unwrap}{into}; Ok(true) }} None => Ok(false) }}"
        ),
        "Optional" => format!(
            "{{ if let Some(value) = one::<{marker}, A>(map, {context})? {{ self.{ident} = Some(value{unwrap}{into}); }} Ok(true) }}"
        ),
        "Map" => format!(
            "{{ self.{ident} = entries::<{marker}, A>(map, {context})?.into_iter().map(|(key, value)| (key, value{unwrap})).collect(); Ok(true) }}"
        ),
        _ => format!(
            "{{ self.{ident} = many::<{marker}, A>(map, {context})?.into_iter().map(|value| value{unwrap}).collect(); Ok(true) }}"
        ),
    };
    line(out, &format!("{number} => {text},"));
}
