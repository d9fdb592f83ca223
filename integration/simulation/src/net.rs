//! Links between the processes of a run. Each direction has its own condition: cut, lossy, doubling, slow.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tepui_kit::Random;
use tokio::{sync::mpsc, time::Instant};

const SLICE: Duration = Duration::from_millis(100);

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Master(u64),
    Agent(u64),
    Framework(u64),
}

/// How one direction between two places is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    pub cut: bool,
    pub loss: f64,
    pub double: f64,
    pub delay: (Duration, Duration),
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            cut: false,
            loss: 0.0,
            double: 0.0,
            delay: (Duration::from_micros(200), Duration::from_millis(3)),
        }
    }
}

/// Cheap to clone; one a run.
#[derive(Clone, Default)]
pub struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    conditions: BTreeMap<(Place, Place), Condition>,
    /// Processes that were stopped, and until when.
    stopped: BTreeMap<Place, Instant>,
}

impl Net {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn condition(&self, from: Place, to: Place) -> Condition {
        let state = self.lock();
        let condition = state.conditions.get(&(from, to));
        condition.copied().unwrap_or_default()
    }

    pub fn set(&self, from: Place, to: Place, condition: Condition) {
        self.lock().conditions.insert((from, to), condition);
    }

    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        self.condition(from, to).cut
    }

    /// Whether either could notice within a few beats that the other is there: nothing is cut, nobody is stopped.
    pub fn joins(&self, one: Place, other: Place) -> bool {
        let awake = |place| self.stopped_until(place).is_none();
        !self.is_cut(one, other) && !self.is_cut(other, one) && awake(one) && awake(other)
    }

    /// A process is stopped: what it says and what it is told lies in sockets until then.
    pub fn stop(&self, place: Place, until: Instant) {
        self.lock().stopped.insert(place, until);
    }

    fn stopped_until(&self, place: Place) -> Option<Instant> {
        let until = self.lock().stopped.get(&place).copied();
        until.filter(|until| *until > Instant::now())
    }

    /// Everything works again.
    pub fn heal(&self) {
        *self.lock() = State::default();
    }
}

/// Something that is carried out on arrival; more than once if the link doubles.
pub type Parcel = Box<dyn FnMut() + Send>;

/// One ordered stream from one place to another. What it carries may be lost or doubled, never reordered.
#[derive(Clone)]
pub struct Pipe(Arc<PipeParts>);

struct PipeParts {
    net: Net,
    from: Place,
    to: Place,
    queue: mpsc::UnboundedSender<(Instant, bool, Parcel)>,
    state: Mutex<(Random, Instant)>,
    lost: Arc<AtomicBool>,
    breaks: bool,
}

impl Pipe {
    /// With `breaks` nothing arrives any more once something was lost, as in a TCP connection.
    ///
    /// # Panics
    /// Outside a tokio `LocalSet`.
    pub fn open(net: &Net, from: Place, to: Place, random: Random, breaks: bool) -> Pipe {
        let (queue, mut queued) = mpsc::unbounded_channel::<(Instant, bool, Parcel)>();
        let lost = Arc::new(AtomicBool::new(false));
        let (way, over) = (net.clone(), Arc::clone(&lost));
        tokio::task::spawn_local(async move {
            while let Some((at, twice, mut parcel)) = queued.recv().await {
                tokio::time::sleep_until(at).await;
                while let Some(until) = way.stopped_until(from).max(way.stopped_until(to)) {
                    // In slices: it may go on earlier.
                    tokio::time::sleep_until(until.min(Instant::now() + SLICE)).await;
                }
                if way.is_cut(from, to) || breaks && over.load(Ordering::Relaxed) {
                    over.store(true, Ordering::Relaxed);
                    continue;
                }
                parcel();
                if twice {
                    parcel();
                }
            }
        });
        Pipe(Arc::new(PipeParts {
            net: net.clone(),
            from,
            to,
            queue,
            state: Mutex::new((random, Instant::now())),
            lost,
            breaks,
        }))
    }

    /// Whether anything was lost.
    pub fn has_lost(&self) -> bool {
        self.0.lost.load(Ordering::Relaxed)
    }

    pub fn send(&self, parcel: impl FnMut() + Send + 'static) {
        self.put(Box::new(parcel), true);
    }

    /// What is carried must not be carried out twice.
    pub fn send_once(&self, parcel: impl FnOnce() + Send + 'static) {
        let mut parcel = Some(parcel);
        let once = move || {
            if let Some(parcel) = parcel.take() {
                parcel();
            }
        };
        self.put(Box::new(once), false);
    }

    fn put(&self, parcel: Parcel, may_double: bool) {
        let parts = &*self.0;
        let condition = parts.net.condition(parts.from, parts.to);
        let mut state = parts.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (random, last) = &mut *state;
        let (least, most) = condition.delay;
        let delay = random.between(least, most);
        let gone = random.chance(condition.loss) || condition.cut;
        let twice = random.chance(condition.double) && may_double;
        if gone || parts.breaks && self.has_lost() {
            parts.lost.store(true, Ordering::Relaxed);
            return;
        }
        *last = (*last).max(Instant::now() + delay);
        // Its end of the run is the end of everything: nobody waits for what it carried.
        let _ = parts.queue.send((*last, twice, parcel));
    }
}
