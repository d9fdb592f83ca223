//! Names that archives give their entries.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// No file system has longer names, and the kernel takes no longer paths.
const MAX_NAME_BYTES: usize = 255;
pub(crate) const MAX_PATH_BYTES: usize = 4095;

/// A name as a path below one directory, without `.` and a slash before it, and not deeper than `depth`. Errors: why it is none,
/// after the name.
pub fn below(name: &[u8], depth: usize) -> Result<PathBuf, &'static str> {
    const IMPOSSIBLE: &str = "has a name that no file can have";
    if name.len() > MAX_PATH_BYTES || name.contains(&0) {
        return Err(IMPOSSIBLE);
    }
    let mut path = PathBuf::new();
    let mut components = 0;
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(name) if name.len() > MAX_NAME_BYTES => return Err(IMPOSSIBLE),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => {}
            _ => return Err("leads out of its directory by '..'"),
        }
        components += 1;
    }
    match components > depth {
        true => Err(IMPOSSIBLE),
        false => Ok(path),
    }
}
