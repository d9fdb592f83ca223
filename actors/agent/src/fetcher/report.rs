//! What the framework reads of it in the sandbox's `stderr`, as of Mesos' fetcher.

use std::{fs::File, io::Write, path::Path, sync::Arc};

use tepui_kit::blocking;

use super::{
    place,
    rights::{Rights, acting},
};

/// Lines for people. A disk that does not take them fails nothing.
pub(super) struct Report(Option<Arc<File>>);

impl Report {
    pub(super) async fn open(sandbox: &Path, rights: Option<&Arc<Rights>>) -> Self {
        let sandbox = sandbox.to_owned();
        let opened = acting(rights, move || place::open_log(&sandbox)).await;
        if let Err(error) = &opened {
            tracing::debug!(error, "the fetcher cannot write to a sandbox's stderr");
        }
        Self(opened.ok().map(Arc::new))
    }

    pub(super) async fn say(&self, line: String) {
        let Some(file) = self.0.clone() else { return };
        let written = blocking(move || {
            let line = format!("Fetcher: {line}\n");
            (&*file)
                .write_all(line.as_bytes())
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written.await {
            tracing::debug!(error, "the fetcher's words are not in the sandbox's stderr");
        }
    }
}
