//! Points at which a process dies as it does by `kill -9`, for tests of what it finds when it starts again.
//!
//! Owns how a test says where, by two variables of the environment: `TEPUI_CRASH_AT=POINT:N` ends the process when it
//! comes by this point for the N-th time; `TEPUI_CRASH_TRACE=FILE` appends a line `POINT:N` each time it comes by one.
//! Without them a point is a look at an atomic. Not for production: who may set the daemon's environment may end it too.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs::{File, OpenOptions},
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

struct Plan {
    at: Option<String>,
    trace: Option<File>,
    passed: Mutex<BTreeMap<String, u64>>,
}

/// A point on the way of this process. `what` is asked only where a test listens.
pub fn crash_point<T: Debug>(kind: &str, what: impl FnOnce() -> T) {
    if let Some(plan) = PLAN.get_or_init(Plan::of_environment) {
        let shown = format!("{:?}", what());
        let name = head(shown.trim_matches('"')).replace('(', ".");
        plan.pass(format!("{kind}.{name}"));
    }
}

/// The first word of what `Debug` shows, and of what is in it where it is one thing: of a message its name.
fn head(shown: &str) -> &str {
    let is_name = |it: char| it.is_alphanumeric() || it == '_';
    let end_of_name = |from: usize| {
        let rest = &shown[from..];
        from + rest.find(|it| !is_name(it)).unwrap_or(rest.len())
    };
    let outer = end_of_name(0);
    match shown[outer..].starts_with('(') {
        true => &shown[..end_of_name(outer + 1)],
        false => &shown[..outer],
    }
}

impl Plan {
    fn of_environment() -> Option<Self> {
        let at = std::env::var("TEPUI_CRASH_AT").ok();
        let trace = std::env::var_os("TEPUI_CRASH_TRACE").and_then(|path| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened
                .inspect_err(|error| tracing::error!(%error, "TEPUI_CRASH_TRACE cannot be opened"))
                .ok()
        });
        let is_wanted = at.is_some() || trace.is_some();
        is_wanted.then(|| Self {
            at,
            trace,
            passed: Mutex::default(),
        })
    }

    fn pass(&self, point: String) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let times = passed.entry(point.clone()).or_default();
        *times += 1;
        let here = format!("{point}:{times}");
        if let Some(mut trace) = self.trace.as_ref() {
            // Whoever reads the trace finds it short then.
            let _ = writeln!(trace, "{here}");
        }
        if self.at.as_deref() == Some(&here) {
            // Nothing is flushed, dropped or answered, as with SIGKILL.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only shown")]
    enum Shown {
        Unit,
        Tuple(Box<Shown>),
        Named { of: u8 },
    }

    #[test]
    fn a_point_is_named_by_the_message_alone() {
        let named = || Shown::Named { of: 1 };
        let heads = [Shown::Unit, Shown::Tuple(Box::new(named())), named()];
        let heads = heads.map(|it| head(&format!("{it:?}")).to_owned());
        assert_eq!(heads, ["Unit", "Tuple(Named", "Named"]);
    }
}
