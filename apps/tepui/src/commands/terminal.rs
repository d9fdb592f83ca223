//! The user's own terminal: raw mode and back, its size, and reading what is typed.

use std::{io::Read, os::fd::AsFd};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Bytes read at once.
const CHUNK: usize = 8 << 10;

pub(super) fn is_terminal(stream: impl AsFd) -> bool {
    isatty(stream)
}

/// Rows and columns; `None` where nobody knows.
pub(super) fn size() -> Option<(u32, u32)> {
    let size = tcgetwinsize(std::io::stdin()).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then(|| (size.ws_row.into(), size.ws_col.into()))
}

/// The terminal gives every key as it is, and shows nothing by itself, until this is dropped.
pub(super) struct Raw(Termios);

impl Raw {
    pub(super) fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may be gone with its window.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Reads standard input on a thread of its own, which the program's end does not wait for. The end of input ends the
/// channel.
pub(super) fn read_in_background(typed: mpsc::Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        let mut stdin = std::io::stdin().lock();
        loop {
            match stdin.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if typed.blocking_send(chunk[..length].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    });
}
