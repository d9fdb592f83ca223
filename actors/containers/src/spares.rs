//! Owns shims that wait for orders: bringing a process to life is most of what a launch costs.
//!
//! A spare belongs to nobody: it has no record and no cgroup, and it ends when its pipe does, which the end of the agent
//! brings about.

use crate::error::Error;
use crate::start::Shim;
use crate::stock::Stock;
use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};

/// What an empty pipe takes without a reader; longer orders are handed over in memory, to a shim of their own.
const PIPE_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Spare {
    shim: Shim,
    orders: PipeWriter,
}

/// A stock of so many shims.
pub(crate) fn stock(program: PathBuf, wanted: usize) -> Stock<Spare> {
    Stock::new(wanted, move || spare(&program))
}

/// Gives the orders to one that waits; `None` if none can take them.
pub(crate) fn take(spares: &Stock<Spare>, orders: &[u8]) -> Option<Shim> {
    if orders.len() > PIPE_BYTES {
        return None;
    }
    loop {
        let mut spare = spares.take()?;
        // One that somebody killed is passed over. It is reaped here, or with the agent.
        if spare.shim.lives() && spare.orders.write_all(orders).is_ok() {
            return Some(spare.shim);
        }
    }
}

/// Blocks for about half a millisecond.
fn spare(program: &Path) -> Result<Spare, Error> {
    let (reader, orders) = io::pipe().map_err(Error::kernel("make a pipe"))?;
    let shim = Shim::spawn(program, reader)?;
    Ok(Spare { shim, orders })
}
