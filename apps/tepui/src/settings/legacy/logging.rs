//! Flags of both of Mesos' daemons (`src/logging/flags.cpp`) that ours have not.

use super::Fate::{self, Overlooked};

pub(super) const FLAGS: &[(&str, Fate)] = &[
    (
        "log_dir",
        Overlooked("the log lies in log/ of the work directory"),
    ),
    (
        "logging_level",
        Overlooked("RUST_LOG chooses what is logged, such as RUST_LOG=warn"),
    ),
    ("logbufsecs", Overlooked("lines are written at once")),
    (
        "quiet",
        Overlooked("send standard error elsewhere; the log is in the work directory too"),
    ),
    (
        "external_log_file",
        Overlooked("the log lies in log/ of the work directory"),
    ),
    (
        "initialize_driver_logging",
        Overlooked("there is no driver"),
    ),
];
