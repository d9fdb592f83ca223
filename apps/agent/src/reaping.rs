//! Reaps for an agent that is the first process of its namespace, as in a container: processes whose parent has ended come to
//! it, and stay in the table of processes until somebody asks how they ended. Its own children are left to whoever began them.

use std::{collections::BTreeSet, io, time::Duration};

use rustix::process::{Pid, WaitOptions, waitpid};
use tepui_containers::{
    ProcessId,
    process::{self, Stat},
};
use tokio::time::sleep;

/// Between two looks. Who waits for a child has asked for its end before the second one.
const INTERVAL: Duration = Duration::from_secs(2);

/// Whether orphans come to this process.
pub(crate) fn is_first() -> bool {
    std::process::id() == 1
}

pub(crate) async fn reap() {
    let mut seen = BTreeSet::new();
    loop {
        sleep(INTERVAL).await;
        let before = std::mem::take(&mut seen);
        match tokio::task::spawn_blocking(move || look(&before)).await {
            Ok(Ok(ended)) => seen = ended,
            Ok(Err(error)) => {
                tracing::warn!(%error, "processes cannot be looked at, which may have ended")
            }
            // The runtime shuts down.
            Err(_) => return,
        }
    }
}

/// Reaps those children that had ended at the look before; says which have now.
fn look(before: &BTreeSet<ProcessId>) -> io::Result<BTreeSet<ProcessId>> {
    let own = std::process::id();
    let is_left = |stat: &Stat| stat.parent_pid == own && stat.is_dead();
    let all = process::all()?;
    let mut ended: BTreeSet<ProcessId> = all
        .values()
        .filter(|it| is_left(it))
        .map(|it| it.id)
        .collect();
    ended.retain(|child| !before.contains(child) || !is_reaped(*child));
    Ok(ended)
}

fn is_reaped(child: ProcessId) -> bool {
    let pid = i32::try_from(child.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}

#[cfg(test)]
#[path = "reaping_tests.rs"]
mod tests;
