//! The processes under test. Who started this program owns them: an order goes out as a line on stdout
//! (`kill 5050 5051`, ports of daemons), and `done` comes back on stdin.

use std::io::{self, BufRead, Write};

use anyhow::{Context, ensure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// SIGKILL, to all of them before any is waited for.
    Kill,
    /// With the directories they had.
    Start,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Each of its syncs waits before it begins.
    Slow,
    /// They no longer do.
    Quicken,
    /// No packet goes between it and any other master.
    Isolate,
    /// What other masters send it is dropped.
    Deafen,
    /// What it sends other masters is dropped.
    Mute,
    /// Its link goes down.
    Unplug,
    /// All of these end.
    Mend,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Deed::Kill => "kill",
            Deed::Start => "start",
            Deed::Pause => "pause",
            Deed::Resume => "resume",
            Deed::Slow => "slow",
            Deed::Quicken => "quicken",
            Deed::Isolate => "isolate",
            Deed::Deafen => "deafen",
            Deed::Mute => "mute",
            Deed::Unplug => "unplug",
            Deed::Mend => "mend",
        }
    }
}

/// Returns when it is done.
///
/// # Errors
/// When whoever owns the processes is gone or says anything but `done`.
pub(crate) async fn order(deed: Deed, ports: &[String]) -> anyhow::Result<()> {
    let (word, ports) = (deed.word(), ports.join(" "));
    let done = tokio::task::spawn_blocking(move || {
        let mut out = io::stdout().lock();
        writeln!(out, "{word} {ports}")?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        ensure!(
            answer.trim() == "done",
            "the order '{word}' was answered by {answer:?}, expected 'done'"
        );
        anyhow::Ok(())
    });
    done.await?
        .context("run this program by chaos.py, which owns the processes")
}
