//! Files a daemon shows: virtual paths, listings and reads (Mesos: `files/files.cpp`).
//!
//! Owns what is readable and how much at once. Everything here blocks: call it from `web::block`.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use crate::open::{open_beneath, stat_beneath};

/// Bytes one read gives at most: 16 memory pages, as Mesos.
pub const MAX_READ_BYTES: u64 = 16 * 4096;
/// Entries one listing gives at most.
pub const MAX_ENTRIES: usize = 16_384;

/// Where a virtual path lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// What must not be left. Chosen by the daemon, never by a client.
    pub root: PathBuf,
    /// The way below it; empty for the root itself.
    pub inside: PathBuf,
}

/// Knows what the virtual paths of a daemon mean.
pub trait VirtualPaths: Send + Sync {
    /// `None` for a path that is not shown.
    fn locate(&self, path: &str) -> Option<Located>;
    /// Virtual and real paths, for `/files/debug`.
    fn all(&self) -> BTreeMap<String, String>;
}

/// A fixed list of virtual paths.
#[derive(Debug, Clone, Default)]
pub struct Attached(pub BTreeMap<String, PathBuf>);

impl VirtualPaths for Attached {
    fn locate(&self, path: &str) -> Option<Located> {
        let path = path.trim_end_matches('/');
        // Sorted, so that the last match is the longest.
        let (prefix, root) = self.0.iter().rev().find(|(prefix, _)| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        Some(Located {
            root: root.clone(),
            inside: inside(&path[prefix.len()..])?,
        })
    }

    fn all(&self) -> BTreeMap<String, String> {
        let real = |path: &PathBuf| path.to_string_lossy().into_owned();
        self.0
            .iter()
            .map(|(name, path)| (name.clone(), real(path)))
            .collect()
    }
}

/// The rest of a virtual path as a way below a root; `None` if a component is `..`, or holds a NUL.
pub fn inside(rest: &str) -> Option<PathBuf> {
    if rest.contains('\0') {
        return None;
    }
    let mut inside = PathBuf::new();
    for component in Path::new(rest.trim_start_matches('/')).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(inside)
}

/// Why a file was not shown.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("no such file")]
    NotFound,
    #[error("Cannot read a directory.")]
    Directory,
    #[error("not a regular file")]
    Special,
    #[error("Failed to read the file: {0}")]
    Io(#[from] io::Error),
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Virtual.
    pub path: String,
    pub links: u64,
    pub size: u64,
    /// Seconds since the Unix epoch.
    pub modified_secs: i64,
    /// As in `stat`, type included.
    pub mode: u32,
    pub user: String,
    pub group: String,
}

/// A part of a file, and how large the whole is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub file_size: u64,
    pub data: Vec<u8>,
}

/// The files of one daemon.
#[derive(Clone)]
pub struct Files(Arc<dyn VirtualPaths>);

impl Files {
    pub fn new(paths: impl VirtualPaths + 'static) -> Self {
        Self(Arc::new(paths))
    }

    /// Virtual and real paths.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.all()
    }

    fn open_any(&self, path: &str) -> Result<File, FilesError> {
        let located = self.0.locate(path).ok_or(FilesError::NotFound)?;
        open_beneath(&located.root, &located.inside).map_err(|error| {
            tracing::debug!(%error, path, "a file was not opened");
            // What leads out of the root is as good as absent, and looks the same.
            FilesError::NotFound
        })
    }

    /// A regular file and its size now.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn open(&self, path: &str) -> Result<(File, u64), FilesError> {
        let file = self.open_any(path)?;
        let status = file.metadata()?;
        if status.is_dir() {
            return Err(FilesError::Directory);
        }
        if !status.is_file() {
            return Err(FilesError::Special);
        }
        Ok((file, status.len()))
    }

    /// What lies in a directory, by name; nothing for a plain file.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, FilesError> {
        let directory = self.open_any(path)?;
        if !directory.metadata()?.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Names::default();
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let shown = format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy());
            // One that vanished between the two calls is no error.
            let Ok(status) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let Some(status) = self.followed(&shown, status) else {
                continue;
            };
            entries.push(Entry {
                path: shown,
                links: u64::from(status.st_nlink as u32),
                size: u64::try_from(status.st_size).unwrap_or(0),
                modified_secs: status.st_mtime,
                mode: status.st_mode,
                user: names.user(status.st_uid),
                group: names.group(status.st_gid),
            });
            if entries.len() == MAX_ENTRIES {
                break;
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Where a link leads, as by Mesos, if whoever opens it would get there; one that leads out is shown as a link. `None`:
    /// it leads nowhere.
    fn followed(&self, path: &str, status: Stat) -> Option<Stat> {
        if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
            return Some(status);
        }
        let Some(located) = self.0.locate(path) else {
            return Some(status);
        };
        match stat_beneath(&located.root, &located.inside) {
            Ok(target) => Some(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(status),
        }
    }

    /// At most [`MAX_READ_BYTES`] from `offset`; nothing without an offset or past the end.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn read(
        &self,
        path: &str,
        offset: Option<u64>,
        length: Option<u64>,
    ) -> Result<Part, FilesError> {
        let (file, file_size) = self.open(path)?;
        let left = offset.map_or(0, |offset| file_size.saturating_sub(offset));
        let length = length.unwrap_or(u64::MAX).min(left).min(MAX_READ_BYTES);
        let mut data = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = read_up_to(&file, &mut data, offset.unwrap_or(0))?;
        data.truncate(read);
        Ok(Part { file_size, data })
    }
}

/// Fills `buffer` as far as the file goes.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + filled as u64;
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Names of users and groups, looked up once a listing; a number without a name is its own.
#[derive(Default)]
struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn user(&mut self, id: u32) -> String {
        let find = || {
            let user = User::from_uid(Uid::from_raw(id)).ok().flatten();
            user.map_or_else(|| id.to_string(), |user| user.name)
        };
        self.users.entry(id).or_insert_with(find).clone()
    }

    fn group(&mut self, id: u32) -> String {
        let find = || {
            let group = Group::from_gid(Gid::from_raw(id)).ok().flatten();
            group.map_or_else(|| id.to_string(), |group| group.name)
        };
        self.groups.entry(id).or_insert_with(find).clone()
    }
}

/// `-rw-r--r--`.
pub fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o020_000 => 'c',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().enumerate();
    let bits = bits.map(|(i, letter)| {
        if mode >> (8 - i) & 1 == 1 {
            letter
        } else {
            '-'
        }
    });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
