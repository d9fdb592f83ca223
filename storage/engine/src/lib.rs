//! Owns everything this project does with RocksDB: opening it, the key space, write options and the
//! checksummed envelope of a record. It never knows what a record means: the crates above decide that.
//!
//! Two engines stand behind one trait: [`RocksEngine`] keeps data on disk, [`MemoryEngine`] is its twin for
//! tests and injects the faults a disk can have.

mod batch;
mod engine;
mod error;
pub mod keys;
mod log_files;
mod mark;
mod memory;
pub mod record;
mod rocks;

pub use batch::{Batch, Operation};
pub use engine::{Counters, Durability, Engine, Pair, SharedEngine, Visit, collect, page};
pub use error::{DiskFailed, EngineError};
pub use keys::{Family, Key, KeyRange, KeyReader};
pub use memory::{Damage, MemoryEngine};
pub use rocks::{DamagedLog, Lost, Options, RocksEngine};
