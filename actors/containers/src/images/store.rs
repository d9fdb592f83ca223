//! Owns what is kept of images on disk: each layer once, unpacked, under the digest of its plain archive; and for each
//! image a small file that says which layers it has and how it is run. Both appear whole, by a rename.

use crate::images::ImageError;
use crate::images::digesting::{Digesting, digest_of};
use crate::images::holds::Holds;
use crate::images::manifest::{ImageConfig, MAX_DESCRIPTION_BYTES, RunConfig};
use crate::images::reference::{Digest, Reference};
use crate::images::taking::{Taking, Waiting};
use crate::images::unpack::{Bounds, unpack};
use crate::whole;
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Others must not reach set-user-id programs of images.
const PRIVATE: u32 = 0o700;
/// The root of an image that says nothing of it.
const ROOT_MODE: Mode = Mode::from_raw_mode(0o755);

/// An image whose layers are all there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// As [`Reference`] shows itself.
    pub name: String,
    /// `sha256:…` of the layers, from the bottom.
    pub layers: Vec<String>,
    pub run: RunConfig,
}

impl StoredImage {
    pub(crate) fn of(reference: &Reference, config: ImageConfig) -> Self {
        Self {
            name: reference.to_string(),
            layers: config.layers.iter().map(ToString::to_string).collect(),
            run: config.run,
        }
    }
}

/// What a removal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub images: usize,
    pub layers: usize,
}

/// Images on disk. The methods block.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    next: AtomicU64,
    bounds: Bounds,
    holds: Holds,
}

impl Store {
    /// Opens or makes it. What an earlier agent left half done is removed.
    pub fn open(dir: PathBuf, bounds: Bounds) -> Result<Self, ImageError> {
        let store = Self {
            dir,
            next: AtomicU64::new(0),
            bounds,
            holds: Holds::default(),
        };
        remove(&store.tmp())?;
        for made in [store.layers(), store.images(), store.tmp()] {
            let mut directory = DirBuilder::new();
            let done = directory.recursive(true).mode(PRIVATE).create(&made);
            done.map_err(ImageError::file("make the directory", made))?;
        }
        Ok(store)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins to take an image, for who is `waiting` for it.
    pub fn taking(&self, waiting: &Waiting) -> Taking {
        Taking::new(self.bounds, waiting)
    }

    pub(crate) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Where a layer lies, if it is there.
    pub fn layer(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.layers().join(digest.hex())).filter(|path| path.is_dir())
    }

    /// The layers of an image, from the bottom; `None` if one is missing. Of one that is there several times, as builders make
    /// empty ones, only the uppermost counts: whatever is of it lies above all else, and no overlay has it twice.
    pub fn layers_of(&self, image: &StoredImage) -> Option<Vec<PathBuf>> {
        let mut seen = BTreeSet::new();
        let from_top = image.layers.iter().rev().filter(|it| seen.insert(*it));
        let layers = from_top.map(|digest| self.layer(&digest.parse().ok()?));
        let mut layers = layers.collect::<Option<Vec<_>>>()?;
        layers.reverse();
        Some(layers)
    }

    /// What is known of the image of that name, if all of it is there. It stays there while `taking` lives.
    pub fn image(&self, reference: &Reference, taking: &mut Taking) -> Option<StoredImage> {
        let image = read_image(&self.image_file(&reference.to_string())).ok()?;
        let layers = image.layers.iter().map(|layer| layer.parse().ok());
        let layers = layers.collect::<Option<Vec<Digest>>>()?;
        taking.hold(&self.holds, &layers);
        self.layers_of(&image)?;
        Some(image)
    }

    /// Keeps an image whose layers are there.
    pub fn keep(&self, image: &StoredImage) -> Result<(), ImageError> {
        let path = self.image_file(&image.name);
        let fresh = self.tmp().join(self.number());
        let written = whole::replace_json(&path, &fresh, image, true);
        written.map_err(ImageError::file("write", &path))
    }

    /// Unpacks a layer, unless it is there: `packed` is it as it came, with the digest it then must have, if one is
    /// known. It stays there while `taking` lives.
    pub fn add_layer(
        &self,
        digest: &Digest,
        packed: impl Read,
        packed_digest: Option<&Digest>,
        taking: &mut Taking,
    ) -> Result<(), ImageError> {
        taking.hold(&self.holds, [digest]);
        if self.layer(digest).is_some() {
            return Ok(());
        }
        let fresh = self.tmp().join(self.number());
        let added = self.unpack(&fresh, digest, packed, packed_digest, taking);
        let added = added.and_then(|()| {
            let path = self.layers().join(digest.hex());
            match std::fs::rename(&fresh, &path) {
                // Another was faster; it is the same.
                Err(_) if path.is_dir() => Ok(()),
                renamed => renamed.map_err(ImageError::file("make", path)),
            }
        });
        // Nothing is left where it was renamed; the next agent removes what cannot be removed now.
        let _ = remove(&fresh);
        added
    }

    fn unpack(
        &self,
        into: &Path,
        digest: &Digest,
        packed: impl Read,
        packed_digest: Option<&Digest>,
        taking: &mut Taking,
    ) -> Result<(), ImageError> {
        let directory = make_root(into).map_err(ImageError::file("make the directory", into))?;
        let mut packed = Digesting::new(taking.watch(packed, u64::MAX));
        let unreadable =
            |error| ImageError::Unpack(crate::images::unpack::UnpackError::Read(error));
        let archive = tepui_archives::plain(&mut packed).map_err(unreadable)?;
        let mut archive = Digesting::new(taking.watch(archive, taking.archive_bytes()));
        unpack(&mut archive, &directory, taking)?;
        equal("layer", digest, archive.digest())?;
        if let Some(expected) = packed_digest {
            io::copy(&mut packed, &mut io::sink()).map_err(unreadable)?;
            equal("packed layer", expected, packed.digest())?;
        }
        // The rename must not outlive a loss of power without the files.
        rustix::fs::syncfs(&directory)
            .map_err(|errno| ImageError::file("write to", into)(errno.into()))
    }

    /// A directory for what is on its way into the store; the next agent removes what is left of it.
    pub fn scratch(&self) -> Result<PathBuf, ImageError> {
        let path = self.tmp().join(self.number());
        let made = DirBuilder::new().mode(PRIVATE).create(&path);
        made.map_err(ImageError::file("make the directory", &path))?;
        Ok(path)
    }

    /// Removes images that are neither among `kept` names nor made of layers in use alone, and layers that then belong
    /// to no image and no container, and that nobody is about to use. `in_use` tells the digits of layers that containers
    /// see; where it fails nothing is removed.
    pub fn prune(
        &self,
        kept: &BTreeSet<String>,
        in_use: impl FnOnce() -> Result<BTreeSet<String>, ImageError>,
    ) -> Result<Pruned, ImageError> {
        let closed = self.holds.close();
        // Holds first: a layer is held until a container's root names it.
        let mut used = closed.digits();
        used.extend(in_use()?);
        let (images, needed) = self.prune_images(kept, &used)?;
        let doomed = self.put_aside(&needed)?;
        drop(closed);
        // What is left of one that fails goes with the agent's next start.
        let removed: Vec<_> = doomed.iter().map(|layer| remove(layer)).collect();
        removed.into_iter().collect::<Result<(), _>>()?;
        let layers = doomed.len();
        Ok(Pruned { images, layers })
    }

    /// Removes images; says how many, and which layers stay.
    fn prune_images(
        &self,
        kept: &BTreeSet<String>,
        used: &BTreeSet<String>,
    ) -> Result<(usize, BTreeSet<String>), ImageError> {
        let (mut pruned, mut needed) = (0, used.clone());
        for path in entries(&self.images())? {
            let image = match read_image(&path) {
                Ok(image) => Some(image),
                // A record that is damaged is no image; one that cannot be read now may be.
                Err(Unreadable::Form) => None,
                Err(Unreadable::File(source)) => {
                    return Err(ImageError::file("read", path)(source));
                }
            };
            let layers = image.iter().flat_map(|image| &image.layers);
            let layers: Vec<String> = layers
                .filter_map(|layer| Some(layer.parse::<Digest>().ok()?.hex().to_owned()))
                .collect();
            let runs = !layers.is_empty() && layers.iter().all(|layer| used.contains(layer));
            if runs || image.is_some_and(|image| kept.contains(&image.name)) {
                needed.extend(layers);
                continue;
            }
            std::fs::remove_file(&path).map_err(ImageError::file("remove", &path))?;
            pruned += 1;
        }
        Ok((pruned, needed))
    }

    /// Half a layer must never be taken for a whole one: out of the way first, removed later.
    fn put_aside(&self, needed: &BTreeSet<String>) -> Result<Vec<PathBuf>, ImageError> {
        let mut doomed = Vec::new();
        for path in entries(&self.layers())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !needed.contains(&*name) {
                let aside = self.tmp().join(self.number());
                std::fs::rename(&path, &aside).map_err(ImageError::file("remove", &path))?;
                doomed.push(aside);
            }
        }
        Ok(doomed)
    }

    fn number(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Names have slashes and colons: the file has the digest of the name.
    fn image_file(&self, name: &str) -> PathBuf {
        let digest = digest_of(name.as_bytes()).unwrap_or_else(|_| Digest::from_bytes(&[]));
        self.images().join(digest.hex())
    }
}

/// Whether what was read is what was expected.
pub(crate) fn equal(
    what: &'static str,
    expected: &Digest,
    found: Digest,
) -> Result<(), ImageError> {
    if *expected == found {
        return Ok(());
    }
    Err(ImageError::Digest {
        what,
        expected: expected.clone(),
        found,
    })
}

/// Reads a description whole, and no more than that.
pub(crate) fn read_description(what: &'static str, from: impl Read) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_DESCRIPTION_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(ImageError::file("read its", what))?;
    if bytes.len() as u64 > MAX_DESCRIPTION_BYTES {
        let max_bytes = MAX_DESCRIPTION_BYTES;
        return Err(ImageError::TooBig { what, max_bytes });
    }
    Ok(bytes)
}

pub(crate) fn make_root(path: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new().mode(PRIVATE).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    rustix::fs::fchmod(&directory, ROOT_MODE)?;
    Ok(directory)
}

pub(crate) fn remove(path: &Path) -> Result<(), ImageError> {
    crate::removal::remove(path).map_err(ImageError::file("remove", path))
}

/// Why there is no record of an image.
#[derive(Debug)]
enum Unreadable {
    File(io::Error),
    Form,
}

fn read_image(path: &Path) -> Result<StoredImage, Unreadable> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unreadable::File)?;
    let read = file.take(MAX_DESCRIPTION_BYTES).read_to_end(&mut bytes);
    read.map_err(Unreadable::File)?;
    serde_json::from_slice(&bytes).map_err(|_| Unreadable::Form)
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let entries = std::fs::read_dir(path).map_err(ImageError::file("look into", path))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths
        .collect::<io::Result<_>>()
        .map_err(ImageError::file("look into", path))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
