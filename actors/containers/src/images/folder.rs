//! Owns finding an image in a folder of the operator's: an archive `<name>:<tag>.tar`, or `<name>.tar` where no
//! tag is named, as Mesos has it, or an OCI layout.

use crate::images::reference::Reference;
use crate::images::store::{Store, StoredImage};
use crate::images::taking::Taking;
use crate::images::{ImageError, archive, layout};
use std::path::Path;

/// Takes the image into the store. Blocks.
pub fn take(
    folder: &Path,
    reference: &Reference,
    store: &Store,
    taking: &mut Taking,
) -> Result<StoredImage, ImageError> {
    let name = match &reference.registry {
        Some(registry) => format!("{registry}/{}", reference.repository),
        None => reference.repository.clone(),
    };
    let archive = folder.join(format!("{reference}.tar"));
    // Who names no tag may mean the one that has none.
    let bare = reference.tag.is_none() && reference.digest.is_none();
    let untagged = bare.then(|| folder.join(format!("{name}.tar")));
    let found = [&archive]
        .into_iter()
        .chain(&untagged)
        .find(|it| it.is_file());
    if let Some(archive) = found {
        return archive::take(archive, reference, store, taking);
    }
    let layout = folder.join(name);
    for candidate in [layout.as_path(), folder] {
        if layout::is_layout(candidate) {
            return layout::take(candidate, reference, store, taking);
        }
    }
    Err(ImageError::NotThere {
        name: reference.to_string(),
        archive,
        layout,
    })
}
