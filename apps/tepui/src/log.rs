//! The log: to standard error for people, and to a bounded file that `/files/*` can show.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use tepui_http::Verbosity;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// What is logged where `RUST_LOG` is not set.
const DEFAULT_FILTER: &str = "info,raft=warn,actix_server=warn";
/// The file is begun anew at this size; the one before it is kept beside it.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A log that runs.
pub(crate) struct Log {
    pub(crate) file: PathBuf,
    /// What SET_LOGGING_LEVEL and `/logging/toggle` turn.
    pub(crate) verbosity: Verbosity,
}

/// Logs to standard error and to `<work_dir>/log/<name>.log`.
pub(crate) fn start(work_dir: &Path, name: &str) -> anyhow::Result<Log> {
    let directory = work_dir.join("log");
    std::fs::create_dir_all(&directory).map_err(|error| {
        anyhow::anyhow!(
            "--work-dir {}: {error}; expected a directory that this user may write to",
            work_dir.display()
        )
    })?;
    let path = directory.join(format!("{name}.log"));
    let file = Capped::open(&path).with_context(|| format!("the log {}", path.display()))?;
    let (filter, handle) = reload::Layer::new(filter(0));
    let to_people = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && !is_plain_wanted());
    let to_file = fmt::layer()
        .with_writer(file)
        .with_target(false)
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(to_people)
        .with(to_file)
        .init();
    let set = move |level| {
        if let Err(error) = handle.reload(self::filter(level)) {
            tracing::warn!(%error, level, "the level of the log was not changed");
        }
    };
    Ok(Log {
        file: path,
        verbosity: Verbosity(Arc::new(set)),
    })
}

/// Whether the user wants no colours (<https://no-color.org>).
fn is_plain_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
}

/// What a level of glog's lets through: 0 what `RUST_LOG` or the default says, 1 DEBUG too, more everything.
fn filter(level: u32) -> EnvFilter {
    match level {
        0 => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER)),
        1 => EnvFilter::new("debug"),
        _ => EnvFilter::new("trace"),
    }
}

/// A file that is set aside when it has grown to its bound. Clones share it.
#[derive(Clone)]
struct Capped(Arc<Mutex<Inner>>);

struct Inner {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Capped {
    fn open(path: &Path) -> io::Result<Capped> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Capped(Arc::new(Mutex::new(Inner {
            path: path.to_owned(),
            file,
            bytes,
        }))))
    }
}

impl Inner {
    fn set_aside(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        self.file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for Capped {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line is written whole, so a panic elsewhere leaves the file usable.
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.bytes + line.len() as u64 > MAX_FILE_BYTES {
            inner.set_aside()?;
        }
        inner.file.write_all(line)?;
        inner.bytes += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::MakeWriter<'_> for Capped {
    type Writer = Capped;

    fn make_writer(&self) -> Capped {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_level_lets_more_through() {
        let most = |level| filter(level).max_level_hint();
        assert_eq!(most(1), Some(tracing::level_filters::LevelFilter::DEBUG));
        assert_eq!(most(2), Some(tracing::level_filters::LevelFilter::TRACE));
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_bound_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let mut log = Capped::open(&path).unwrap();
        let line = vec![b'.'; 1 << 20];
        for _ in 0..40 {
            log.write_all(&line).unwrap();
        }
        let size = |name: &str| {
            std::fs::metadata(directory.path().join(name))
                .unwrap()
                .len()
        };
        assert!(size("x.log") <= MAX_FILE_BYTES && size("x.log.1") <= MAX_FILE_BYTES);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
