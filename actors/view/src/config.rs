//! What the view prints and no change tells: how this master was built and started.

use std::collections::BTreeMap;

/// Given when the view is made; shown by `/state` as it stands.
#[derive(Debug, Clone, Default)]
pub struct ViewConfig {
    pub version: String,
    pub git_sha: Option<String>,
    pub git_branch: Option<String>,
    pub git_tag: Option<String>,
    /// `2020-11-24 15:38:37`.
    pub build_date: String,
    /// Seconds since 1970.
    pub build_time: f64,
    pub build_user: String,
    /// `master@ip:port`.
    pub pid: String,
    pub hostname: String,
    pub log_dir: Option<String>,
    pub external_log_file: Option<String>,
    /// The flags in force, by name.
    pub flags: BTreeMap<String, String>,
}
