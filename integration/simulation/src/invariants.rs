//! The invariants that the README lists, each in a file of its own: what it has seen, and the function that says whether what
//! happens now is allowed. [`liveness`] is asked by the world once all faults are healed.

pub mod eviction;
pub mod fail_stop;
pub mod failover;
pub mod ledger;
pub mod liveness;
pub mod offers;
pub mod one_leader;
pub mod reads;
pub mod replicas;
pub mod writes;

/// All that is checked while a run goes on.
#[derive(Default)]
pub struct Invariants {
    /// I1.
    pub leaders: one_leader::OneLeader,
    /// I2.
    pub writes: writes::Writes,
    /// I3.
    pub reads: reads::Reads,
    /// I4.
    pub ledger: ledger::Ledger,
    /// I5.
    pub offers: offers::Offers,
    /// I11.
    pub failover: failover::Failover,
    /// I14.
    pub eviction: eviction::Eviction,
    /// I15.
    pub replicas: replicas::Replicas,
    /// I16.
    pub fail_stop: fail_stop::FailStop,
}
