//! Clients of the registry alone: one writer a register, and readers that claim to be current.

use std::time::Duration;

use bytes::Bytes;
use tepui_consensus::Role;
use tepui_kit::Random;
use tepui_registry::{Command, Outcome, RegistryReader};
use tokio::time::{sleep, timeout};

use crate::{
    history::{History, digest},
    member::{Roster, Running},
    planted::{Bug, Planted},
};

const COLLECTION: &str = "simulation";
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Clone)]
pub struct Client {
    pub key: &'static str,
    pub roster: Roster,
    pub history: History,
    pub planted: Planted,
}

impl Client {
    /// One of the members that believe that they lead: there may be two.
    fn leader(&self, random: &mut Random) -> Option<(u64, Running)> {
        let leads = |it: &Running| it.consensus.status().borrow().role == Role::Leader;
        let running = self.roster.running().into_iter();
        let mut leaders: Vec<_> = running.filter(|(_, it)| leads(it)).collect();
        random.shuffle(&mut leaders);
        leaders.pop()
    }

    /// Writes rising numbers.
    pub async fn write(self, mut random: Random) {
        for value in 1_u64.. {
            sleep(random.between(PAUSE.0, PAUSE.1)).await;
            let Some((id, member)) = self.leader(&mut random) else {
                continue;
            };
            let command = Command::PutDocument {
                collection: COLLECTION.to_owned(),
                name: self.key.to_owned(),
                value: Bytes::copy_from_slice(&value.to_be_bytes()),
            };
            let command = command.encode();
            let known = digest(&command);
            self.history.observe(|seen| {
                seen.reads.write_begins(self.key, value);
                Ok(())
            });
            let written = timeout(PATIENCE, member.consensus.propose(command)).await;
            // Anything else may still take effect.
            let Ok(Ok(applied)) = written else {
                continue;
            };
            if !matches!(
                Outcome::decode(&applied.outcome),
                Ok(Outcome::Applied { .. })
            ) {
                continue;
            }
            self.history
                .observe(|seen| seen.writes.acknowledged(applied.index, known));
            let now = self.history.now();
            self.history.observe(|seen| {
                let what = "an acknowledgement";
                seen.fail_stop.heard(id, member.life, what, now)
            });
            self.history.observe(|seen| {
                seen.reads.write_ends(self.key, value);
                Ok(())
            });
        }
    }

    pub async fn read(self, mut random: Random) {
        loop {
            sleep(random.between(PAUSE.0, PAUSE.1)).await;
            let Some((_, member)) = self.leader(&mut random) else {
                continue;
            };
            let floor = self.history.read(|seen| seen.reads.read_begins(self.key));
            if !self.planted.is(Bug::ReadWithoutConfirmation) {
                let granted = timeout(PATIENCE, member.consensus.read()).await;
                if !matches!(granted, Ok(Ok(_))) {
                    continue;
                }
            }
            let value = value(&member.reader, self.key);
            self.history
                .observe(|seen| seen.reads.read_ends(self.key, floor, value));
        }
    }
}

/// 0 for a register that was never written.
fn value(reader: &RegistryReader, key: &str) -> u64 {
    reader
        .with(|registry| {
            let document = registry.documents.get(COLLECTION)?.get(key)?;
            Some(u64::from_be_bytes(document.as_ref().try_into().ok()?))
        })
        .unwrap_or(0)
}
