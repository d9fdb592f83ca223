//! The sockets in the file system at which executors reach their agent (Mesos: `--http_executor_domain_sockets`,
//! `--domain_socket_location`).

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use rustix::fs::{Mode, OFlags};
use tepui_node::config::{DomainSocket, SOCKET_NAME};

use crate::runtime_dir::RUNTIME_ROOT;

/// What the kernel takes, and Mesos' bound.
const MAX_PATH_BYTES: usize = 108;

/// Where sockets lie of agents whose runtime directories are beneath [`RUNTIME_ROOT`], which is closed to others.
const ROOT: &str = "/run/tepui-executors";

/// Listens, and who is told where.
#[derive(Debug)]
pub(crate) struct ExecutorSocket {
    pub(crate) told: DomainSocket,
    pub(crate) listeners: Vec<UnixListener>,
}

/// `location`: where executors that see the machine's files find it; `None`: beside the runtime directory. Those with
/// files of an image see the agent's own directory, since a restarted agent makes its sockets anew.
pub(crate) fn open(location: Option<&Path>, runtime_dir: &Path) -> anyhow::Result<ExecutorSocket> {
    let directory = beside(runtime_dir);
    let mut made = fs::DirBuilder::new();
    let made = made.recursive(true).mode(0o755).create(&directory);
    let own = 1 + usize::from(directory.starts_with(ROOT));
    let opened = made.and_then(|()| directory.ancestors().take(own).try_for_each(let_all_in));
    opened.map_err(|error| {
        let shown = directory.display();
        anyhow!("--http-executor-domain-sockets: cannot make {shown}: {error}")
    })?;
    let own = directory.join(SOCKET_NAME);
    let mut listeners = vec![bind(&own)?];
    if let Some(location) = location.filter(|it| *it != own) {
        listeners.push(bind(location)?);
    }
    Ok(ExecutorSocket {
        told: DomainSocket {
            location: location.map_or(own, Path::to_owned),
            directory,
        },
        listeners,
    })
}

/// The umask may have taken bits from the creation. A directory that is another user's would let them take the socket's place.
fn let_all_in(directory: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = fs::File::from(rustix::fs::open(directory, flags, Mode::empty())?);
    let found = opened.metadata()?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        let text = format!(
            "it belongs to the user {}; expected one of this agent's own, so remove it, or choose another --runtime-dir",
            found.uid()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o755 == 0o755 {
        return Ok(());
    }
    opened.set_permissions(fs::Permissions::from_mode(0o755))
}

/// A directory that executors of any user can reach, unlike the runtime directory.
fn beside(runtime_dir: &Path) -> PathBuf {
    let name = runtime_dir.file_name().unwrap_or_default();
    if runtime_dir.parent() == Some(Path::new(RUNTIME_ROOT)) {
        return Path::new(ROOT).join(name);
    }
    let mut name = name.to_owned();
    name.push(".executors");
    runtime_dir.with_file_name(name)
}

/// A socket that an agent before has left is replaced, nothing else.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    // In the words of Mesos.
    if path.as_os_str().len() >= MAX_PATH_BYTES {
        bail!(
            "Domain socket location '{shown}' must have less than {MAX_PATH_BYTES} characters; expected a shorter \
             --domain-socket-location, or --work-dir"
        );
    }
    let failed = |error| {
        anyhow!(
            "--domain-socket-location {shown}: {error}; expected a path at which nothing is, in a directory that this user \
             may write to"
        )
    };
    let found = fs::symlink_metadata(path);
    if found.is_ok_and(|it| it.file_type().is_socket()) {
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Executors of any user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
#[path = "executor_socket_tests.rs"]
mod tests;
