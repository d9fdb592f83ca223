//! Owns the root file systems of containers: one directory a container, in which its shim mounts what it sees.
//!
//! ```text
//! <container>/l/0 …  links to its layers, from the top: short names, since the kernel takes one page of them
//! <container>/u      what the container writes
//! <container>/w      overlayfs' own
//! <container>/root   where it is mounted; a copy of all layers where overlayfs cannot be used
//! <container>/volumes/0 …  the same for volumes that are of images
//! ```

use crate::images::ImageError;
use crate::images::copy::copy_layer;
use crate::images::store::{make_root, remove};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const LAYERS: &str = "l";
const UPPER: &str = "u";
const WORK: &str = "w";
const VOLUMES: &str = "volumes";
/// The directory in which a container finds its root.
pub const ROOT: &str = "root";
/// What the directory beside that of all roots is called after it.
const ASIDE: &str = "removed";
const PRIVATE: u32 = 0o700;

/// How layers become one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Overlay,
    Copy,
}

impl Backend {
    /// The name that `--image_provisioner_backend` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }

    /// What this machine can do at its best, for containers whose roots lie in `dir`. `filesystems` is the text of
    /// `/proc/filesystems` (Mesos: the table in docs/container-image.md).
    pub fn best(filesystems: &str, file_system_type: u64) -> Self {
        /// Of `statfs`: btrfs, aufs, overlayfs, eCryptfs and ZFS, which hold no upper directory.
        const UNFIT: [u64; 5] = [0x9123_683e, 0x6175_6673, 0x794c_7630, 0xf15f, 0x2fc1_2fc1];
        let mut known = filesystems
            .lines()
            .filter_map(|line| line.split('\t').nth(1));
        match known.any(|name| name == "overlay") && !UNFIT.contains(&file_system_type) {
            true => Self::Overlay,
            false => Self::Copy,
        }
    }
}

/// What a shim makes a root of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootDirectory {
    pub dir: PathBuf,
    /// The options of the mount, with names relative to `dir`; `None` where `root` has everything already.
    pub overlay: Option<String>,
}

/// Root file systems on disk. The methods block.
#[derive(Clone, Debug)]
pub struct Roots {
    dir: PathBuf,
    /// Beside `dir`: what no container has any more.
    aside: PathBuf,
    backend: Backend,
}

impl Roots {
    /// Makes the directory, and one beside it.
    pub fn open(dir: PathBuf, backend: Backend) -> Result<Self, ImageError> {
        let aside = dir.with_extension(ASIDE);
        for made in [&dir, &aside] {
            let mut directory = DirBuilder::new();
            let done = directory.recursive(true).mode(PRIVATE).create(made);
            done.map_err(ImageError::file("make the directory", made))?;
        }
        Ok(Self {
            dir,
            aside,
            backend,
        })
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Where a container's root lies, or would.
    pub fn directory(&self, container: &str) -> PathBuf {
        self.dir.join(container)
    }

    /// Makes the root of a container; `layers` from the bottom. What is left of an earlier one of that name is removed.
    pub fn make(&self, container: &str, layers: &[PathBuf]) -> Result<RootDirectory, ImageError> {
        let dir = self.directory(container);
        remove(&dir)?;
        self.make_in(dir, layers)
    }

    /// Makes what a volume of a container shows, in the container's own directory.
    pub fn make_volume(
        &self,
        container: &str,
        number: usize,
        layers: &[PathBuf],
    ) -> Result<RootDirectory, ImageError> {
        let volumes = self.directory(container).join(VOLUMES);
        let mut directory = DirBuilder::new();
        let made = directory.recursive(true).mode(PRIVATE).create(&volumes);
        made.map_err(ImageError::file("make the directory", &volumes))?;
        let dir = volumes.join(number.to_string());
        remove(&dir)?;
        self.make_in(dir, layers)
    }

    fn make_in(&self, dir: PathBuf, layers: &[PathBuf]) -> Result<RootDirectory, ImageError> {
        let made = match self.backend {
            Backend::Overlay => overlay(&dir, layers).map(Some),
            Backend::Copy => copied(&dir, layers).map(|()| None),
        };
        let overlay = made.inspect_err(|_| {
            // What is told is why it failed; the next start of the agent removes the rest.
            let _ = remove(&dir);
        })?;
        Ok(RootDirectory { dir, overlay })
    }

    /// Removes what a container had; nothing is no error.
    pub fn remove(&self, container: &str) -> Result<(), ImageError> {
        remove(&self.directory(container))
    }

    /// Takes from containers what they had, to be removed by [`Roots::clear_aside`]: a rename each, however much it is.
    pub fn put_aside(&self, containers: impl Iterator<Item = String>) -> Result<(), ImageError> {
        let mut number = 0_u64;
        for container in containers {
            let root = self.directory(&container);
            loop {
                let aside = self.aside.join(number.to_string());
                number += 1;
                match std::fs::rename(&root, aside) {
                    // An agent before did not come to its removal.
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                    moved => break moved.map_err(ImageError::file("put aside", &root))?,
                }
            }
        }
        Ok(())
    }

    /// Removes what was put aside, by this agent or one before.
    pub fn clear_aside(&self) -> Result<(), ImageError> {
        let names = names(&self.aside)?.into_iter();
        let removed: Vec<_> = names.map(|name| remove(&self.aside.join(name))).collect();
        removed.into_iter().collect()
    }

    /// The containers that have a root. Error: the directory cannot be read; nothing may be concluded then.
    pub fn containers(&self) -> Result<Vec<String>, ImageError> {
        let names = names(&self.dir)?.into_iter();
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// The digits of all layers that containers see. Error: one of them is not known, and each may be in use.
    pub fn layers_in_use(&self) -> Result<BTreeSet<String>, ImageError> {
        let mut layers = BTreeSet::new();
        for container in names(&self.dir)? {
            let root = self.dir.join(container);
            let volumes = root.join(VOLUMES);
            let of_volumes = names(&volumes)?.into_iter();
            let of_volumes = of_volumes.map(|volume| volumes.join(volume));
            for shown in of_volumes.chain([root]) {
                let links = shown.join(LAYERS);
                for link in names(&links)? {
                    layers.extend(layer_of(&links.join(link))?);
                }
            }
        }
        Ok(layers)
    }
}

/// What is in a directory; nothing in one that is gone: its container has just ended.
fn names(dir: &Path) -> Result<Vec<OsString>, ImageError> {
    let names = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect()
        }),
    };
    names.map_err(ImageError::file("look into", dir))
}

/// The layer a link leads to; none where the link is gone.
fn layer_of(link: &Path) -> Result<Option<String>, ImageError> {
    match std::fs::read_link(link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImageError::file("read the link", link)(error)),
        Ok(layer) => Ok(layer
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned)),
    }
}

fn overlay(dir: &Path, layers: &[PathBuf]) -> Result<String, ImageError> {
    let make = || -> io::Result<Vec<String>> {
        for name in ["", LAYERS, WORK, ROOT] {
            DirBuilder::new().mode(PRIVATE).create(dir.join(name))?;
        }
        make_root(&dir.join(UPPER))?;
        let from_top = layers.iter().rev().enumerate();
        let links = from_top.map(|(number, layer)| {
            let name = format!("{LAYERS}/{number}");
            std::os::unix::fs::symlink(layer, dir.join(&name))?;
            Ok(name)
        });
        links.collect()
    };
    let names = make().map_err(ImageError::file("make a root file system in", dir))?;
    keep_root_mode(dir, layers)?;
    let lower = names.join(":");
    Ok(format!("lowerdir={lower},upperdir={UPPER},workdir={WORK}"))
}

/// The directory above all layers shows its own owner and mode, not those of the image's.
fn keep_root_mode(dir: &Path, layers: &[PathBuf]) -> Result<(), ImageError> {
    let Some(top) = layers.last() else {
        return Ok(());
    };
    let upper = dir.join(UPPER);
    let keep = || -> io::Result<()> {
        let found = std::fs::metadata(top)?;
        let (user, group) = {
            use std::os::unix::fs::MetadataExt;
            (found.uid(), found.gid())
        };
        std::os::unix::fs::chown(&upper, Some(user), Some(group))?;
        std::fs::set_permissions(&upper, found.permissions())
    };
    keep().map_err(ImageError::file("make a root file system in", dir))
}

fn copied(dir: &Path, layers: &[PathBuf]) -> Result<(), ImageError> {
    let copy = || -> io::Result<()> {
        DirBuilder::new().mode(PRIVATE).create(dir)?;
        let root = make_root(&dir.join(ROOT))?;
        layers.iter().try_for_each(|layer| copy_layer(layer, &root))
    };
    copy().map_err(ImageError::file("copy an image's files to", dir))
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
