//! What an agent is told about the files of commands.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use tepui_node::fetcher::{DEFAULT_CACHE_BYTES, DEFAULT_STALL_TIMEOUT, Fetcher};

/// How files are fetched, with Mesos' defaults.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// The longest silence of a server.
    pub stall_timeout: Duration,
    /// 0: nothing is kept.
    pub cache_bytes: u64,
    /// `None`: beneath the work directory.
    pub cache_dir: Option<PathBuf>,
    /// Where relative paths begin; without it they are refused.
    pub frameworks_home: Option<PathBuf>,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            stall_timeout: DEFAULT_STALL_TIMEOUT,
            cache_bytes: DEFAULT_CACHE_BYTES,
            cache_dir: None,
            frameworks_home: None,
        }
    }
}

impl FetchSettings {
    /// Where the cache lies.
    pub(crate) fn cache_dir(&self, work_dir: &Path) -> PathBuf {
        let given = self.cache_dir.clone();
        given.unwrap_or_else(|| work_dir.join("fetch"))
    }

    /// Empties the cache.
    ///
    /// # Errors
    /// It cannot be, in one line for people.
    pub(crate) fn fetcher(&self, work_dir: &Path) -> anyhow::Result<Fetcher> {
        let mut fetcher = Fetcher::new(self.stall_timeout);
        fetcher.frameworks_home.clone_from(&self.frameworks_home);
        let directory = self.cache_dir(work_dir);
        let shown = directory.display();
        let fetcher = fetcher.with_cache(&directory, self.cache_bytes);
        fetcher.map_err(|error| {
            anyhow!("--fetcher-cache-dir {shown}: {error}; expected a directory that this user may write to")
        })
    }
}
