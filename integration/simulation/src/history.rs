//! What happened in a run, as the invariants see it: each observation is checked at the moment it is made, and the
//! first one that breaks an invariant is kept with its time.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::invariants::Invariants;

/// Lines of the trace that are shown with a violation.
const SHOWN_LINES: usize = 120;

/// An invariant does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// As `I1`.
    pub invariant: &'static str,
    pub text: String,
}

/// What an invariant's function answers.
pub type Check = Result<(), Broken>;

/// Holds, or breaks `invariant` with a text.
pub fn ensure(invariant: &'static str, holds: bool, text: impl FnOnce() -> String) -> Check {
    if holds {
        return Ok(());
    }
    Err(Broken {
        invariant,
        text: text(),
    })
}

/// The first violation of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub broken: Broken,
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// What happened before it, oldest first.
    pub trace: Vec<String>,
}

/// Cheap to clone; one a run.
#[derive(Clone)]
pub struct History(Arc<Shared>);

struct Shared {
    origin: Instant,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    invariants: Invariants,
    violation: Option<Violation>,
    lines: VecDeque<String>,
    digest: u64,
}

impl Default for History {
    fn default() -> Self {
        Self(Arc::new(Shared {
            origin: Instant::now(),
            record: Mutex::default(),
        }))
    }
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time since the start of the run.
    pub fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: impl Into<String>) {
        let line = format!("{:>9.3} {}", self.now().as_secs_f64(), line.into());
        let mut record = self.lock();
        let mut hasher = DefaultHasher::new();
        (record.digest, &line).hash(&mut hasher);
        record.digest = hasher.finish();
        record.lines.push_back(line);
        if record.lines.len() > SHOWN_LINES {
            record.lines.pop_front();
        }
    }

    /// Tells the invariants of something that happened now.
    pub fn observe(&self, what: impl FnOnce(&mut Invariants) -> Check) {
        let at = self.now();
        let mut record = self.lock();
        if let Err(broken) = what(&mut record.invariants)
            && record.violation.is_none()
        {
            let trace = record.lines.iter().cloned().collect();
            record.violation = Some(Violation { broken, at, trace });
        }
    }

    /// Reads something the invariants know.
    pub fn read<T>(&self, what: impl FnOnce(&mut Invariants) -> T) -> T {
        what(&mut self.lock().invariants)
    }

    pub fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// Equal for two runs whose traces are equal.
    pub fn digest(&self) -> u64 {
        self.lock().digest
    }
}

/// The same for the same bytes, in every run of this program.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
