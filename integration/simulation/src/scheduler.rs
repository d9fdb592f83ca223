//! A framework's scheduler: subscribes, launches, kills, acknowledges, reconciles, fails over; and errs as schedulers
//! do: it repeats calls, accepts offers it was told are gone, and answers late.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tepui_kit::{Ask, Random, Tell, TellError};
use tepui_messages::{
    framework::{Deliver, EndStream},
    master::{SchedulerCall, StreamLost, Subscribe},
};
use tepui_protocol::{
    resources::Resources,
    v1::{
        CommandInfo, Filters, FrameworkInfo, Offer, TaskId, TaskInfo, TaskState, TaskStatus,
        framework_info,
        offer::{Operation, operation},
        scheduler::{Call, Event, call, event},
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::{
    framework::{Kept, Stage, lock},
    history::History,
    master::Doorway,
    net::{Pipe, Place},
    planted::Bug,
};

const TASK: &str = "cpus:1;mem:512";
const MOST_TASKS: u64 = 3;
/// Of the offers, so many are kept for a while.
const HOARDS: f64 = 0.15;
const ACT_INTERVAL: Duration = Duration::from_millis(700);
/// Heartbeats are 15 s apart on the wire; here a stream that lost something is given up sooner, to fit more into a run.
const SILENCE: Duration = Duration::from_secs(4);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

enum Heard {
    Event(Arc<Event>),
    Ended,
}

/// The master's end of an event stream.
struct Stream {
    pipe: Pipe,
    events: mpsc::UnboundedSender<Heard>,
    history: History,
    term: u64,
    member: u64,
}

impl Stream {
    fn say(&self, heard: Heard) {
        let (member, term) = (self.member, self.term);
        self.history
            .observe(|seen| seen.leaders.acted(term, member, "an event"));
        let events = self.events.clone();
        // One that listens no more has gone to another master.
        self.pipe.send_once(move || drop(events.send(heard)));
    }
}

impl Tell<Deliver> for Stream {
    fn tell(&self, deliver: Deliver) -> Result<(), TellError> {
        for event in deliver.0 {
            self.say(Heard::Event(event));
        }
        Ok(())
    }
}

impl Tell<EndStream> for Stream {
    fn tell(&self, _: EndStream) -> Result<(), TellError> {
        self.say(Heard::Ended);
        Ok(())
    }
}

pub(crate) struct Scheduler {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) stage: Stage,
    pub(crate) timeout: Duration,
    pub(crate) random: Random,
    pub(crate) kept: Arc<Mutex<Kept>>,
    pub(crate) alive: Arc<AtomicBool>,
    /// Accepted once more later, when they are gone.
    pub(crate) old_offers: Vec<Offer>,
    /// Accepted later, if they still stand.
    pub(crate) held: Vec<Offer>,
}

/// One subscription.
struct Session {
    door: Doorway,
    stream_id: String,
    pipe: Pipe,
}

impl Scheduler {
    pub(crate) async fn run(mut self) {
        while self.is_alive() {
            let wait = Duration::from_millis(50 + self.random.below(800));
            sleep(wait).await;
            let doors = (self.stage.doors)();
            let reached = |door: &Doorway| {
                let there = Place::Master(door.member);
                self.stage.net.joins(self.place, there)
            };
            if let Some(door) = doors.into_values().find(reached) {
                self.subscribe(door).await;
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    fn info(&self) -> FrameworkInfo {
        use framework_info::{Capability, capability::Type};
        FrameworkInfo {
            user: "root".to_owned(),
            name: self.name.clone(),
            id: lock(&self.kept).id.clone(),
            failover_timeout: match self.stage.planted.is(Bug::ForgetFailoverTimeout) {
                true => None,
                false => Some(self.timeout.as_secs_f64()),
            },
            checkpoint: Some(true),
            capabilities: vec![Capability {
                r#type: Some(Type::PartitionAware as i32),
            }],
            ..FrameworkInfo::default()
        }
    }

    async fn subscribe(&mut self, door: Doorway) {
        let there = Place::Master(door.member);
        let stream_id = {
            let mut kept = lock(&self.kept);
            kept.next_stream += 1;
            format!("{}-stream-{}", self.name, kept.next_stream)
        };
        let net = self.stage.net.clone();
        let (events, mut heard) = mpsc::unbounded_channel();
        let pipe = Pipe::open(&net, there, self.place, self.random.fork(), true);
        let subscribe = Subscribe {
            info: self.info(),
            suppressed_roles: Vec::new(),
            offer_constraints: None,
            stream_id: stream_id.clone(),
            stream: Arc::new(Stream {
                pipe: pipe.clone(),
                events,
                history: self.stage.history.clone(),
                term: door.term,
                member: door.member,
            }),
        };
        // A master that ends meanwhile is seen below.
        let _ = door.master.tell(subscribe);
        let session = Session {
            door,
            stream_id,
            pipe,
        };
        self.listen(&session, &mut heard).await;
        let mut kept = lock(&self.kept);
        kept.subscribed.take_if(|it| *it == session.stream_id);
        drop(kept);
        let stream_id = session.stream_id;
        let _ = session.door.master.tell(StreamLost { stream_id });
    }

    async fn listen(&mut self, session: &Session, heard: &mut mpsc::UnboundedReceiver<Heard>) {
        let there = Place::Master(session.door.member);
        let mut broken_since: Option<Instant> = None;
        let mut act_at = Instant::now() + ACT_INTERVAL;
        while self.is_alive() && session.door.is_open() {
            let broken = session.pipe.has_lost() || !self.stage.net.joins(self.place, there);
            broken_since = broken.then(|| broken_since.unwrap_or_else(Instant::now));
            if broken_since.is_some_and(|since| since.elapsed() >= SILENCE) {
                return;
            }
            if Instant::now() >= act_at {
                act_at = Instant::now() + ACT_INTERVAL;
                self.act(session);
            }
            self.mark_connected(session);
            tokio::select! {
                biased;
                event = heard.recv() => match event {
                    Some(Heard::Event(event)) => {
                        if !self.on(session, &event) {
                            return;
                        }
                    }
                    Some(Heard::Ended) | None => return,
                },
                () = sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    fn mark_connected(&self, session: &Session) {
        let kept = lock(&self.kept);
        let stands = kept.subscribed.as_ref() == Some(&session.stream_id);
        if let Some(id) = kept.id.as_ref().filter(|_| stands) {
            let now = self.stage.history.now();
            self.stage.history.observe(|seen| {
                seen.failover.connected(&id.value, self.timeout, now);
                Ok(())
            });
        }
    }

    /// False if the subscription is over.
    fn on(&mut self, session: &Session, event: &Event) -> bool {
        use event::Type;
        match event.r#type() {
            Type::Subscribed => self.subscribed(session, event),
            Type::Offers => {
                let offers = event.offers.clone().unwrap_or_default().offers;
                offers.into_iter().for_each(|it| self.offered(session, it));
            }
            Type::Update => {
                let status = event.update.clone().unwrap_or_default().status;
                self.updated(session, &status);
            }
            Type::Error => {
                let text = event.error.clone().unwrap_or_default().message;
                self.stage.history.note(format!("{}: {text}", self.name));
                if text.contains("removed") || text.contains("Completed") {
                    // As a scheduler does that stayed away too long: it begins as another framework.
                    let mut kept = lock(&self.kept);
                    kept.id = None;
                    kept.live.clear();
                }
                return false;
            }
            _ => {}
        }
        true
    }

    fn subscribed(&mut self, session: &Session, event: &Event) {
        let id = event.subscribed.clone().unwrap_or_default().framework_id;
        self.stage
            .history
            .note(format!("{} is subscribed as {}", self.name, id.value));
        let mut kept = lock(&self.kept);
        kept.id = Some(id);
        kept.subscribed = Some(session.stream_id.clone());
        drop(kept);
        let reconcile = Call {
            reconcile: Some(call::Reconcile::default()),
            ..typed(call::Type::Reconcile)
        };
        self.call(session, reconcile);
    }

    fn offered(&mut self, session: &Session, offer: Offer) {
        if self.random.chance(0.2) {
            self.old_offers.push(offer.clone());
        }
        if self.random.chance(HOARDS) {
            // It makes up its mind later.
            return self.held.push(offer);
        }
        if self.random.chance(0.3) {
            let decline = call::Decline {
                offer_ids: vec![offer.id],
                filters: Some(Filters {
                    refuse_seconds: Some(1.0),
                }),
            };
            let decline = Call {
                decline: Some(decline),
                ..typed(call::Type::Decline)
            };
            return self.call(session, decline);
        }
        self.accept(session, &offer);
    }

    fn accept(&mut self, session: &Session, offer: &Offer) {
        let one = Resources::parse(TASK, "*").expect("a constant that can be read");
        let mut left = Resources::from_proto_unchecked(&offer.resources).unallocated();
        let mut tasks = Vec::new();
        for _ in 0..=self.random.below(MOST_TASKS) {
            let Some(rest) = left.checked_sub(&one) else {
                break;
            };
            left = rest;
            tasks.push(self.task(offer, &one));
        }
        let launch = operation::Launch { task_infos: tasks };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![Operation {
                r#type: Some(operation::Type::Launch as i32),
                launch: Some(launch),
                ..Operation::default()
            }],
            filters: Some(Filters {
                refuse_seconds: Some(0.5),
            }),
        };
        let accept = Call {
            accept: Some(accept),
            ..typed(call::Type::Accept)
        };
        self.call(session, accept);
    }

    fn task(&self, offer: &Offer, resources: &Resources) -> TaskInfo {
        let mut kept = lock(&self.kept);
        kept.next_task += 1;
        let id = format!("{}-task-{}", self.name, kept.next_task);
        kept.live.insert(id.clone(), offer.agent_id.value.clone());
        self.stage.history.observe(|seen| {
            seen.offers.named(&id, &offer.id.value);
            Ok(())
        });
        TaskInfo {
            name: id.clone(),
            task_id: TaskId { value: id },
            agent_id: offer.agent_id.clone(),
            resources: resources.to_proto(),
            command: Some(CommandInfo {
                value: Some("work".to_owned()),
                ..CommandInfo::default()
            }),
            ..TaskInfo::default()
        }
    }

    fn updated(&mut self, session: &Session, status: &TaskStatus) {
        let task = &status.task_id.value;
        let mut kept = lock(&self.kept);
        match status.state() {
            TaskState::TaskRunning => kept.ran += 1,
            state if is_final(state) => drop(kept.live.remove(task)),
            _ => {}
        }
        drop(kept);
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else {
            return;
        };
        let acknowledge = call::Acknowledge {
            agent_id,
            task_id: status.task_id.clone(),
            uuid,
        };
        let acknowledge = Call {
            acknowledge: Some(acknowledge),
            ..typed(call::Type::Acknowledge)
        };
        self.call(session, acknowledge);
    }

    /// What it does of its own accord: kills, reconciles, and accepts an offer of the past.
    fn act(&mut self, session: &Session) {
        if lock(&self.kept).subscribed.is_none() {
            return;
        }
        let live: Vec<String> = lock(&self.kept).live.keys().cloned().collect();
        if self.random.chance(0.2) && !live.is_empty() {
            let at = self.random.below(live.len() as u64) as usize;
            let kill = call::Kill {
                task_id: TaskId {
                    value: live[at].clone(),
                },
                ..call::Kill::default()
            };
            let kill = Call {
                kill: Some(kill),
                ..typed(call::Type::Kill)
            };
            self.call(session, kill);
        }
        if self.random.chance(0.3)
            && let Some(offer) = self.old_offers.pop()
        {
            self.accept(session, &offer);
        }
        if self.random.chance(0.4)
            && let Some(offer) = self.held.pop()
        {
            self.accept(session, &offer);
        }
    }

    /// Each call is a request of its own: they overtake each other, get lost, and are repeated.
    fn call(&mut self, session: &Session, mut call: Call) {
        call.framework_id = lock(&self.kept).id.clone();
        let there = Place::Master(session.door.member);
        let condition = self.stage.net.condition(self.place, there);
        if condition.cut || self.random.chance(condition.loss) {
            return;
        }
        let times = if self.random.chance(condition.double) {
            2
        } else {
            1
        };
        for _ in 0..times {
            let (least, most) = condition.delay;
            let delay = self.random.between(least, most);
            let door = session.door.clone();
            let stream_id = Some(session.stream_id.clone());
            let mut call = call.clone();
            let by_agent = self.stage.planted.is(Bug::OfferByAgent);
            tokio::task::spawn_local(async move {
                sleep(delay).await;
                if door.is_open() {
                    if by_agent {
                        take_any_offer(&mut call, &door);
                    }
                    // A refusal is part of the game; the events say what is true.
                    let _ = door
                        .master
                        .ask(SchedulerCall {
                            stream_id,
                            principal: None,
                            call,
                        })
                        .await;
                }
            });
        }
    }
}

/// [`Bug::OfferByAgent`].
fn take_any_offer(call: &mut Call, door: &Doorway) {
    let Some(accept) = &mut call.accept else {
        return;
    };
    let launches = accept.operations.iter().filter_map(|it| it.launch.as_ref());
    let mut tasks = launches.flat_map(|it| &it.task_infos);
    let Some(agent) = tasks.next().map(|it| it.agent_id.value.clone()) else {
        return;
    };
    let heard = door.heard.lock().unwrap_or_else(PoisonError::into_inner);
    for id in &mut accept.offer_ids {
        if let Some(other) = heard.books.other_offer(&id.value, &agent) {
            id.value = other;
        }
    }
}

fn typed(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind as i32),
        ..Call::default()
    }
}

fn is_final(state: TaskState) -> bool {
    use TaskState as S;
    !matches!(
        state,
        S::TaskStaging | S::TaskStarting | S::TaskRunning | S::TaskKilling | S::TaskUnreachable
    )
}
