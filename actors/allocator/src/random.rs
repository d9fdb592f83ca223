//! Draws who is asked first, by weight of role, for each agent anew; what everybody has does not matter. Mesos' `random`
//! sorter.

use crate::{
    drf::{self, Drf},
    policy::Policy,
    sorter::Sorter,
};

pub(crate) fn make() -> Box<dyn Policy> {
    Box::new(Drf::with("random", Sorter::random(), drf::shuffled))
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod tests;
