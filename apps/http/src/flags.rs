//! The table that `/flags` shows: Mesos' names of flags, for tools that read them, and what holds here.

use std::{collections::BTreeMap, fmt::Display, path::Path, time::Duration};

use tepui_protocol::{codec::json, durations::duration_text, v1::DomainInfo};

/// Names and values, as Mesos writes them.
#[derive(Debug, Default)]
pub struct Flags(BTreeMap<String, String>);

impl Flags {
    /// Those that are the same for every daemon of a kind.
    pub fn fixed(table: &[(&str, &str)]) -> Flags {
        let mut flags = Flags::default();
        for (name, value) in table {
            flags.set(name, value);
        }
        flags
    }

    pub fn set(&mut self, name: &str, value: impl Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// Mesos leaves a flag out that was not given and has no default.
    pub fn set_given(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub fn set_time(&mut self, name: &str, value: Duration) {
        self.set(name, duration_text(value));
    }

    pub fn set_path(&mut self, name: &str, value: &Path) {
        self.set(name, value.display());
    }

    /// As the JSON that `--domain` takes.
    pub fn set_domain(&mut self, domain: Option<&DomainInfo>) {
        let text = domain.and_then(|domain| String::from_utf8(json::encode(domain).ok()?).ok());
        self.set_given("domain", text);
    }

    pub fn into_table(self) -> BTreeMap<String, String> {
        self.0
    }
}
