//! Who leads, and what follows from it on one machine, whatever a reign is made of there. A reign waits until its
//! registrar says that this member leads; then it is told. Once the term is over nobody is let in any more, the reign
//! ends wholly, and the next one is made.

use std::time::Duration;

use anyhow::anyhow;
use tepui_consensus::{Consensus, Role, Status};
use tepui_kit::{Ask, AskError, Link, Tell, TellError};
use tepui_master_actor::Master;
use tepui_messages::master::Leads;
use tepui_registry::RegistryReader;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::counted::CountedTime;

/// What no status tells is looked at so often: a master that gave up, an address learned late.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// An election, and which reign of this process it is for.
#[derive(Debug)]
pub struct Elected {
    reign: u64,
    leads: Leads,
}

/// The registrar's way to say that this member leads: through the one place that decides on it.
#[derive(Debug)]
pub struct Announce {
    reign: u64,
    elections: mpsc::UnboundedSender<Elected>,
}

impl Tell<Leads> for Announce {
    fn tell(&self, leads: Leads) -> Result<(), TellError> {
        let elected = Elected {
            reign: self.reign,
            leads,
        };
        self.elections.send(elected).map_err(|_| TellError::Closed)
    }
}

/// Where reigns follow each other: what they are made of, and what shows of them.
pub trait House {
    type Reign;

    /// Makes a reign, which is the `number`th of this process, from 0.
    ///
    /// # Errors
    /// If it cannot be made; nobody leads here then.
    fn begin(&self, number: u64, announce: Announce) -> anyhow::Result<Self::Reign>;

    fn master<'a>(&self, reign: &'a Self::Reign) -> &'a Link<Master>;

    /// This reign is the one of the moment.
    fn seat(&self, reign: &Self::Reign);

    /// It leads, has been told, and its view knows what the registry holds.
    fn crown(&self, reign: &Self::Reign, term: u64);

    /// What leads here leads no more.
    fn depose(&self, status: &Status);

    /// Nothing leads here, as before.
    fn stand(&self, status: &Status);

    /// Ends a reign, and returns when nothing of it runs any more.
    fn end(&self, reign: Self::Reign) -> impl Future<Output = ()>;

    /// What it means here that consensus has failed.
    fn failed(&self, status: &Status, reason: &str) -> anyhow::Error;
}

/// See the module.
pub struct Succession<H: House> {
    house: H,
    consensus: Consensus,
    reader: RegistryReader,
    counted: CountedTime,
    /// None only while one is replaced.
    reign: Option<H::Reign>,
    number: u64,
    /// The term in which the reign leads.
    leads: Option<u64>,
    elections: mpsc::UnboundedReceiver<Elected>,
    announce: mpsc::UnboundedSender<Elected>,
}

impl<H: House> Succession<H> {
    /// Seats the first reign.
    ///
    /// # Errors
    /// As [`House::begin`].
    pub fn new(house: H, consensus: Consensus, reader: RegistryReader) -> anyhow::Result<Self> {
        let (announce, elections) = mpsc::unbounded_channel();
        let mut succession = Self {
            house,
            consensus,
            reader,
            counted: CountedTime::new(Instant::now()),
            reign: None,
            number: 0,
            leads: None,
            elections,
            announce,
        };
        succession.begin()?;
        Ok(succession)
    }

    pub fn house(&self) -> &H {
        &self.house
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let announce = Announce {
            reign: self.number,
            elections: self.announce.clone(),
        };
        let reign = self.house.begin(self.number, announce)?;
        self.house.seat(&reign);
        self.reign = Some(reign);
        Ok(())
    }

    /// Runs until consensus has failed, and says why: nothing can be written any more.
    pub async fn run(&mut self) -> anyhow::Error {
        let mut status = self.consensus.status();
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
        let newest = self.reader.with(|registry| registry.counted_nanos);
        self.counted.ago(newest, Instant::now())
    }

    async fn look(&mut self, status: &Status) -> anyhow::Result<()> {
        self.counted_ago();
        if let Some(reason) = &status.stopped {
            return Err(self.house.failed(status, reason));
        }
        let master = self.reign.as_ref().map(|it| self.house.master(it));
        let gone = master.is_none_or(Link::is_closed);
        let over = self
            .leads
            .is_some_and(|term| status.role != Role::Leader || status.term != term);
        if gone || over {
            tracing::info!(term = self.leads, "this master leads no more");
            return self.renew(status).await;
        }
        if self.leads.is_none() {
            self.house.stand(status);
        }
        Ok(())
    }

    async fn elect(&mut self, mut elected: Elected) -> anyhow::Result<()> {
        // The registry is as it was copied: nobody but this reign could write since.
        elected.leads.counted_ago = self.counted_ago();
        let of_this = self.number == elected.reign;
        let Some(reign) = self.reign.as_ref().filter(|_| of_this) else {
            return Ok(());
        };
        let term = elected.leads.term;
        // Queries pass the master by: before it has told the view what the registry holds, they would find nothing there.
        let told = if self.leads_in(term) {
            self.house.master(reign).ask(elected.leads).await
        } else {
            Err(AskError::Closed)
        };
        if told.is_err() || !self.leads_in(term) {
            let status = self.consensus.status().borrow().clone();
            // A registrar speaks once.
            return self.renew(&status).await;
        }
        self.leads = Some(term);
        self.house.crown(reign, term);
        Ok(())
    }

    fn leads_in(&self, term: u64) -> bool {
        let status = self.consensus.status();
        let now = status.borrow();
        now.role == Role::Leader && now.term == term
    }

    /// Ends the reign and seats the next one.
    async fn renew(&mut self, status: &Status) -> anyhow::Result<()> {
        self.house.depose(status);
        self.leads = None;
        if let Some(reign) = self.reign.take() {
            self.house.end(reign).await;
            self.number += 1;
        }
        self.begin()
    }

    /// Ends the reign for good.
    pub async fn end(self) {
        if let Some(reign) = self.reign {
            self.house.end(reign).await;
        }
    }
}
