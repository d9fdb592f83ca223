//! Whose turn is next, at random: each of some siblings has turns as a Poisson process has events, as often as its weight
//! says. Whose comes first is then drawn by weight, each time anew, and one new draw a turn is all it costs.
//!
//! Owns the times of turns. Never knows who the siblings are.

use tepui_kit::Random;

use crate::{order::NodeIx, slots::Column};

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Its next turn.
    turn: f64,
    /// Of a parent: the time of the turn that was taken last below it.
    clock: f64,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Lottery {
    times: Column<NodeIx, Times>,
    random: Random,
}

impl Default for Lottery {
    fn default() -> Self {
        Self {
            times: Column::default(),
            random: Random::seeded(0),
        }
    }
}

impl Lottery {
    /// Draws from `random` from now on.
    pub(crate) fn reseed(&mut self, random: Random) {
        self.random = random;
    }

    /// The next turn; the time is at or above zero.
    pub(crate) fn turn(&self, node: NodeIx) -> f64 {
        self.times.get(node).map_or(0.0, |times| times.turn)
    }

    /// The node has its turn, whichever was due: what was missed before is not made up for.
    pub(crate) fn take(&mut self, parent: NodeIx, node: NodeIx, weight: f64) {
        let taken = self.turn(node);
        let clock = &mut self.times.at(parent).clock;
        *clock = clock.max(taken);
        self.draw(parent, node, weight);
    }

    /// Draws the next turn from now.
    pub(crate) fn draw(&mut self, parent: NodeIx, node: NodeIx, weight: f64) {
        let now = self.times.at(parent).clock;
        let wait = -(1.0 - self.random.unit()).ln() / weight;
        self.times.at(node).turn = now + wait;
    }
}
