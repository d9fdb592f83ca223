//! Owns images of containers: their names, where they come from, the store of layers that containers share, and the
//! root file systems made of them.
//!
//! ```text
//!  name ──► source: a folder of archives or OCI layouts, or a registry
//!             │ manifest, configuration, layers: each checked against its digest
//!             ▼
//!           store/layers/<digest>   unpacked once, shared, never written to
//!           store/images/<name>     which layers, how to run
//!             │
//!             ▼
//!           provisioner/<container>/  l: links to the layers, u: what the container writes, root: where it is mounted
//! ```
//!
//! The mounts themselves are the shim's, in the container's own view of the file system: nothing is mounted on the
//! machine, and nothing has to be unmounted when the container ends or the agent does.

pub mod access;
pub mod archive;
mod copy;
mod digesting;
pub mod folder;
pub mod holds;
pub mod layout;
pub mod manifest;
pub mod reference;
pub mod registry;
pub mod roots;
pub mod store;
pub mod taking;
#[cfg(test)]
mod testing;
pub mod unpack;
pub mod users;

pub use manifest::RunConfig;
pub use reference::{Digest, Reference, ReferenceError};
pub use roots::{Backend, Roots};
pub use store::{Store, StoredImage};
pub use taking::{Taking, Waiting};

use std::io;
use std::path::PathBuf;

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
    #[error(transparent)]
    Unpack(#[from] unpack::UnpackError),
    #[error("cannot {action} {path} ({source})")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "its {what} should have the digest {expected} and has {found}: it was changed or is damaged"
    )]
    Digest {
        what: &'static str,
        expected: Digest,
        found: Digest,
    },
    #[error("its {what} has more than {max_bytes} bytes")]
    TooBig { what: &'static str, max_bytes: u64 },
    #[error("the archive {path} has no file '{member}'")]
    NoMember { path: PathBuf, member: String },
    #[error(
        "there is no image '{name}': expected {archive}, as 'docker save' makes it, or an OCI layout {layout}"
    )]
    NotThere {
        name: String,
        archive: PathBuf,
        layout: PathBuf,
    },
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What a registry did not do. No text shows a login or a token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "'{0}' is no address of a registry; expected https://host[:port], or http:// where nobody else listens"
    )]
    Scheme(String),
    #[error("the registry {host} failed: {reason}")]
    Failed { host: String, reason: String },
    #[error("the registry {host} has no {what} of {repository}")]
    NotThere {
        host: String,
        repository: String,
        what: String,
    },
    #[error(
        "the registry {host} does not give {repository} to this agent: there is no such image, or --docker_config has no login for it"
    )]
    NotAllowed { host: String, repository: String },
}

impl ImageError {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
