//! What an agent before left behind: roots of images, checks, and processes nobody supervises.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tepui_containers::{record::RECORD_FILE, volumes};
use tepui_messages::containers::ContainerRuntime;
use tepui_node::probes::CHECK;

use super::{Containers, Inner, looking::PAUSE, told};

/// Containers of an agent before that are ended at a time.
const STRAYS: usize = 32;

impl Containers {
    /// Removes root file systems of containers that an agent before made and never started. They are out of the way when
    /// this is done; their removal goes on in the background.
    pub(crate) async fn sweep_roots(&self) {
        let inner = Arc::clone(&self.0);
        let Ok(images) = inner.images.clone() else {
            return;
        };
        let unswept = |error| tracing::warn!(%error, "root file systems are not removed");
        let swept = tokio::task::spawn_blocking(move || {
            images
                .sweep(|container_id| inner.dir(container_id).exists())
                .unwrap_or_else(unswept);
            images
        });
        // It fails only while the runtime shuts down.
        if let Ok(images) = swept.await {
            // A thread that the agent's end does not wait for: the next agent goes on with it.
            let clear = move || images.clear_aside().unwrap_or_else(unswept);
            let thread = std::thread::Builder::new().name("old-roots".to_owned());
            if let Err(error) = thread.spawn(clear) {
                tracing::warn!(%error, "root file systems are not removed");
            }
        }
    }

    /// Deletes, in the background, what was volumes in the work directory when an agent before ended.
    pub(crate) fn sweep_volumes(&self, work_dir: &Path) {
        let removed = volumes::removed_of(work_dir);
        self.0.clearing.clear([removed].into());
    }

    /// Ends what an agent before began and nobody waits for: its checks, and containers of which the agent's memory does
    /// not tell (`known`: by id), since that was lost or is damaged.
    pub(crate) async fn end_strays(&self, known: &BTreeSet<String>) {
        let inner = &self.0;
        // Without the directory there was no agent before.
        let entries = std::fs::read_dir(inner.presence.dir());
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let (kept, others): (Vec<String>, Vec<_>) =
            names.partition(|name| known.contains(name) && !is_check(name));
        inner.nesting().await_all(kept.into_iter().collect());
        let is_container = |name: &String| inner.dir(name).join(RECORD_FILE).exists();
        let strays = others.into_iter();
        let strays = strays.filter(|name| is_check(name) || is_container(name));
        let ended = strays.map(|container_id| async move {
            if !is_check(&container_id) {
                tracing::warn!(container_id, "ended: nobody remembers it");
            }
            sweep(inner, &container_id, inner.start_deadline()).await;
            // What hangs in the kernel is gone on with after the start.
            self.forget(container_id).await;
        });
        stream::iter(ended)
            .for_each_concurrent(STRAYS, |ended| ended)
            .await;
    }
}

pub(super) fn is_check(container_id: &str) -> bool {
    let parts = container_id.rsplit_once('.');
    parts.is_some_and(|(_, name)| name.starts_with(CHECK))
}

/// Ends what may be left of a container that nobody supervises, and returns when nothing is: what is told as ended
/// before that would run beside its successor.
pub(super) async fn empty(inner: &Inner, container_id: &str) {
    while !sweep(inner, container_id, inner.destroy_deadline).await {
        tokio::time::sleep(PAUSE).await;
    }
}

/// One attempt; whether nothing is left.
pub(super) async fn sweep(inner: &Inner, container_id: &str, deadline: Duration) -> bool {
    let dir = inner.dir(container_id);
    let destroyed = inner.launcher.destroy(container_id, &dir, deadline);
    let destroyed = destroyed.await.map_err(|error| told(&error));
    if let Err(error) = &destroyed {
        tracing::error!(container_id, "processes may be left of it: {error}");
    }
    inner.errors.destroyed(container_id, &destroyed);
    destroyed.is_ok()
}
