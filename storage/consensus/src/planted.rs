//! Bugs that tests plant, to see that they would be found. Outside this crate's own tests there are none.

/// A bug of the kind that loses acknowledged writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing waits for the disk.
    SkipSync,
    /// A follower answers before its entries are on disk.
    AnswerBeforeSync,
    /// A failed write is passed over.
    IgnoreFailedWrite,
    /// Term and vote are not kept.
    ForgetVote,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or none.
#[cfg(test)]
pub(crate) fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted here.
#[cfg(test)]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this bug is planted here: never.
#[cfg(not(test))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
