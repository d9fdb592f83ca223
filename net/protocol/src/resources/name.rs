//! The name of a resource, cheap to clone and compare.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// `cpus`, `mem`, …: the usual names cost nothing to clone, others a reference count.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Usual(&'static str),
    Other(Arc<str>),
}

const USUAL: [&str; 6] = ["cpus", "mem", "disk", "ports", "gpus", "ephemeral_ports"];

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Usual(name) => name,
            Repr::Other(name) => name,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        match USUAL.iter().find(|usual| **usual == name) {
            Some(usual) => Self(Repr::Usual(usual)),
            None => Self(Repr::Other(name.into())),
        }
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
