//! The list of agents that are offered (`--whitelist`): a file of hostnames, read again while the master runs.
//!
//! Owns the file and when it is read. What cannot be read any more leaves the last list in force (as in Mesos); one
//! that cannot be read at the start is an error. Who is offered is the allocator's business.

use std::{collections::BTreeSet, io::Read, path::Path, sync::Arc, time::Duration};

use tepui_kit::Teller;
use tepui_messages::allocator::Whitelist;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

/// Mesos: `WHITELIST_WATCH_INTERVAL`.
const INTERVAL: Duration = Duration::from_secs(5);
/// Of a file of hostnames; what is longer is none.
const MAX_BYTES: u64 = 64 << 20;

/// Hostnames.
pub(crate) type List = Arc<BTreeSet<String>>;

/// The list of the moment.
pub(crate) type Listed = watch::Receiver<List>;

/// Reads the list, and watches it from now on.
///
/// # Errors
/// One line: what is wrong with the file, and what was expected.
pub(crate) fn watch(path: &Path) -> anyhow::Result<Listed> {
    let list = read(path).map_err(|reason| {
        let path = path.display();
        anyhow::anyhow!("--whitelist {path}: {reason}; expected a file of hostnames, one a line")
    })?;
    let (sender, listed) = watch::channel(Arc::new(list));
    let path = path.to_owned();
    tokio::task::spawn_local(async move {
        let mut told = None;
        while !sender.is_closed() {
            sleep(INTERVAL).await;
            let trouble = look(&path, &sender).await;
            if let Some(reason) = trouble.as_ref().filter(|_| trouble != told) {
                tracing::warn!(path = %path.display(), reason, "--whitelist cannot be read; the last list holds");
            }
            told = trouble;
        }
    });
    Ok(listed)
}

/// Why it could not be read, if so.
async fn look(path: &Path, sender: &watch::Sender<List>) -> Option<String> {
    let read = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || read(&path)).await
    };
    match read {
        Ok(Ok(list)) => {
            sender.send_if_modified(|known| {
                let changed = **known != list;
                if changed {
                    tracing::info!(agents = list.len(), "another list of agents is offered");
                    *known = Arc::new(list);
                }
                changed
            });
            None
        }
        Ok(Err(reason)) => Some(reason),
        Err(error) => Some(error.to_string()),
    }
}

fn read(path: &Path) -> Result<BTreeSet<String>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    let lines = text.lines().map(str::trim);
    let hostnames = lines.filter(|line| !line.is_empty());
    Ok(hostnames.map(str::to_string).collect())
}

/// Tells an allocator of the list, and of each that follows, until it is gone or the task is ended.
pub(crate) fn tell(mut listed: Listed, allocator: Teller<Whitelist>) -> JoinHandle<()> {
    let now = move |listed: &mut Listed| {
        let list = Arc::clone(&listed.borrow_and_update());
        allocator.tell(Whitelist(Some(list))).is_ok()
    };
    // At once: nothing is offered by an allocator that does not know of the list.
    let mut goes_on = now(&mut listed);
    tokio::task::spawn_local(async move {
        while goes_on && listed.changed().await.is_ok() {
            goes_on = now(&mut listed);
        }
    })
}

#[cfg(test)]
#[path = "whitelist_tests.rs"]
mod tests;
