//! Bugs planted on purpose, one a run: what the simulation must find. `PLANTED.md` lists them. They sit at the seams
//! of the real code (its disk, links, lease, clock and configuration), so that no production crate holds a bug; and
//! without the feature `planted` none can be chosen.

/// What is planted in a run: nothing, unless this crate was built with the feature `planted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planted(#[cfg(feature = "planted")] Option<Bug>);

impl Planted {
    #[cfg(feature = "planted")]
    pub(crate) fn is(self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }

    #[cfg(not(feature = "planted"))]
    pub(crate) const fn is(self, _: Bug) -> bool {
        false
    }
}

#[cfg(feature = "planted")]
impl From<Bug> for Planted {
    fn from(bug: Bug) -> Self {
        Self(Some(bug))
    }
}

/// See `PLANTED.md` for what each stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
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
    ForgetMembership,
    ComeBackEmpty,
    OfferByAgent,
    HalfOpen,
    LoseSnapshot,
    ReportExitEarly,
    TrustDisks,
}

impl Bug {
    pub const ALL: [Bug; 20] = [
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
        Self::ForgetMembership,
        Self::ComeBackEmpty,
        Self::OfferByAgent,
        Self::HalfOpen,
        Self::LoseSnapshot,
        Self::ReportExitEarly,
        Self::TrustDisks,
    ];

    /// Its name in `PLANTED.md`.
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
            Self::ForgetMembership => "forget-membership",
            Self::ComeBackEmpty => "come-back-empty",
            Self::OfferByAgent => "offer-by-agent",
            Self::HalfOpen => "half-open",
            Self::LoseSnapshot => "lose-snapshot",
            Self::ReportExitEarly => "report-exit-early",
            Self::TrustDisks => "trust-disks",
        }
    }

    /// The bug with this name.
    pub fn by_name(name: &str) -> Option<Bug> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}
