//! What shows of reigns on this machine. The one place that sets standings; `succession` says when.
//!
//! The standing is `Leading` only after the reign has been told, and changes before the reign ends. So a request that
//! takes the endpoints of the moment and then sees `Leading` has the endpoints of the master that leads, or of one
//! that is gone and answers nothing.

use std::sync::{Arc, OnceLock};

use anyhow::anyhow;
use tepui_consensus::{Role, Status};
use tepui_engine::DiskFailed;
use tepui_kit::Link;
use tepui_master_actor::Master;

use crate::{
    chosen,
    gate::Gate,
    ground::Ground,
    http::Door,
    leadership::Standing,
    reign::Reign,
    succession::{Announce, House, Succession},
};

pub(crate) struct Throne(Succession<Court>);

struct Court {
    ground: Arc<Ground>,
    gate: Arc<Gate>,
    /// Set with the first reign.
    door: OnceLock<Arc<Door>>,
}

impl Throne {
    pub(crate) fn new(ground: Arc<Ground>, gate: Arc<Gate>) -> anyhow::Result<Throne> {
        let (consensus, reader) = (ground.consensus.clone(), ground.reader.clone());
        let court = Court {
            ground,
            gate,
            door: OnceLock::new(),
        };
        Succession::new(court, consensus, reader).map(Throne)
    }

    pub(crate) fn door(&self) -> Arc<Door> {
        let door = self.0.house().door.get();
        Arc::clone(door.expect("the first reign is seated when a throne is made"))
    }

    /// Runs until consensus has failed, and says why: nothing can be written any more.
    pub(crate) async fn run(&mut self) -> anyhow::Error {
        self.0.run().await
    }

    /// Ends the reign for good.
    pub(crate) async fn end(self) {
        let court = self.0.house();
        court.ground.leadership.set(Standing::NoLeader);
        court.gate.set(None);
        self.0.end().await;
    }
}

impl House for Court {
    type Reign = Reign;

    fn begin(&self, number: u64, announce: Announce) -> anyhow::Result<Reign> {
        Reign::begin(&self.ground, number, announce)
    }

    fn master<'a>(&self, reign: &'a Reign) -> &'a Link<Master> {
        &reign.actors.master
    }

    fn seat(&self, reign: &Reign) {
        let http = reign.http(&self.ground);
        match self.door.get() {
            Some(door) => door.replace(http),
            None => {
                // It was empty a moment ago, and one task seats reigns.
                let _ = self.door.set(Arc::new(Door::new(http)));
            }
        }
    }

    fn crown(&self, reign: &Reign, term: u64) {
        if let Some(chosen) = self.ground.reader.with(chosen::kept) {
            let allocator = reign.actors.allocator.asker();
            tokio::task::spawn_local(chosen::obey(allocator, chosen));
        }
        self.gate.set(Some(Arc::clone(&reign.agents)));
        self.show(Standing::Leading { term });
    }

    fn depose(&self, status: &Status) {
        self.stand(status);
        self.gate.set(None);
    }

    fn stand(&self, status: &Status) {
        self.show(self.standing(status));
    }

    async fn end(&self, reign: Reign) {
        reign.end().await;
    }

    fn failed(&self, status: &Status, reason: &str) -> anyhow::Error {
        self.ground.leadership.set(Standing::NoLeader);
        let work_dir = self.ground.settings.work_dir.display();
        let text = format!("--work-dir {work_dir}: the registry has stopped: {reason}");
        if status.disk_failed {
            DiskFailed(text).into()
        } else {
            anyhow!(text)
        }
    }
}

impl Court {
    fn show(&self, standing: Standing) {
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
}

#[cfg(test)]
#[path = "throne_tests.rs"]
mod tests;
