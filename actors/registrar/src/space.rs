//! How much the registry may hold: all of it is in memory, and goes to a member that lags as one message.
//!
//! Decided where commands are proposed, not where they are applied: members of different versions would come to
//! different states else.

/// Room for what is new, in bytes.
#[derive(Debug)]
pub(crate) struct Space {
    most: usize,
    /// Of commands that are proposed and not applied yet.
    under_way: usize,
    /// Whether the last one found none; the log says it once.
    short: bool,
}

impl Space {
    pub(crate) fn new(most: usize) -> Space {
        Space {
            most,
            under_way: 0,
            short: false,
        }
    }

    /// Takes `bytes` more beside the `held` ones of the registry, until [`Space::give_back`]. The error says why not.
    pub(crate) fn take(&mut self, held: usize, bytes: usize) -> Result<(), String> {
        let was_short = self.short;
        self.short = held + self.under_way + bytes > self.most;
        if !self.short {
            if was_short {
                tracing::info!("the registry has room again");
            }
            self.under_way += bytes;
            return Ok(());
        }
        let [held, most] = [held, self.most].map(|bytes| bytes >> 10);
        let text = format!(
            "the registry has {held} KiB, and may have {most}: nothing new is taken; tear frameworks down or remove \
             what nobody needs (quota, maintenance), and it is taken again"
        );
        if !was_short {
            tracing::error!("{text}");
        }
        Err(text)
    }

    /// Such a command has ended: what it brought is part of the registry now, or never will be.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_sub(bytes);
    }
}
