//! Owns the form in which a command's output comes over an engine's connection, and in which clients get it. Pure.

use crate::switchboard::{Kind, MAX_FRAME_BYTES, frame};

const HEAD_BYTES: usize = 8;

/// The output of a command in pieces, as an engine sends it over a connection: frames without times, of any length; or
/// what a terminal says, without frames.
#[derive(Debug)]
pub(super) struct Parts {
    is_terminal: bool,
    /// Of a head that is not whole.
    head: Vec<u8>,
    kind: Kind,
    /// Of a frame that is not over.
    left: usize,
}

impl Parts {
    pub(super) fn new(is_terminal: bool) -> Self {
        Self {
            is_terminal,
            head: Vec::new(),
            kind: Kind::Stdout,
            left: 0,
        }
    }

    /// The same as frames for clients. `None`: these are no frames.
    pub(super) fn framed(&mut self, mut data: &[u8]) -> Option<Vec<u8>> {
        let mut framed = Vec::with_capacity(data.len());
        while !data.is_empty() {
            if !self.is_terminal && self.left == 0 {
                let taken = data.len().min(HEAD_BYTES - self.head.len());
                let (more, rest) = data.split_at(taken);
                self.head.extend_from_slice(more);
                data = rest;
                if let Some(head) = self.head.first_chunk::<HEAD_BYTES>() {
                    let [stream @ 0..=2, 0, 0, 0, length @ ..] = *head else {
                        return None;
                    };
                    self.kind = match stream {
                        2 => Kind::Stderr,
                        _ => Kind::Stdout,
                    };
                    self.left = u32::from_be_bytes(length) as usize;
                    self.head.clear();
                }
                continue;
            }
            let most = match self.is_terminal {
                true => data.len(),
                false => data.len().min(self.left),
            };
            let (part, rest) = data.split_at(most.min(MAX_FRAME_BYTES));
            framed.extend(frame(self.kind, part));
            self.left = self.left.saturating_sub(part.len());
            data = rest;
        }
        Some(framed)
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
