//! The schema as it stands, line by line: a name, number, label or type that changes by mistake fails here.
//!
//! After a change that is meant: `TEPUI_BLESS=1 cargo test -p tepui-protocol --test schema`, and read the difference.

use std::{fmt::Write, fs, path::Path};

use tepui_protocol::{
    ENUMS, MESSAGES,
    catalogue::KINDS,
    descriptor::{FieldDescriptor, Kind},
};

fn kind(field: &FieldDescriptor) -> String {
    match field.kind {
        Kind::Message(message) => message.name.to_string(),
        Kind::Enum(values) => values.name.to_string(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn dump() -> String {
    let mut text = String::new();
    for message in MESSAGES {
        writeln!(text, "{}", message.name).expect("a string takes all");
        for field in message.fields {
            let label = format!("{:?}", field.label).to_lowercase();
            writeln!(
                text,
                "  {} {label} {} {}",
                field.number,
                kind(field),
                field.name
            )
            .expect("a string takes all");
        }
    }
    for values in ENUMS {
        writeln!(text, "{}", values.name).expect("a string takes all");
        for (name, number) in values.values {
            writeln!(text, "  {number} {name}").expect("a string takes all");
        }
    }
    for (number, name) in KINDS {
        writeln!(text, "kind {number} {name}").expect("a string takes all");
    }
    text
}

#[test]
fn the_schema_changes_only_on_purpose() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema.txt");
    let now = dump();
    if std::env::var_os("TEPUI_BLESS").is_some() {
        fs::write(&path, &now).expect("the file can be written");
    }
    let kept = fs::read_to_string(&path).expect("schema.txt is kept beside this test");
    let changed = kept
        .lines()
        .zip(now.lines())
        .find(|(kept, now)| kept != now);
    assert_eq!(changed, None, "kept and now");
    assert_eq!(
        kept.lines().count(),
        now.lines().count(),
        "lines kept and now"
    );
}
