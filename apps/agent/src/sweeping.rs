//! Sweeps old sandboxes away, once a minute: asks the node which are in use, and leaves the rest to `tepui_node::gc`.

use std::{collections::BTreeSet, convert::Infallible, path::PathBuf, time::SystemTime};

use tepui_kit::Ask;
use tepui_messages::agent::{GetNodeState, NodePhase, NodeState};
use tepui_node::gc;
use tokio::time::sleep;

pub(crate) async fn sweep<N: Ask<GetNodeState>>(node: N, work_dir: PathBuf) -> Infallible {
    loop {
        sleep(gc::INTERVAL).await;
        // Without an answer nothing is known to be old.
        let Ok(state) = node.ask(GetNodeState).await else {
            continue;
        };
        if state.phase == NodePhase::Recovering {
            continue;
        }
        let (live, work_dir) = (in_use(&state), work_dir.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let allowed = gc::allowed_age(gc::used(&work_dir)?);
            let look = gc::Look {
                allowed,
                now: SystemTime::now(),
                changed: gc::last_change,
                remove: tepui_containers::removal::remove,
            };
            std::io::Result::Ok(gc::sweep(&work_dir, &live, &look))
        });
        match swept.await {
            Ok(Ok(gc::Swept { removed: 0, .. })) | Err(_) => {}
            Ok(Ok(gc::Swept { removed, failed })) => {
                tracing::info!(removed, failed, "old sandboxes are removed");
            }
            Ok(Err(error)) => tracing::warn!(%error, "the disk of the work directory is not known"),
        }
    }
}

/// Executors stay with the node until all of their tasks' ends are acknowledged.
fn in_use(state: &NodeState) -> BTreeSet<PathBuf> {
    let executors = state.frameworks.iter().flat_map(|it| &it.executors);
    executors.map(|it| it.sandbox.clone()).collect()
}
