//! The four actors of a term and the links between them: master, allocator, view, registrar.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tepui_allocator::{Allocator, AllocatorCore};
use tepui_consensus::Consensus;
use tepui_kit::{Actor, ArbiterHandle, Directory, Link, OnPanic, Random, Spawn, Teller};
use tepui_master_actor::{Master, MasterConfig, MasterLinks};
use tepui_messages::master::{Leads, Lease};
use tepui_registrar::{Beginning, Registrar, Room};
use tepui_registry::RegistryReader;
use tepui_view::{View, ViewConfig};
use tokio::time::sleep;

/// Calls, updates and proposals that may wait for the master.
const MASTER_CAPACITY: usize = 100_000;
/// Changes that may wait for the allocator. It is told of the world only once, so the first that is refused ends the term.
const ALLOCATOR_CAPACITY: usize = 1_000_000;
/// Batches of changes that may wait for the view beside the few queries; as with the allocator. It stands for seconds
/// where all its readers want a large cluster whole.
const VIEW_CAPACITY: usize = 250_000;
const REGISTRAR_CAPACITY: usize = 16_384;

/// How often it is looked whether all actors have ended.
const END_LOOK: Duration = Duration::from_millis(1);

/// Where actors live; on the thread that makes them where nothing is said.
#[derive(Default)]
pub struct Places {
    pub master: Option<ArbiterHandle>,
    pub allocator: Option<ArbiterHandle>,
    pub view: Option<ArbiterHandle>,
}

/// What the actors of a term are made of.
pub struct Making {
    pub directory: Directory,
    pub on_panic: OnPanic,
    pub places: Places,
    pub master: MasterConfig,
    pub view: ViewConfig,
    pub allocation: tepui_allocator::Config,
    /// Of the allocator.
    pub random: Random,
    pub consensus: Consensus,
    pub reader: RegistryReader,
    pub lease: Lease,
    pub room: Room,
    pub beginning: Beginning,
    /// Told once, when they may lead.
    pub elected: Teller<Leads>,
}

/// See the module. They are made ahead, lead at most once, and end together.
pub struct Actors {
    pub master: Link<Master>,
    pub allocator: Link<Allocator>,
    pub view: Link<View>,
    pub registrar: Link<Registrar>,
    /// How many changes the view was told.
    pub changes: Arc<AtomicU64>,
}

impl Actors {
    /// `tap` may put something between the master and those it speaks to.
    ///
    /// # Errors
    /// If the allocator's policy is not known.
    pub fn begin(
        making: Making,
        tap: impl FnOnce(MasterLinks) -> MasterLinks,
    ) -> anyhow::Result<Actors> {
        let places = &making.places;
        let spawn = |place: &Option<ArbiterHandle>| {
            let spawn = Spawn::new(&making.directory).on_panic(making.on_panic);
            match place {
                Some(place) => spawn.arbiter(place),
                None => spawn,
            }
        };
        let changes = Arc::new(AtomicU64::new(0));
        let master = spawn(&places.master)
            .capacity(MASTER_CAPACITY)
            .prepare::<Master>();
        let core = AllocatorCore::new(&making.allocation, making.random)?;
        let proposals = master.link().teller();
        let allocator = spawn(&places.allocator)
            .capacity(ALLOCATOR_CAPACITY)
            .start_once(move || Allocator::new(core, proposals));
        let view_config = making.view;
        let view = spawn(&places.view)
            .capacity(VIEW_CAPACITY)
            .start_once(move || View::new(view_config));
        let registrar = spawn(&places.master)
            .capacity(REGISTRAR_CAPACITY)
            .prepare::<Registrar>();
        let links = tap(MasterLinks {
            allocator: allocator.teller(),
            view: view.teller(),
            registrar: registrar.link().asker(),
            changes: Arc::clone(&changes),
            lease: making.lease,
        });
        let config = making.master;
        let master = master.start_once(move || Master::new(config, links));
        let (member, reader, room) = (making.consensus, making.reader, making.room);
        let (elected, beginning) = (making.elected, making.beginning);
        let registrar = registrar
            .start_once(move || Registrar::new(member, reader, elected, beginning).within(room));
        Ok(Actors {
            master,
            allocator,
            view,
            registrar,
            changes,
        })
    }

    /// Asks all to end, at once.
    pub fn stop(&self) {
        self.master.stop();
        self.registrar.stop();
        self.allocator.stop();
        self.view.stop();
    }

    /// Ends all, and returns when nothing of them runs any more: whoever asked hears that nobody is there.
    pub async fn end(&self) {
        self.stop();
        ended(&self.master).await;
        ended(&self.registrar).await;
        ended(&self.allocator).await;
        ended(&self.view).await;
    }
}

async fn ended<A: Actor>(link: &Link<A>) {
    while !link.is_closed() {
        sleep(END_LOOK).await;
    }
}
