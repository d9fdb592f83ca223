//! The words of `tepui cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ListArgs, Target};

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show the masters: who leads, who lags, who cannot be reached
    Status(ListArgs),
    /// Let a new master join: start it with an empty directory, --name NAME and any of the others in --peers
    Add(AddArgs),
    /// Let a master leave the group
    Remove(NameArgs),
    /// Let another master lead
    TransferLeader(NameArgs),
    /// Write the registry to a file
    Backup(BackupArgs),
    /// Make a new group of one master from a backup, in an empty directory; no master needs to run
    Restore(RestoreArgs),
    /// Check a backup and show what it holds
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AddArgs {
    /// Its name, and the address of its bridge: m4=host:5060
    #[arg(value_name = "NAME=HOST:PORT")]
    pub(crate) member: String,
    /// Put it in the place of the master of that name, which is lost
    #[arg(long, env = "TEPUI_REPLACE")]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NameArgs {
    /// The master, as `tepui cluster status` names it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Patience {
    /// Seconds to wait until it is done; the change goes on after them
    #[arg(long, env = "TEPUI_WAIT", value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BackupArgs {
    /// Where it is written; one that is there is replaced
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) file: PathBuf,
    /// Work directory of the new master: empty or missing
    #[arg(long, env = "TEPUI_WORK_DIR", value_name = "DIR")]
    pub(crate) work_dir: PathBuf,
    /// Name of the new master
    #[arg(long, env = "TEPUI_NAME", default_value = "m1")]
    pub(crate) name: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// The backup
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long, env = "TEPUI_JSON")]
    pub(crate) json: bool,
}
