//! Owns the bound on open files of this process.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit};

static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Takes as many as this user may have. The usual soft limit of 1024 is for programs that use `select`; a daemon with
/// some hundred connections or containers needs more. Who begins programs gives them [`before`] back.
///
/// # Errors
/// The kernel refused; the process goes on with what it had.
pub fn raise() -> std::io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Who calls twice keeps the first.
    let _ = BEFORE.set(limit);
    Ok(rustix::process::setrlimit(Resource::Nofile, raised)?)
}

/// The soft and the hard limit before [`raise`]; `None` in either: without a bound. `None`: it was not called.
pub fn before() -> Option<(Option<u64>, Option<u64>)> {
    BEFORE.get().map(|limit| (limit.current, limit.maximum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_what_it_may_and_remembers_what_it_had() {
        let had = rustix::process::getrlimit(Resource::Nofile);
        raise().unwrap();
        let has = rustix::process::getrlimit(Resource::Nofile);
        assert_eq!(has.current, had.maximum);
        raise().unwrap();
        assert_eq!(before(), Some((had.current, had.maximum)));
    }
}
