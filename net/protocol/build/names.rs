//! The names prost gives to types and fields, so that generated code can point at them.

use heck::{ToSnakeCase, ToUpperCamelCase};
use protox::prost_reflect::MessageDescriptor;

/// `mesos.v1.scheduler.Event.Subscribed` as `crate::schema::mesos::v1::scheduler::event::Subscribed`.
pub(crate) fn message_path(message: &MessageDescriptor) -> String {
    let (parents, name) = message
        .full_name()
        .rsplit_once('.')
        .expect("every type has a package");
    let modules: Vec<String> = parents.split('.').map(snake).collect();
    format!(
        "crate::schema::{}::{}",
        modules.join("::"),
        name.to_upper_camel_case()
    )
}

/// A field's identifier; Rust keywords are raw.
pub(crate) fn snake(name: &str) -> String {
    let ident = name.to_snake_case();
    if matches!(
        ident.as_str(),
        "type" | "ref" | "mod" | "use" | "match" | "where" | "loop" | "move" | "box"
    ) {
        format!("r#{ident}")
    } else {
        ident
    }
}

/// A constant's name for a type: `MESOS_V1_OFFER`.
pub(crate) fn constant(full_name: &str) -> String {
    full_name.replace('.', "_").to_snake_case().to_uppercase()
}
