//! A stage for tests of the core: schedulers, agents and operators with short names, and the real rules of the
//! registry behind its writes. After each input the invariants are checked and the ledger is balanced.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tepui_consensus::StateMachine;
use tepui_engine::Batch;
use tepui_messages::{
    UnixNanos,
    allocator::WorldChange,
    change::Change,
    master::{Answer, PeerId},
    registrar::WriteRefusal,
};
use tepui_protocol::{
    codec::{Limits, json as codec},
    node,
    resources::Resources,
    v1::{AgentId, MasterInfo, Resource},
};
use tepui_registry::{Command, Outcome, RegistryMachine};

use crate::{
    core::{
        Effect, Input, MasterConfig, MasterCore, Order, Recovered, SubscribeRequest, Ticket, Token,
    },
    invariants::{Ledger, check_tables},
    replay::Replay,
    stage_agents::show_event,
};

pub(crate) const SECOND: UnixNanos = 1_000_000_000;
pub(crate) const START: UnixNanos = 1_700_000_000 * SECOND;

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler {
    pub(crate) id: String,
    pub(crate) stream: String,
}

/// An agent on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) peer: PeerId,
    /// What it registered with, with its id.
    pub(crate) request: node::RegisterAgent,
}

/// What may be sent on a stream now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stream {
    Opened,
    Subscribed,
    Lost,
    Ended,
}

pub(crate) struct Stage {
    pub(crate) core: MasterCore,
    pub(crate) now: UnixNanos,
    /// Who calls, schedulers and operators alike.
    pub(crate) caller: Option<String>,
    pub(crate) hold_writes: bool,
    /// Which writes are not taken at the moment: they change nothing.
    pub(crate) refuses: fn(&Command) -> bool,
    pub(crate) world: Vec<WorldChange>,
    pub(crate) changes: Vec<Change>,
    pub(crate) ledger: Ledger,
    pub(crate) registry: RegistryMachine,
    replay: Replay,
    written: VecDeque<(Ticket, Option<WriteRefusal>)>,
    log_index: u64,
    streams: BTreeMap<String, Stream>,
    pub(crate) lost_peers: BTreeSet<PeerId>,
    events: BTreeMap<String, Vec<Value>>,
    pub(crate) orders: BTreeMap<PeerId, Vec<Order>>,
    pub(crate) answers: BTreeMap<Token, Answer>,
    pub(crate) registrations: BTreeMap<Token, node::AgentRegistration>,
    wake_at: Option<UnixNanos>,
    term: u64,
    next: u64,
}

impl Stage {
    /// A master that leads, with an empty registry.
    pub(crate) fn new() -> Stage {
        let mut stage = Stage {
            caller: None,
            core: core("M1"),
            now: START,
            hold_writes: false,
            refuses: |_| false,
            world: Vec::new(),
            changes: Vec::new(),
            ledger: Ledger::default(),
            registry: RegistryMachine::new(),
            replay: Replay::default(),
            written: VecDeque::new(),
            log_index: 0,
            streams: BTreeMap::new(),
            lost_peers: BTreeSet::new(),
            events: BTreeMap::new(),
            orders: BTreeMap::new(),
            answers: BTreeMap::new(),
            registrations: BTreeMap::new(),
            wake_at: None,
            term: 1,
            next: 0,
        };
        stage.elect(Duration::ZERO);
        stage
    }

    /// `counted_ago`: since when the next leader counts time by itself.
    fn elect(&mut self, counted_ago: Duration) {
        let registry = self.registry.reader().copy();
        let mut recovered = Box::new(Recovered::from_registry(&registry));
        recovered.counted_nanos += counted_ago.as_nanos() as i64;
        let term = self.term;
        self.input(Input::Elected { term, recovered });
    }

    /// The leader dies; another one begins with the registry. Connections and subscriptions are gone.
    pub(crate) fn fail_over(&mut self) {
        self.fail_over_after(Duration::ZERO);
    }

    /// As [`Self::fail_over`], with so much time without a leader, which a member saw.
    pub(crate) fn fail_over_after(&mut self, time: Duration) {
        self.now += time.as_nanos() as i64;
        self.term += 1;
        self.core = core(&format!("M{}", self.term));
        self.ledger = Ledger::default();
        self.replay = Replay::default();
        self.written.clear();
        self.wake_at = None;
        for stream in self.streams.values_mut() {
            *stream = Stream::Lost;
        }
        self.elect(time);
    }

    /// How often the registry was written.
    pub(crate) fn writes(&self) -> u64 {
        self.log_index
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// One input and, unless writes are held back, all that its writes bring about.
    pub(crate) fn input(&mut self, input: Input) {
        self.take_in(input);
        while !self.hold_writes && self.finish_write() {}
    }

    /// The oldest write that is under way is done; false if none is.
    pub(crate) fn finish_write(&mut self) -> bool {
        let Some((ticket, refused)) = self.written.pop_front() else {
            return false;
        };
        self.take_in(Input::Written { ticket, refused });
        true
    }

    /// The oldest write under way is answered as if the registry had not taken it.
    pub(crate) fn refuse_write(&mut self, reason: &str) {
        let (ticket, _) = self.written.pop_front().expect("a write is under way");
        let refused = Some(WriteRefusal::NotNow(reason.to_string()));
        self.take_in(Input::Written { ticket, refused });
    }

    pub(crate) fn release_writes(&mut self) {
        self.hold_writes = false;
        while self.finish_write() {}
    }

    fn take_in(&mut self, input: Input) {
        let shown = format!("{input:?}");
        if let Input::AgentLost { peer, .. } = &input {
            self.lost_peers.insert(*peer);
        }
        let mut effects = Vec::new();
        self.core.on(self.now, input, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
        if let Err(broken) = check_tables(&self.core)
            .and_then(|()| self.ledger.check(&self.core))
            .and_then(|()| self.replay.check(&self.core))
            .and_then(|()| self.check_connections())
        {
            panic!("{broken}\nafter {shown}");
        }
    }

    /// What is lost is not believed to be connected.
    fn check_connections(&self) -> Result<(), String> {
        for (stream, framework) in &self.core.streams {
            if self.streams.get(stream) != Some(&Stream::Subscribed) {
                return Err(format!(
                    "{framework} is connected by {stream}, which is lost"
                ));
            }
        }
        match self
            .core
            .peers
            .iter()
            .find(|(peer, _)| self.lost_peers.contains(peer))
        {
            Some((peer, agent)) => Err(format!("{agent} is connected by {peer:?}, which is lost")),
            None => Ok(()),
        }
    }

    /// Whether the connection is still there.
    pub(crate) fn is_connected(&self, peer: PeerId) -> bool {
        !self.lost_peers.contains(&peer)
    }

    /// Whether the stream may still be lost.
    pub(crate) fn is_open(&self, stream: &str) -> bool {
        matches!(self.streams[stream], Stream::Opened | Stream::Subscribed)
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Scheduler { stream_id, event } => {
                let event: Value =
                    serde_json::from_slice(&codec::encode(&*event).unwrap()).unwrap();
                self.deliver(stream_id, event);
            }
            Effect::EndStream { stream_id } => {
                let stream = self.streams.get_mut(&stream_id).expect("a known stream");
                assert_ne!(*stream, Stream::Ended, "{stream_id} ended twice");
                *stream = Stream::Ended;
            }
            Effect::Agent { peer, order } => self.orders.entry(peer).or_default().push(order),
            Effect::Allocator(change) => {
                let applied = self.ledger.apply(&change);
                applied.unwrap_or_else(|broken| panic!("{broken}: {change:?}"));
                self.world.push(change);
            }
            Effect::Write { ticket, command } if (self.refuses)(&command) => {
                let refused = WriteRefusal::NotNow("too much is under way".to_string());
                self.written.push_back((ticket, Some(refused)));
            }
            Effect::Write { ticket, command } => {
                self.log_index += 1;
                let mut batch = Batch::new();
                let outcome = self
                    .registry
                    .apply(self.log_index, &command.encode(), &mut batch);
                let refused = match Outcome::decode(&outcome.unwrap()).unwrap() {
                    Outcome::Applied { .. } => None,
                    Outcome::Refused { reason } => Some(WriteRefusal::Rule(reason)),
                };
                self.written.push_back((ticket, refused));
            }
            Effect::Change(numbered) => {
                if let Err(broken) = self.replay.follow(&numbered) {
                    panic!("{broken}: {numbered:?}");
                }
                self.changes.push(numbered.change);
            }
            Effect::Answer { token, answer } => {
                assert!(self.answers.insert(token, answer).is_none(), "two answers");
            }
            Effect::AnswerAgent {
                token,
                registration,
            } => {
                let before = self.registrations.insert(token, *registration);
                assert!(before.is_none(), "two answers to one registration");
            }
            Effect::WakeAt(at) => self.wake_at = Some(at),
        }
    }

    fn deliver(&mut self, stream_id: String, event: Value) {
        let stream = self.streams.get_mut(&stream_id).expect("a known stream");
        let kind = event["type"].as_str().unwrap();
        *stream = match (*stream, kind) {
            (Stream::Opened, "SUBSCRIBED") => Stream::Subscribed,
            (Stream::Opened, "ERROR") => Stream::Opened,
            (Stream::Subscribed, kind) if kind != "SUBSCRIBED" => Stream::Subscribed,
            // A stream that broke before its admission was written.
            (Stream::Lost, "SUBSCRIBED" | "ERROR") => Stream::Lost,
            (state, _) => panic!("{stream_id} is {state:?} and got {event}"),
        };
        self.events.entry(stream_id).or_default().push(event);
    }

    // --- time -------------------------------------------------------------------------------------------------

    /// Lets time pass, and wakes the core when it asked for it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time.as_nanos() as i64;
        while let Some(at) = self.wake_at.filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.wake_at = None;
            self.input(Input::Woke { at });
        }
        self.now = end;
    }

    // --- schedulers -------------------------------------------------------------------------------------------

    /// Subscribes, and expects to be let in. `info` lacks only what is the same in all tests.
    pub(crate) fn subscribe(&mut self, info: Value) -> Scheduler {
        let stream = self.open(info, &[]);
        let events = self.events_of(&stream);
        assert_eq!(events[0]["type"], "SUBSCRIBED", "{events:?}");
        let id = events[0]["subscribed"]["framework_id"]["value"].as_str();
        Scheduler {
            id: id.unwrap().to_string(),
            stream,
        }
    }

    /// Sends SUBSCRIBE; what comes of it are events of the stream.
    pub(crate) fn open(&mut self, mut info: Value, suppressed: &[&str]) -> String {
        for (field, value) in [("user", "root"), ("name", "test")] {
            if info.get(field).is_none() {
                info[field] = json!(value);
            }
        }
        let stream_id = format!("stream-{}", self.next());
        self.streams.insert(stream_id.clone(), Stream::Opened);
        self.input(Input::Subscribe(Box::new(SubscribeRequest {
            info: decode(&info),
            suppressed_roles: suppressed.iter().map(ToString::to_string).collect(),
            offer_constraints: None,
            stream_id: stream_id.clone(),
        })));
        stream_id
    }

    /// The refusal a subscription ends with.
    pub(crate) fn refusal(&mut self, info: Value, suppressed: &[&str]) -> String {
        let stream = self.open(info, suppressed);
        let events = self.events_of(&stream);
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(self.ended(&stream));
        events[0]["error"]["message"].as_str().unwrap().to_string()
    }

    pub(crate) fn resubscribe(&mut self, id: &str, mut info: Value) -> Scheduler {
        info["id"] = json!({"value": id});
        self.subscribe(info)
    }

    pub(crate) fn lose_stream(&mut self, stream: &str) {
        self.streams.insert(stream.to_string(), Stream::Lost);
        self.input(Input::StreamLost {
            stream_id: stream.to_string(),
        });
    }

    pub(crate) fn ended(&self, stream: &str) -> bool {
        self.streams[stream] == Stream::Ended
    }

    /// Everything since the last look.
    pub(crate) fn events_of(&mut self, stream: &str) -> Vec<Value> {
        self.events.remove(stream).unwrap_or_default()
    }

    /// Updates since the last look as `task STATE REASON message`; other events as their type.
    pub(crate) fn told(&mut self, scheduler: &Scheduler) -> Vec<String> {
        self.events_of(&scheduler.stream)
            .iter()
            .map(show_event)
            .collect()
    }

    /// A call on the scheduler's own stream.
    pub(crate) fn call(&mut self, scheduler: &Scheduler, call: Value) -> Answer {
        let stream = scheduler.stream.clone();
        self.call_on(Some(&stream), &scheduler.id, call)
    }

    pub(crate) fn call_on(&mut self, stream: Option<&str>, id: &str, mut call: Value) -> Answer {
        call["framework_id"] = json!({"value": id});
        let token = self.next();
        self.input(Input::Call {
            token,
            stream_id: stream.map(str::to_string),
            principal: self.caller.clone(),
            call: Box::new(decode(&call)),
        });
        self.answers
            .remove(&token)
            .unwrap_or_else(|| Answer::refused(0, "no answer yet"))
    }

    pub(crate) fn answer(&mut self, token: Token) -> Option<Answer> {
        self.answers.remove(&token)
    }

    // --- offers and tasks -------------------------------------------------------------------------------------

    /// The allocator proposes; the id of the offer that came of it.
    pub(crate) fn offer(&mut self, scheduler: &Scheduler, node: &Node, resources: &str) -> String {
        self.offer_as(scheduler, "*", node, resources)
    }

    pub(crate) fn offer_as(
        &mut self,
        scheduler: &Scheduler,
        role: &str,
        node: &Node,
        resources: &str,
    ) -> String {
        let before = self.core.next_offer;
        self.propose(&scheduler.id, role, &node.id, resources);
        let made = self.core.offers.contains_key(&before);
        assert!(made, "no offer was made");
        format!("{}-O{before}", self.core.config.info.id)
    }

    pub(crate) fn accept(&mut self, by: &Scheduler, offers: &[&str], tasks: &[Value]) -> Answer {
        let launch = json!({"type": "LAUNCH", "launch": {"task_infos": tasks}});
        self.call(by, accept(offers, json!([launch])))
    }
}

fn core(id: &str) -> MasterCore {
    MasterCore::new(MasterConfig {
        info: MasterInfo {
            id: id.to_string(),
            ..Default::default()
        },
        cluster: None,
        started_at: START,
        patience: crate::Patience {
            pings: 0,
            ..crate::Patience::default()
        },
        removal_rate: None,
        roles: None,
        root_submissions: true,
        require_agent_domain: false,
        offer_timeout: None,
        allocation_interval: Duration::from_secs(1),
        forgetting: Default::default(),
        kept: Default::default(),
        rate_limits: Default::default(),
        traffic: Default::default(),
        acls: Default::default(),
    })
}

pub(crate) fn accept(offers: &[&str], operations: Value) -> Value {
    let ids: Vec<Value> = offers.iter().map(|id| json!({"value": id})).collect();
    json!({"type": "ACCEPT", "accept": {"offer_ids": ids, "operations": operations}})
}

/// A command task.
pub(crate) fn task(id: &str, node: &Node, resources: &str) -> Value {
    json!({
        "name": id, "task_id": {"value": id}, "agent_id": {"value": node.id},
        "resources": to_json(&parse(resources)), "command": {"value": "sleep 1000"},
    })
}

pub(crate) fn to_json(resources: &[Resource]) -> Value {
    resources
        .iter()
        .map(|resource| -> Value {
            serde_json::from_slice(&codec::encode(resource).unwrap()).unwrap()
        })
        .collect()
}

pub(crate) fn parse(resources: &str) -> Vec<Resource> {
    Resources::parse(resources, "*").unwrap().to_proto()
}

pub(crate) fn agent_id(id: &str) -> AgentId {
    AgentId {
        value: id.to_string(),
    }
}

pub(crate) fn decode<T>(value: &Value) -> T
where
    T: serde::de::DeserializeOwned + tepui_protocol::descriptor::Described,
{
    codec::decode(value.to_string().as_bytes(), &Limits::HTTP).unwrap()
}
