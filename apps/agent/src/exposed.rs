//! Whether others of the machine can run what root of a container makes set-uid in a persistent volume or its sandbox: on the
//! disk the file is the machine's root's, also where the container has users of its own, since only its mounts shift owners.

use std::{io, os::unix::fs::MetadataExt, path::Path};

use rustix::fs::StatVfsMountFlags;

/// Whoever has no other rights on a directory can pass through it.
const OPEN: u32 = 0o001;

/// Tells the operator of it; nothing is changed.
pub(crate) fn warn(work_dir: &Path) {
    match is_exposed(work_dir) {
        Ok(false) => {}
        Ok(true) => tracing::warn!(
            work_dir = %work_dir.display(),
            "--work-dir: whoever is root in a container can leave a set-uid program of the machine's root in a volume, which \
             every user of this machine can reach; mount the work directory nosuid, or let nobody but root into one of \
             the directories above it"
        ),
        Err(error) => tracing::warn!(
            work_dir = %work_dir.display(),
            %error,
            "--work-dir: it is not known whether set-uid programs in volumes give anybody rights"
        ),
    }
}

/// `work_dir` is a path without links.
fn is_exposed(work_dir: &Path) -> io::Result<bool> {
    let flags = rustix::fs::statvfs(work_dir)?.f_flag;
    if flags.contains(StatVfsMountFlags::NOSUID) {
        return Ok(false);
    }
    for directory in work_dir.ancestors() {
        if directory.metadata()?.mode() & OPEN == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_closed_directory_above_is_enough() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("work");
        create_dir(&inner).unwrap();
        set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        set_permissions(outer.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(!is_exposed(&inner).unwrap());
        // As open as what is above, which is the machine's affair.
        set_permissions(outer.path(), Permissions::from_mode(0o711)).unwrap();
        let above = outer.path().parent().unwrap();
        assert_eq!(is_exposed(&inner).unwrap(), is_exposed(above).unwrap());
        assert!(is_exposed(&inner.join("missing")).is_err());
    }
}
