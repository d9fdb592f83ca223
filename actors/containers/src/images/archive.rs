//! Owns reading an image out of an archive that `docker save` made.

use crate::images::ImageError;
use crate::images::digesting::digest_of;
use crate::images::manifest;
use crate::images::reference::Reference;
use crate::images::store::{Store, StoredImage, read_description};
use crate::images::taking::Taking;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::{Component, Path, PathBuf};
use tar::EntryType;
use tepui_archives::Gauge;

const MANIFEST: &str = "manifest.json";
const MAX_MEMBERS: usize = 100_000;

/// Takes the image `reference` into the store, under that name.
pub fn take(
    path: &Path,
    reference: &Reference,
    store: &Store,
    taking: &mut Taking,
) -> Result<StoredImage, ImageError> {
    let mut members = Members::open(path)?;
    let listed = members.description(MANIFEST)?;
    let name = format!("{}:{}", reference.repository, reference.tag_or_latest());
    let saved = manifest::saved(&listed, &name)?;
    let config_json = members.description(&saved.config)?;
    let config = manifest::config(&config_json)?;
    if config.layers.len() != saved.layers.len() {
        return Err(manifest::ManifestError::Disagree {
            manifest: saved.layers.len(),
            config: config.layers.len(),
        }
        .into());
    }
    if let Some(expected) = &reference.digest {
        // An archive has no manifest of a registry: the digest can only be that of the image itself.
        let found = digest_of(config_json.as_slice());
        let found = found.map_err(ImageError::file("read", path))?;
        crate::images::store::equal("configuration", expected, found)?;
    }
    for (digest, member) in config.layers.iter().zip(&saved.layers) {
        store.add_layer(digest, members.open_member(member)?, None, taking)?;
    }
    let image = StoredImage::of(reference, config);
    store.keep(&image)?;
    Ok(image)
}

/// The files of an archive, found by their names.
struct Members {
    path: PathBuf,
    file: File,
    /// Offset and size in bytes.
    files: BTreeMap<String, (u64, u64)>,
    /// Older archives have a layer twice, the second time as a link.
    links: BTreeMap<String, String>,
}

impl Members {
    fn open(path: &Path) -> Result<Self, ImageError> {
        let unreadable = || ImageError::file("read the archive", path);
        let file = File::open(path).map_err(unreadable())?;
        let mut members = Self {
            path: path.to_owned(),
            file: file.try_clone().map_err(unreadable())?,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        members.list(file).map_err(unreadable())?;
        Ok(members)
    }

    fn list(&mut self, file: File) -> io::Result<()> {
        let gauge = Gauge::new(file);
        let allowance = gauge.allowance();
        let mut archive = tar::Archive::new(gauge);
        let mut entries = archive.entries_with_seek()?;
        loop {
            allowance.header();
            let Some(entry) = entries.next() else {
                return Ok(());
            };
            let entry = entry?;
            if self.files.len() + self.links.len() >= MAX_MEMBERS {
                return Err(io::Error::other("it has too many files for an image"));
            }
            let path = entry.path_bytes();
            let Some(name) = plain_name("", &path) else {
                continue;
            };
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let at = (entry.raw_file_position(), entry.size());
                    self.files.entry(name).or_insert(at);
                }
                EntryType::Symlink => {
                    let to = entry.link_name_bytes().unwrap_or_default();
                    let above = name.rsplit_once('/').map_or("", |(above, _)| above);
                    if let Some(to) = plain_name(above, &to) {
                        self.links.entry(name).or_insert(to);
                    }
                }
                _ => {}
            }
        }
    }

    fn open_member(&mut self, name: &str) -> Result<Take<&File>, ImageError> {
        let found = plain_name("", name.as_bytes());
        let found = found.and_then(|name| {
            let name = self.links.get(&name).unwrap_or(&name);
            self.files.get(name).copied()
        });
        let (offset, size) = found.ok_or_else(|| ImageError::NoMember {
            path: self.path.clone(),
            member: name.chars().take(200).collect(),
        })?;
        let sought = self.file.seek(SeekFrom::Start(offset));
        sought.map_err(ImageError::file("read", &self.path))?;
        Ok((&self.file).take(size))
    }

    fn description(&mut self, name: &str) -> Result<Vec<u8>, ImageError> {
        read_description("description", self.open_member(name)?)
    }
}

/// A name of the archive, from the directory `above`, without `.` and `..`; `None` if it leads out.
fn plain_name(above: &str, bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut names: Vec<&str> = above.split('/').filter(|name| !name.is_empty()).collect();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::ParentDir => drop(names.pop()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(names.join("/")).filter(|name| !name.is_empty())
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
