//! Who leads, and what follows from it here. The one place that sets standings.
//!
//! A reign waits on the throne until its registrar says that this member leads; then it is told, and the standing
//! becomes `Leading`. Once the term is over the standing changes first, then the reign ends wholly, then the next
//! one is made. So a request that takes the endpoints of the moment and then sees `Leading` has the endpoints of
//! the master that leads, or of one that is gone and answers nothing.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use tepui_consensus::{Role, Status};
use tepui_engine::DiskFailed;
use tepui_kit::Tell;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::{
    gate::Gate,
    ground::Ground,
    http::Door,
    leadership::Standing,
    reign::{Elected, Reign},
};

/// What no status tells is looked at so often: a master that gave up, an address learned late.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Throne {
    ground: Arc<Ground>,
    gate: Arc<Gate>,
    door: Arc<Door>,
    /// None only while one is replaced.
    reign: Option<Reign>,
    /// The term in which the reign leads.
    leads: Option<u64>,
    counted: CountedTime,
    elections: mpsc::UnboundedReceiver<Elected>,
    announce: mpsc::UnboundedSender<Elected>,
}

/// The newest counted time of the registry, and when this member saw it: from then on it counts by itself.
struct CountedTime {
    newest: i64,
    seen: Instant,
}

impl CountedTime {
    fn new(now: Instant) -> Self {
        Self {
            newest: 0,
            seen: now,
        }
    }

    /// How long ago the count became `newest`, as far as this member has seen.
    fn ago(&mut self, newest: i64, now: Instant) -> Duration {
        if newest != self.newest {
            *self = Self { newest, seen: now };
        }
        now.saturating_duration_since(self.seen)
    }
}

impl Throne {
    pub(crate) fn new(ground: Arc<Ground>, gate: Arc<Gate>) -> anyhow::Result<Throne> {
        let (announce, elections) = mpsc::unbounded_channel();
        let reign = Reign::begin(&ground, 0, &announce)?;
        Ok(Throne {
            door: Arc::new(Door::new(reign.http(&ground))),
            ground,
            gate,
            reign: Some(reign),
            leads: None,
            counted: CountedTime::new(Instant::now()),
            elections,
            announce,
        })
    }

    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// Runs until consensus has failed, and says why: nothing can be written any more.
    pub(crate) async fn run(&mut self) -> anyhow::Error {
        let mut status = self.ground.consensus.status();
        loop {
            let now = status.borrow_and_update().clone();
            if let Err(error) = self.look(&now).await {
                return error;
            }
            tokio::select! {
                biased;
                Some(elected) = self.elections.recv() => {
                    if let Err(error) = self.elect(elected).await {
                        return error;
                    }
                }
                changed = status.changed() => {
                    if changed.is_err() {
                        return anyhow!("consensus has ended; restart this master");
                    }
                }
                () = sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// How long ago the registry's counted time went on (`actors/master`, `away.rs`).
    fn counted_ago(&mut self) -> Duration {
        let newest = self.ground.reader.with(|registry| registry.counted_nanos);
        self.counted.ago(newest, Instant::now())
    }

    async fn look(&mut self, status: &Status) -> anyhow::Result<()> {
        self.counted_ago();
        if let Some(reason) = &status.stopped {
            self.ground.leadership.set(Standing::NoLeader);
            let work_dir = self.ground.settings.work_dir.display();
            let text = format!("--work-dir {work_dir}: the registry has stopped: {reason}");
            return Err(if status.disk_failed {
                DiskFailed(text).into()
            } else {
                anyhow!(text)
            });
        }
        let gone = self.reign.as_ref().is_none_or(|it| it.master.is_closed());
        let over = self
            .leads
            .is_some_and(|term| status.role != Role::Leader || status.term != term);
        if gone || over {
            tracing::info!(term = self.leads, "this master leads no more");
            return self.renew(status).await;
        }
        if self.leads.is_none() {
            self.stand(self.standing(status));
        }
        Ok(())
    }

    fn stand(&self, standing: Standing) {
        if self.ground.leadership.standing() != standing {
            tracing::info!(?standing, "the standing of this master has changed");
            self.ground.leadership.set(standing);
        }
    }

    /// The standing of a member that does not lead with a reign.
    fn standing(&self, status: &Status) -> Standing {
        if status.role == Role::Leader {
            return Standing::Recovering;
        }
        let leader = status.leader;
        let leader = leader.and_then(|id| self.ground.group.leader(id, status.term));
        leader.map_or(Standing::NoLeader, Standing::Following)
    }

    async fn elect(&mut self, mut elected: Elected) -> anyhow::Result<()> {
        // The registry is as it was copied: nobody but this reign could write since.
        elected.leads.counted_ago = self.counted_ago();
        let Some(reign) = self.reign.as_ref().filter(|it| it.number == elected.reign) else {
            return Ok(());
        };
        let status = self.ground.consensus.status().borrow().clone();
        let term = elected.leads.term;
        let stale = status.role != Role::Leader || status.term != term;
        if stale || reign.master.tell(elected.leads).is_err() {
            // A registrar speaks once.
            return self.renew(&status).await;
        }
        self.leads = Some(term);
        self.gate.set(Some(Arc::clone(&reign.agents)));
        // Whatever HTTP and agents send comes behind the election in the master's mailbox.
        self.stand(Standing::Leading { term });
        Ok(())
    }

    /// Ends the reign and puts the next one on the throne.
    async fn renew(&mut self, status: &Status) -> anyhow::Result<()> {
        self.stand(self.standing(status));
        self.gate.set(None);
        self.leads = None;
        let number = match self.reign.take() {
            Some(reign) => {
                let number = reign.number;
                reign.end().await;
                number + 1
            }
            None => 0,
        };
        let reign = Reign::begin(&self.ground, number, &self.announce)?;
        self.door.replace(reign.http(&self.ground));
        self.reign = Some(reign);
        Ok(())
    }

    /// Ends the reign for good.
    pub(crate) async fn end(mut self) {
        self.ground.leadership.set(Standing::NoLeader);
        self.gate.set(None);
        if let Some(reign) = self.reign.take() {
            reign.end().await;
        }
    }
}

#[cfg(test)]
#[path = "throne_tests.rs"]
mod tests;
