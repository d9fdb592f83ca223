//! Owns seeing another container's mounts. Never makes or changes one.

use crate::namespaces;
use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;
use tepui_containers::ProcessId;

/// Takes the mounts of a process as its own. Without mounts of its own there is nothing to take, and no right needed.
pub(crate) fn mounts_of(process: ProcessId) -> Result<(), Errno> {
    namespaces::join(process, "mnt", LinkNameSpaceType::Mount)
}
