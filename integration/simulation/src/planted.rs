//! Bugs planted on purpose, one a run: what the simulation must find; `planted.tsv` lists them. They sit at the seams of the real code (its disk, links, lease, clock and configuration),
//! so that no production crate holds a bug, not even behind a feature.

/// See `planted.tsv` for what each stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    SkipSync,
    ForgetVote,
    GoOnAfterFailedSync,
    AcknowledgeBeforeCommit,
    ActWithoutLease,
    IgnoreStaleTerm,
    ReadWithoutConfirmation,
    SkipCommandOnOneMember,
    ForgetWhatRuns,
    EvictEarly,
    ForgetFailoverTimeout,
    RunTwice,
    ForgetTasks,
}

impl Planted {
    pub const ALL: [Planted; 13] = [
        Self::SkipSync,
        Self::ForgetVote,
        Self::GoOnAfterFailedSync,
        Self::AcknowledgeBeforeCommit,
        Self::ActWithoutLease,
        Self::IgnoreStaleTerm,
        Self::ReadWithoutConfirmation,
        Self::SkipCommandOnOneMember,
        Self::ForgetWhatRuns,
        Self::EvictEarly,
        Self::ForgetFailoverTimeout,
        Self::RunTwice,
        Self::ForgetTasks,
    ];

    /// Its name in `planted.tsv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipSync => "skip-sync",
            Self::ForgetVote => "forget-vote",
            Self::GoOnAfterFailedSync => "go-on-after-failed-sync",
            Self::AcknowledgeBeforeCommit => "acknowledge-before-commit",
            Self::ActWithoutLease => "act-without-lease",
            Self::IgnoreStaleTerm => "ignore-stale-term",
            Self::ReadWithoutConfirmation => "read-without-confirmation",
            Self::SkipCommandOnOneMember => "skip-command-on-one-member",
            Self::ForgetWhatRuns => "forget-what-runs",
            Self::EvictEarly => "evict-early",
            Self::ForgetFailoverTimeout => "forget-failover-timeout",
            Self::RunTwice => "run-twice",
            Self::ForgetTasks => "forget-tasks",
        }
    }

    /// The bug with this name.
    pub fn by_name(name: &str) -> Option<Planted> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}
