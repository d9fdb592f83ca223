//! Strict priority by role: among siblings the role of the greatest weight is asked first, whatever it has; fair shares
//! decide only among equals. For clusters where one kind of work must never wait for another.
//!
//! Guarantees and limits of quota hold as with every policy, so a role that must not starve gets a guarantee.

use crate::{
    drf::{self, Drf},
    policy::Policy,
    sorter::Sorter,
};

pub(crate) fn make() -> Box<dyn Policy> {
    Box::new(Drf::with("priority", Sorter::strict(), drf::shuffled))
}

#[cfg(test)]
#[path = "priority_tests.rs"]
mod tests;
