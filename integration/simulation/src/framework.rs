//! A framework: what outlives its schedulers, and which of them run.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tepui_kit::Random;
use tepui_protocol::v1::FrameworkId;

use crate::{
    bridge::Doors,
    history::History,
    net::{Net, Place},
    planted::Planted,
    scheduler::Scheduler,
};

/// What all frameworks of a run share.
#[derive(Clone)]
pub struct Stage {
    pub history: History,
    pub net: Net,
    pub doors: Doors,
    pub planted: Planted,
}

/// What outlives a scheduler: a framework keeps its id and its tasks somewhere safe.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) id: Option<FrameworkId>,
    pub(crate) next_task: u64,
    pub(crate) next_stream: u64,
    /// Not known to have ended, with their agents.
    pub(crate) live: BTreeMap<String, String>,
    /// The stream of the subscription that stands.
    pub(crate) subscribed: Option<String>,
    /// Tasks that were reported running.
    pub(crate) ran: u64,
}

pub struct FrameworkHost {
    number: u64,
    stage: Stage,
    timeout: Duration,
    random: Random,
    kept: Arc<Mutex<Kept>>,
    /// Of the schedulers that run; more than one during a failover.
    alive: Vec<Arc<AtomicBool>>,
}

pub(crate) fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FrameworkHost {
    pub fn new(number: u64, stage: Stage, timeout: Duration, random: Random) -> FrameworkHost {
        FrameworkHost {
            number,
            stage,
            timeout,
            random,
            kept: Arc::default(),
            alive: Vec::new(),
        }
    }

    pub fn name(&self) -> String {
        format!("framework-{}", self.number)
    }

    pub fn start_if_down(&mut self) {
        if !self.is_running() {
            self.start();
        }
    }

    pub fn is_running(&self) -> bool {
        !self.alive.is_empty()
    }

    pub fn is_subscribed(&self) -> bool {
        lock(&self.kept).subscribed.is_some()
    }

    /// Tasks of it that ran.
    pub fn ran(&self) -> u64 {
        lock(&self.kept).ran
    }

    /// Another scheduler takes over, while the one before may still run.
    pub fn start(&mut self) {
        let alive = Arc::new(AtomicBool::new(true));
        let scheduler = Scheduler {
            name: self.name(),
            place: Place::Framework(self.number),
            stage: self.stage.clone(),
            timeout: self.timeout,
            random: self.random.fork(),
            kept: Arc::clone(&self.kept),
            alive: Arc::clone(&alive),
            old_offers: Vec::new(),
            held: Vec::new(),
        };
        self.stage.history.note(format!("{} starts", self.name()));
        tokio::task::spawn_local(scheduler.run());
        self.alive.push(alive);
    }

    /// The scheduler before the newest one ends.
    pub fn stop_older(&mut self) {
        let newest = self.alive.pop();
        for alive in self.alive.drain(..) {
            alive.store(false, Ordering::Relaxed);
        }
        self.alive.extend(newest);
    }

    pub fn stop(&mut self) {
        for alive in self.alive.drain(..) {
            alive.store(false, Ordering::Relaxed);
        }
        lock(&self.kept).subscribed = None;
    }
}
