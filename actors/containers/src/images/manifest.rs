//! Owns reading what describes an image: manifests and indexes of registries and OCI layouts (Docker's schema 2 and
//! OCI), the list in an archive of `docker save`, and an image's own configuration. Pure.

use crate::images::reference::Digest;
use serde::Deserialize;

/// No description is longer.
pub const MAX_DESCRIPTION_BYTES: u64 = 8 << 20;
/// As Docker: what overlays can be stacked of.
pub const MAX_LAYERS: usize = 127;
/// Images an index or an archive may name.
const MAX_IMAGES: usize = 4096;

/// Media types of what can be used, as a registry is asked for them.
pub const ACCEPTED: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("its {what} is not the JSON that was expected ({reason})")]
    Form { what: &'static str, reason: String },
    #[error(
        "its manifest is of schema 1, which no registry should serve any more; push the image again"
    )]
    Schema1,
    #[error("its {what} says '{given}' where a sha256 digest was expected")]
    Digest { what: &'static str, given: String },
    #[error("it has {0} layers; expected at least 1 and at most {MAX_LAYERS}")]
    Layers(usize),
    #[error("its manifest has {manifest} layers and its configuration {config}")]
    Disagree { manifest: usize, config: usize },
    #[error("it is not for {expected}; it is for: {}", .given.join(", "))]
    Platform {
        expected: String,
        given: Vec<String>,
    },
    #[error("no image of that name is in it; it has: {}", .0.join(", "))]
    NotThere(Vec<String>),
}

/// Something that a manifest names by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub size_bytes: u64,
}

/// What an image consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub config: Blob,
    /// From the bottom.
    pub layers: Vec<Blob>,
}

/// A manifest, or the choice between several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    Image(Manifest),
    Index(Vec<Choice>),
}

/// One image of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub manifest: Blob,
    /// `os/architecture`, where it is told.
    pub platform: Option<String>,
    /// The name an OCI layout gives it.
    pub name: Option<String>,
}

/// How an image is to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct RunConfig {
    #[serde(rename = "Entrypoint", default, deserialize_with = "list")]
    pub entrypoint: Vec<String>,
    #[serde(rename = "Cmd", default, deserialize_with = "list")]
    pub cmd: Vec<String>,
    /// `NAME=value`.
    #[serde(rename = "Env", default, deserialize_with = "list")]
    pub env: Vec<String>,
    #[serde(rename = "WorkingDir", default, deserialize_with = "text")]
    pub working_dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(rename = "User", default, deserialize_with = "text")]
    pub user: String,
}

/// An image's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    pub run: RunConfig,
    /// The digests of the layers as plain archives, from the bottom.
    pub layers: Vec<Digest>,
}

/// One image of an archive that `docker save` made: names of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub config: String,
    pub layers: Vec<String>,
}

#[derive(Deserialize)]
struct RawBlob {
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Deserialize)]
struct RawManifest {
    #[serde(rename = "schemaVersion", default)]
    schema_version: u32,
    config: Option<RawBlob>,
    #[serde(default)]
    layers: Vec<RawBlob>,
    manifests: Option<Vec<RawBlob>>,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    config: Option<RunConfig>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSaved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads a manifest or an index.
pub fn described(json: &[u8]) -> Result<Described, ManifestError> {
    let what = "manifest";
    let raw: RawManifest = read(what, json)?;
    if raw.schema_version == 1 {
        return Err(ManifestError::Schema1);
    }
    if let Some(manifests) = raw.manifests {
        let choices = manifests.into_iter().take(MAX_IMAGES).map(choice);
        return Ok(Described::Index(choices.collect::<Result<_, _>>()?));
    }
    let missing = || ManifestError::Form {
        what,
        reason: "it has no 'config'".to_owned(),
    };
    let layers = raw.layers.into_iter().map(|it| blob(what, it));
    let manifest = Manifest {
        config: blob(what, raw.config.ok_or_else(missing)?)?,
        layers: layers.collect::<Result<_, _>>()?,
    };
    count(manifest.layers.len())?;
    Ok(Described::Image(manifest))
}

/// The image of an index that is for this machine, or that is said to be for none.
pub fn for_platform(choices: &[Choice], platform: &str) -> Result<Blob, ManifestError> {
    let fits = |it: &&Choice| it.platform.as_deref() == Some(platform);
    let any = |it: &&Choice| it.platform.is_none();
    let found = choices.iter().find(fits);
    let found = found.or_else(|| choices.iter().find(any));
    found
        .map(|it| it.manifest.clone())
        .ok_or_else(|| ManifestError::Platform {
            expected: platform.to_owned(),
            given: choices
                .iter()
                .filter_map(|it| it.platform.clone())
                .collect(),
        })
}

/// The image of a layout with one of these names. A layout of one image needs no names.
pub fn named(choices: &[Choice], names: &[&str]) -> Result<Vec<Choice>, ManifestError> {
    let has = |it: &&Choice| it.name.as_deref().is_some_and(|name| names.contains(&name));
    let found: Vec<_> = choices.iter().filter(has).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if choices.iter().all(|it| it.name.is_none()) {
        return Ok(choices.to_vec());
    }
    let given = choices.iter().filter_map(|it| it.name.clone());
    Err(ManifestError::NotThere(given.collect()))
}

/// Reads an image's own configuration.
pub fn config(json: &[u8]) -> Result<ImageConfig, ManifestError> {
    let what = "configuration";
    let raw: RawConfig = read(what, json)?;
    let layers = raw.rootfs.diff_ids.iter().map(|it| digest(what, it));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    count(layers.len())?;
    Ok(ImageConfig {
        run: raw.config.unwrap_or_default(),
        layers,
    })
}

/// The image that an archive's `manifest.json` lists under `name`, `repository:tag`; of a single one the name does not
/// count, as in Mesos.
pub fn saved(json: &[u8], name: &str) -> Result<Saved, ManifestError> {
    let images: Vec<RawSaved> = read("manifest.json", json)?;
    let names = |it: &RawSaved| it.repo_tags.clone().unwrap_or_default();
    let found = match images.as_slice() {
        [only] => Some(only),
        several => several
            .iter()
            .find(|it| names(it).iter().any(|it| it == name)),
    };
    let all = || images.iter().take(MAX_IMAGES).flat_map(names).collect();
    let found = found.ok_or_else(|| ManifestError::NotThere(all()))?;
    count(found.layers.len())?;
    Ok(Saved {
        config: found.config.clone(),
        layers: found.layers.clone(),
    })
}

fn count(layers: usize) -> Result<(), ManifestError> {
    if (1..=MAX_LAYERS).contains(&layers) {
        return Ok(());
    }
    Err(ManifestError::Layers(layers))
}

fn choice(raw: RawBlob) -> Result<Choice, ManifestError> {
    let platform = raw.platform.as_ref();
    let platform = platform.map(|it| format!("{}/{}", it.os, it.architecture));
    let annotations = raw.annotations.as_ref();
    let name = annotations.and_then(|all| all.get(REFERENCE_NAME).cloned());
    Ok(Choice {
        manifest: blob("index", raw)?,
        platform,
        name,
    })
}

fn blob(what: &'static str, raw: RawBlob) -> Result<Blob, ManifestError> {
    Ok(Blob {
        digest: digest(what, &raw.digest)?,
        size_bytes: raw.size,
    })
}

fn digest(what: &'static str, given: &str) -> Result<Digest, ManifestError> {
    given.parse().map_err(|_| ManifestError::Digest {
        what,
        given: given
            .chars()
            .take(80)
            .flat_map(char::escape_debug)
            .collect(),
    })
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, json: &'a [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(json).map_err(|error| ManifestError::Form {
        what,
        reason: error.to_string(),
    })
}

/// Docker writes null for what is empty.
fn list<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
