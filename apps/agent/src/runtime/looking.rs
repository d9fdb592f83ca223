//! Looking at containers until something is seen. What could not be looked at, for want of descriptors or memory, is not
//! taken for ended: it is looked at again.

use std::{path::Path, time::Duration};

use tepui_containers::{Error, Exit, Launcher, Recovered, Running};

use super::told;

/// Before the next look.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What an agent before launched.
///
/// # Errors
/// Its record is none.
pub(super) async fn found(
    launcher: &Launcher,
    container_id: &str,
    dir: &Path,
) -> Result<Recovered, Error> {
    loop {
        match launcher.recover(container_id, dir).await {
            Err(error) if error.is_blind() => look_again(container_id, &error).await,
            found => return found,
        }
    }
}

/// How a container that runs ends.
///
/// # Errors
/// Its command never ran, or its record is none.
pub(super) async fn end_of(running: &Running) -> Result<Exit, Error> {
    loop {
        match running.wait().await {
            Err(error) if error.is_blind() => look_again(running.container_id(), &error).await,
            ended => return ended,
        }
    }
}

async fn look_again(container_id: &str, error: &Error) {
    let error = told(error);
    tracing::error!(
        container_id,
        error,
        "it cannot be looked at, which is tried again"
    );
    tokio::time::sleep(PAUSE).await;
}
