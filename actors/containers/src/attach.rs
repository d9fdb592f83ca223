//! Owns reaching a container's standard streams: the socket of its shim, or of what stands for one. It moves no bytes.

use crate::error::Error;
use crate::switchboard::{Greeting, SOCKET_FILE};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

/// Connects to what keeps the streams of the container whose directory this is, and greets it. `None`: nobody keeps
/// them; they are files, or it has ended. Errors: what keeps them is there and does not answer.
pub async fn connect(runtime_dir: &Path, greeting: Greeting) -> Result<Option<UnixStream>, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(runtime_dir, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened
            .map_err(io::Error::from)
            .map_err(Error::file("open the directory", runtime_dir))?,
    };
    // Its path may be longer than a socket's address: the directory is named by its descriptor.
    let address = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
    let failed = |error| Error::file("attach to", runtime_dir.join(SOCKET_FILE))(error);
    let mut stream = match UnixStream::connect(address).await {
        Err(error) if is_gone(&error) => return Ok(None),
        connected => connected.map_err(failed)?,
    };
    let greeted = stream.write_all(&[greeting as u8]).await;
    greeted.map_err(failed)?;
    Ok(Some(stream))
}

/// Listens where [`connect`] comes to, in place of a shim. The directory must be there, and have no such socket.
pub fn listen(runtime_dir: &Path) -> Result<UnixListener, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(runtime_dir, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(Error::file("open the directory", runtime_dir))?;
    let address = format!("/proc/self/fd/{}/{SOCKET_FILE}", directory.as_raw_fd());
    let listening = UnixListener::bind(address);
    listening.map_err(Error::file("listen at", runtime_dir.join(SOCKET_FILE)))
}

/// There is no socket, or its shim has ended.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused)
}
