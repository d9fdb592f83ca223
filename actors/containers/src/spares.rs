//! Owns shims that wait for orders. Bringing a process to life is most of what a launch costs, so it is done before
//! the launch is asked for, and after it for the next one.
//!
//! A spare belongs to nobody: it has no record and no cgroup, and it ends when its pipe does, which the end of the agent
//! brings about.

use crate::error::Error;
use crate::start::Shim;
use std::io::{self, PipeWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an empty pipe takes without a reader; longer orders are handed over in memory, to a shim of their own.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Spares {
    program: PathBuf,
    /// How many are to wait.
    wanted: usize,
    waiting: Mutex<Vec<Spare>>,
    filling: AtomicBool,
}

#[derive(Debug)]
struct Spare {
    shim: Shim,
    orders: PipeWriter,
}

impl Spares {
    pub(crate) fn new(program: PathBuf, wanted: usize) -> Self {
        Self {
            program,
            wanted,
            waiting: Mutex::default(),
            filling: AtomicBool::new(false),
        }
    }

    /// Gives the orders to one that waits; `None` if none can take them.
    pub(crate) fn take(&self, orders: &[u8]) -> Option<Shim> {
        if orders.len() > PIPE_BYTES {
            return None;
        }
        loop {
            let mut spare = self.waiting().pop()?;
            // One that somebody killed is passed over. It is reaped here, or with the agent.
            if spare.shim.lives() && spare.orders.write_all(orders).is_ok() {
                return Some(spare.shim);
            }
        }
    }

    /// Says once that there is something to fill; then [`Spares::fill`] must follow.
    pub(crate) fn wants_filling(&self) -> bool {
        self.waiting().len() < self.wanted && !self.filling.swap(true, Ordering::AcqRel)
    }

    /// Spawns what is missing. Blocks for about half a millisecond each. Errors: one could not be spawned.
    pub(crate) fn fill(&self) -> Result<(), Error> {
        let filled = self.fill_up();
        self.filling.store(false, Ordering::Release);
        filled
    }

    fn fill_up(&self) -> Result<(), Error> {
        while self.waiting().len() < self.wanted {
            let (reader, orders) = io::pipe().map_err(Error::kernel("make a pipe"))?;
            let shim = Shim::spawn(&self.program, reader)?;
            self.waiting().push(Spare { shim, orders });
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Spare>> {
        // Whole after every statement.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
