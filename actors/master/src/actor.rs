//! The actor around the core: messages in, effects out. It decides nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_kit::{
    Actor, Answer, AskError, Asker, Context, Handler, Message, Receive, Teller, TimerHandle,
};
use tepui_messages::{
    UnixNanos,
    allocator::{Proposals, WorldChange},
    change::Numbered,
    framework::{Deliver, EndStream, SchedulerStream},
    master::{
        self as messages, AgentLost, AgentPeer, AgentRegisters, AgentSays, Leads, Lease,
        OperatorCall, PeerId, SchedulerCall, StreamLost, Subscribe,
    },
    registrar::{Commit, Committed, WriteRefusal},
    traffic::Count,
    view::Follow,
};
use tepui_protocol::{node, v1::scheduler::Event};

use crate::{
    core::{
        Effect, Input, MasterConfig, MasterCore, Order, Recovered, SubscribeRequest, Ticket, Token,
    },
    news,
    silence::{Right, Silence},
};

/// How often a master that may not act looks whether it may again.
const LISTEN_INTERVAL: Duration = Duration::from_millis(10);

/// Whom the master talks to.
#[derive(Clone)]
pub struct MasterLinks {
    pub allocator: Teller<WorldChange>,
    pub view: Teller<Follow>,
    pub registrar: Asker<Commit>,
    /// Number of the last change handed to the view; read it before asking the view.
    pub changes: Arc<AtomicU64>,
    pub lease: Lease,
}

/// A timer of the core.
struct Woke {
    at: UnixNanos,
}
impl Message for Woke {
    type Reply = ();
}

/// Time to look at the lease again.
struct Listen;
impl Message for Listen {
    type Reply = ();
}

/// The authority.
pub struct Master {
    core: MasterCore,
    silence: Silence,
    links: MasterLinks,
    streams: BTreeMap<String, Arc<dyn SchedulerStream>>,
    peers: BTreeMap<PeerId, Arc<dyn AgentPeer>>,
    answers: BTreeMap<Token, Answer<messages::Answer>>,
    registrations: BTreeMap<Token, Answer<node::AgentRegistration>>,
    next_token: Token,
    effects: Vec<Effect>,
    /// What the registry was asked, in that order, with answers that came before those to earlier questions.
    writes: VecDeque<(Ticket, Option<Result<Committed, AskError>>)>,
    /// The one that the core asked for last.
    timer: Option<TimerHandle>,
    /// The clock on the wall and the monotonic one, at the election.
    began: Option<(UnixNanos, u64)>,
}

impl Master {
    pub fn new(config: MasterConfig, links: MasterLinks) -> Master {
        Master {
            core: MasterCore::new(config),
            silence: Silence::new(Arc::clone(&links.lease)),
            links,
            streams: BTreeMap::new(),
            peers: BTreeMap::new(),
            answers: BTreeMap::new(),
            registrations: BTreeMap::new(),
            next_token: 0,
            effects: Vec::new(),
            writes: VecDeque::new(),
            timer: None,
            began: None,
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        match self.silence.right() {
            Right::Act if !self.silence.is_holding() => self.act(input, ctx),
            Right::Act | Right::Wait => self.hold(input, ctx),
            Right::Never => Self::end(ctx),
        }
    }

    /// Keeps silent until the lease is renewed, or this master is ended.
    fn hold(&mut self, input: Input, ctx: &mut Context<Self>) {
        if let Some(refused) = self.silence.hold(input) {
            self.refuse(refused);
        }
        self.listen(ctx);
    }

    fn listen(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.silence.listening, true) {
            ctx.notify_later(Listen, LISTEN_INTERVAL);
        }
    }

    fn refuse(&mut self, input: Input) {
        match input {
            Input::Call { token, .. } | Input::Operator { token, .. } => {
                if let Some(waiting) = self.answers.remove(&token) {
                    waiting.send(messages::Answer::refused(503, "No leader elected"));
                }
            }
            Input::AgentRegisters { token, .. } => drop(self.registrations.remove(&token)),
            Input::Subscribe(request) => {
                if let Some(stream) = self.streams.remove(&request.stream_id) {
                    let _ = stream.tell(EndStream);
                }
            }
            // What agents repeat: the rest is never refused.
            _ => self.core.count(Count::Dropped),
        }
    }

    /// Nothing of this master has an effect any more: whoever waits for an answer hears that it is gone.
    fn end(ctx: &mut Context<Self>) {
        tracing::info!("this master's term is over");
        ctx.stop();
    }

    /// Time since 1970 that does not jump: the clock on the wall at the election, and the monotonic one since then.
    /// Deadlines are counted by it, so a clock that is set ends nobody's time.
    fn now(&self, ctx: &Context<Self>) -> UnixNanos {
        match self.began {
            Some((wall, at)) => {
                let since = ctx.clock().nanos().saturating_sub(at);
                wall.saturating_add(since as i64)
            }
            None => ctx.clock().unix_nanos() as UnixNanos,
        }
    }

    fn act(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = self.now(ctx);
        let mut effects = std::mem::take(&mut self.effects);
        self.core.on(now, input, &mut effects);
        // Whoever is answered below may read at once, and must find what was decided.
        let mut rest = Vec::with_capacity(effects.len());
        let mut changes = Vec::new();
        for effect in effects.drain(..) {
            match effect {
                Effect::Change(change) => changes.push(change),
                other => rest.push(other),
            }
        }
        if !self.publish(changes) {
            return Self::end(ctx);
        }
        let mut events: BTreeMap<String, Vec<Arc<Event>>> = BTreeMap::new();
        for effect in rest {
            match effect {
                Effect::Scheduler { stream_id, event } => {
                    events.entry(stream_id).or_default().push(event);
                }
                Effect::EndStream { stream_id } => {
                    let events = events.remove(&stream_id).unwrap_or_default();
                    self.deliver(&stream_id, events);
                    self.end_stream(&stream_id);
                }
                other => self.perform(other, now, ctx),
            }
        }
        for (stream_id, events) in events {
            self.deliver(&stream_id, events);
        }
        self.effects = effects;
    }

    fn deliver(&self, stream_id: &str, events: Vec<Arc<Event>>) {
        if let Some(stream) = self.streams.get(stream_id)
            && !events.is_empty()
        {
            // A full or closed proxy ends its stream itself and says so.
            let _ = stream.tell(Deliver(events));
        }
    }

    fn end_stream(&mut self, stream_id: &str) {
        if let Some(stream) = self.streams.remove(stream_id) {
            let _ = stream.tell(EndStream);
        }
    }

    /// The view gets the changes before anyone can learn their number. False if it refuses them: it is told only once, so
    /// its answers would be wrong from then on, and the next term begins with a view of its own.
    fn publish(&self, changes: Vec<Numbered>) -> bool {
        let Some(last) = changes.last().map(|change| change.number) else {
            return true;
        };
        changes.iter().for_each(|it| news::tell(&it.change));
        if let Err(error) = self.links.view.tell(Follow(changes)) {
            tracing::error!(change = last, "the view takes no more changes: {error}");
            return false;
        }
        self.links.changes.store(last, Ordering::Release);
        true
    }

    fn perform(&mut self, effect: Effect, now: UnixNanos, ctx: &mut Context<Self>) {
        match effect {
            Effect::Agent { peer, order } => self.order(peer, order),
            Effect::Allocator(change) => {
                // Its ledger would not be true from then on; as with the view.
                if let Err(error) = self.links.allocator.tell(change) {
                    tracing::error!("the allocator takes no more changes: {error}");
                    Self::end(ctx);
                }
            }
            Effect::Write { ticket, command } => {
                self.writes.push_back((ticket, None));
                let written = self.links.registrar.ask(Commit(command));
                ctx.then(written, move |master, result, ctx| {
                    master.answered(ticket, result, ctx)
                });
            }
            Effect::Change(_) | Effect::Scheduler { .. } | Effect::EndStream { .. } => {
                unreachable!("these are gathered before anything is performed")
            }
            Effect::Answer { token, answer } => {
                if let Some(waiting) = self.answers.remove(&token) {
                    waiting.send(answer);
                }
            }
            Effect::AnswerAgent {
                token,
                registration,
            } => {
                if let Some(waiting) = self.registrations.remove(&token) {
                    waiting.send(*registration);
                }
            }
            Effect::WakeAt(at) => {
                let delay = Duration::from_nanos(at.saturating_sub(now).max(0) as u64);
                let timer = ctx.notify_later(Woke { at }, delay);
                if let Some(void) = self.timer.replace(timer) {
                    ctx.cancel(void);
                }
            }
        }
    }

    /// Takes answers in the order of the questions: that is the order of the log, and each builds on those before. They
    /// can arrive in another one, since what is asked may be answered before its answer is first waited for.
    fn answered(
        &mut self,
        ticket: Ticket,
        result: Result<Committed, AskError>,
        ctx: &mut Context<Self>,
    ) {
        if let Some((_, answer)) = self.writes.iter_mut().find(|(asked, _)| *asked == ticket) {
            *answer = Some(result);
        }
        while let Some((ticket, Some(_))) = self.writes.front() {
            let ticket = *ticket;
            let result = self.writes.pop_front().and_then(|(_, result)| result);
            self.written(ticket, result.expect("looked at just now"), ctx);
        }
    }

    fn written(
        &mut self,
        ticket: Ticket,
        result: Result<Committed, AskError>,
        ctx: &mut Context<Self>,
    ) {
        let refused = match result {
            Ok(Committed::Applied) => None,
            Ok(Committed::Refused(refusal)) => Some(refusal),
            Err(error @ AskError::Full) => Some(WriteRefusal::NotNow(error.to_string())),
            // It may take effect under the next leader: neither outcome may be told.
            Ok(Committed::Unknown) | Err(_) => return Self::end(ctx),
        };
        self.input(Input::Written { ticket, refused }, ctx);
    }

    fn order(&mut self, peer: PeerId, order: Order) {
        let Some(handle) = self.peers.get(&peer) else {
            return;
        };
        let sent = match order {
            Order::RunTask(order) => handle.tell(*order),
            Order::RunTaskGroup(order) => handle.tell(*order),
            Order::KillTask(order) => handle.tell(order),
            Order::ShutdownExecutor(order) => handle.tell(order),
            Order::ShutdownFramework(order) => handle.tell(order),
            Order::UpdateFramework(order) => handle.tell(*order),
            Order::DrainAgent(order) => handle.tell(order),
            Order::ShutdownAgent(order) => handle.tell(order),
            Order::AcknowledgeUpdate(order) => handle.tell(order),
            Order::ApplyOperation(order) => handle.tell(*order),
            Order::AcknowledgeOperation(order) => handle.tell(order),
            Order::ToExecutor(order) => handle.tell(order),
        };
        if let Err(error) = sent {
            // A connection that lost an order ends, and `AgentLost` is on its way: what is missing is found out when the agent
            // returns. A message to an executor is lost alone.
            tracing::debug!(peer = peer.0, %error, "an order did not reach the agent");
        }
    }
}

impl Actor for Master {
    const NAME: &'static str = "master";
}

impl Handler<Leads> for Master {
    fn handle(&mut self, leads: Leads, ctx: &mut Context<Self>) {
        let mut recovered = Box::new(Recovered::from_registry(&leads.registry));
        let since = leads.counted_ago.as_nanos() as i64;
        recovered.counted_nanos = recovered.counted_nanos.saturating_add(since);
        let clock = ctx.clock();
        self.began = Some((clock.unix_nanos() as UnixNanos, clock.nanos()));
        self.silence.begin(leads.term);
        // Fills the tables and tells the actors of this process; nothing leaves it.
        self.act(
            Input::Elected {
                term: leads.term,
                recovered,
            },
            ctx,
        );
    }
}

impl Handler<Subscribe> for Master {
    fn handle(&mut self, subscribe: Subscribe, ctx: &mut Context<Self>) {
        self.streams
            .insert(subscribe.stream_id.clone(), subscribe.stream);
        let request = SubscribeRequest {
            info: subscribe.info,
            suppressed_roles: subscribe.suppressed_roles,
            offer_constraints: subscribe.offer_constraints,
            stream_id: subscribe.stream_id,
        };
        self.input(Input::Subscribe(Box::new(request)), ctx);
    }
}

impl Handler<StreamLost> for Master {
    fn handle(&mut self, lost: StreamLost, ctx: &mut Context<Self>) {
        self.streams.remove(&lost.stream_id);
        self.input(
            Input::StreamLost {
                stream_id: lost.stream_id,
            },
            ctx,
        );
    }
}

impl Receive<SchedulerCall> for Master {
    fn receive(
        &mut self,
        message: SchedulerCall,
        answer: Answer<messages::Answer>,
        ctx: &mut Context<Self>,
    ) {
        let token = self.token();
        self.answers.insert(token, answer);
        self.input(
            Input::Call {
                token,
                stream_id: message.stream_id,
                principal: message.principal,
                call: Box::new(message.call),
            },
            ctx,
        );
    }
}

impl Receive<OperatorCall> for Master {
    fn receive(
        &mut self,
        message: OperatorCall,
        answer: Answer<messages::Answer>,
        ctx: &mut Context<Self>,
    ) {
        let token = self.token();
        self.answers.insert(token, answer);
        self.input(
            Input::Operator {
                token,
                principal: message.principal,
                call: Box::new(message.call),
            },
            ctx,
        );
    }
}

impl Receive<AgentRegisters> for Master {
    fn receive(
        &mut self,
        message: AgentRegisters,
        answer: Answer<node::AgentRegistration>,
        ctx: &mut Context<Self>,
    ) {
        let token = self.token();
        self.registrations.insert(token, answer);
        self.peers.insert(message.peer, message.handle);
        let input = Input::AgentRegisters {
            token,
            peer: message.peer,
            address: message.address,
            request: Box::new(message.request),
        };
        self.input(input, ctx);
    }
}

impl Handler<AgentSays> for Master {
    fn handle(&mut self, says: AgentSays, ctx: &mut Context<Self>) {
        self.input(
            Input::AgentSays {
                peer: says.peer,
                what: says.what,
            },
            ctx,
        );
    }
}

impl Handler<AgentLost> for Master {
    fn handle(&mut self, lost: AgentLost, ctx: &mut Context<Self>) {
        self.peers.remove(&lost.peer);
        self.input(
            Input::AgentLost {
                peer: lost.peer,
                silent: lost.silent,
            },
            ctx,
        );
    }
}

impl Handler<Proposals> for Master {
    fn handle(&mut self, proposals: Proposals, ctx: &mut Context<Self>) {
        self.input(Input::Proposals(proposals), ctx);
    }
}

impl Handler<Woke> for Master {
    fn handle(&mut self, woke: Woke, ctx: &mut Context<Self>) {
        self.input(Input::Woke { at: woke.at }, ctx);
    }
}

impl Handler<Listen> for Master {
    fn handle(&mut self, Listen: Listen, ctx: &mut Context<Self>) {
        self.silence.listening = false;
        loop {
            match self.silence.right() {
                Right::Act => match self.silence.next() {
                    Some(input) => self.act(input, ctx),
                    None => return,
                },
                Right::Wait => return self.listen(ctx),
                Right::Never => return Self::end(ctx),
            }
        }
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
