//! Owns reading an image out of an OCI image layout: a directory with `index.json` and `blobs/sha256/`.

use crate::images::ImageError;
use crate::images::digesting::digest_of;
use crate::images::manifest::{self, Blob, Described, Manifest};
use crate::images::reference::{Digest, Reference};
use crate::images::store::{Store, StoredImage, equal, read_description};
use crate::images::taking::Taking;
use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) const MARK: &str = "oci-layout";
const INDEX: &str = "index.json";

/// Whether a directory is a layout.
pub fn is_layout(dir: &Path) -> bool {
    dir.join(MARK).is_file()
}

/// The kind of machine this is, in the words of images.
pub fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("linux/{architecture}")
}

/// Takes the image `reference` into the store. Its name in the layout is the tag, or repository and tag.
pub fn take(
    dir: &Path,
    reference: &Reference,
    store: &Store,
    taking: &mut Taking,
) -> Result<StoredImage, ImageError> {
    let blob = match &reference.digest {
        Some(digest) => digest.clone(),
        None => find(dir, reference)?,
    };
    let manifest = image_manifest(dir, &blob)?;
    take_blobs(dir, reference, &manifest, store, taking)
}

fn find(dir: &Path, reference: &Reference) -> Result<Digest, ImageError> {
    let path = dir.join(INDEX);
    let file = File::open(&path).map_err(ImageError::file("open", &path))?;
    let index = manifest::described(&read_description("index", file)?)?;
    let Described::Index(choices) = index else {
        return Err(manifest::ManifestError::NotThere(Vec::new()).into());
    };
    let tag = reference.tag_or_latest();
    let names = [
        reference.to_string(),
        format!("{}:{tag}", reference.repository),
        tag.to_owned(),
    ];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let choices = manifest::named(&choices, &names)?;
    Ok(manifest::for_platform(&choices, &platform())?.digest)
}

/// The manifest `digest` names, through an index where it is one.
pub(crate) fn image_manifest(dir: &Path, digest: &Digest) -> Result<Manifest, ImageError> {
    match manifest::described(&description(dir, "manifest", digest)?)? {
        Described::Image(image) => Ok(image),
        Described::Index(choices) => {
            let chosen = manifest::for_platform(&choices, &platform())?;
            match manifest::described(&description(dir, "manifest", &chosen.digest)?)? {
                Described::Image(image) => Ok(image),
                Described::Index(_) => Err(manifest::ManifestError::NotThere(Vec::new()).into()),
            }
        }
    }
}

/// Takes what a manifest names into the store: layers that are there already need not be among the blobs.
pub fn take_blobs(
    dir: &Path,
    reference: &Reference,
    manifest: &Manifest,
    store: &Store,
    taking: &mut Taking,
) -> Result<StoredImage, ImageError> {
    let config = description(dir, "configuration", &manifest.config.digest)?;
    let config = manifest::config(&config)?;
    taking.hold(store.holds(), &config.layers);
    for (digest, blob) in pairs(&config.layers, &manifest.layers)? {
        if store.layer(digest).is_none() {
            let path = blob_path(dir, &blob.digest);
            let file = File::open(&path).map_err(ImageError::file("open", &path))?;
            store.add_layer(digest, file, Some(&blob.digest), taking)?;
        }
    }
    let image = StoredImage::of(reference, config);
    store.keep(&image)?;
    Ok(image)
}

/// Each layer's digest as a plain archive with what holds it.
pub(crate) fn pairs<'a>(
    plain: &'a [Digest],
    packed: &'a [Blob],
) -> Result<impl Iterator<Item = (&'a Digest, &'a Blob)>, ImageError> {
    if plain.len() != packed.len() {
        return Err(manifest::ManifestError::Disagree {
            manifest: packed.len(),
            config: plain.len(),
        }
        .into());
    }
    Ok(plain.iter().zip(packed))
}

/// Where a blob lies.
pub(crate) fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

/// A blob that is read whole and is what its digest says.
pub(crate) fn description(
    dir: &Path,
    what: &'static str,
    digest: &Digest,
) -> Result<Vec<u8>, ImageError> {
    let path = blob_path(dir, digest);
    let file = File::open(&path).map_err(ImageError::file("open", &path))?;
    let bytes = read_description(what, file)?;
    let found = digest_of(bytes.as_slice()).map_err(ImageError::file("read", &path))?;
    equal(what, digest, found)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
