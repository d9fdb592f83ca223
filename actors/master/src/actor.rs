//! The actor around the core: messages in, effects out. It decides nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tepui_kit::{Actor, Answer, AskError, Asker, Context, Handler, Message, Receive, Teller};
use tepui_messages::{
    UnixNanos,
    allocator::{Proposals, WorldChange},
    change::Numbered,
    framework::{Deliver, EndStream, SchedulerStream},
    master::{
        self as messages, AgentLost, AgentPeer, AgentRegisters, AgentSays, Leads, OperatorCall,
        PeerId, SchedulerCall, StreamLost, Subscribe,
    },
    registrar::{Commit, Committed},
    view::Follow,
};
use tepui_protocol::node;

use crate::core::{
    Effect, Input, MasterConfig, MasterCore, Order, Recovered, SubscribeRequest, Ticket, Token,
};

/// Whom the master talks to.
#[derive(Clone)]
pub struct MasterLinks {
    pub allocator: Teller<WorldChange>,
    pub view: Teller<Follow>,
    pub registrar: Asker<Commit>,
    /// Number of the last change handed to the view; read it before asking the view.
    pub changes: Arc<AtomicU64>,
}

/// A timer of the core.
struct Woke {
    at: UnixNanos,
}
impl Message for Woke {
    type Reply = ();
}

/// The authority.
pub struct Master {
    core: MasterCore,
    links: MasterLinks,
    streams: BTreeMap<String, Arc<dyn SchedulerStream>>,
    peers: BTreeMap<PeerId, Arc<dyn AgentPeer>>,
    answers: BTreeMap<Token, Answer<messages::Answer>>,
    registrations: BTreeMap<Token, Answer<node::AgentRegistration>>,
    next_token: Token,
    effects: Vec<Effect>,
}

impl Master {
    pub fn new(config: MasterConfig, links: MasterLinks) -> Master {
        Master {
            core: MasterCore::new(config),
            links,
            streams: BTreeMap::new(),
            peers: BTreeMap::new(),
            answers: BTreeMap::new(),
            registrations: BTreeMap::new(),
            next_token: 0,
            effects: Vec::new(),
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = ctx.clock().unix_nanos() as UnixNanos;
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
        self.publish(changes);
        for effect in rest {
            self.perform(effect, now, ctx);
        }
        self.effects = effects;
    }

    /// The view gets the changes before anyone can learn their number.
    fn publish(&self, changes: Vec<Numbered>) {
        let Some(last) = changes.last().map(|change| change.number) else {
            return;
        };
        if self.links.view.tell(Follow(changes)).is_err() {
            tracing::error!(
                change = last,
                "the view no longer follows; its answers are out of date"
            );
        }
        self.links.changes.store(last, Ordering::Release);
    }

    fn perform(&mut self, effect: Effect, now: UnixNanos, ctx: &mut Context<Self>) {
        match effect {
            Effect::Scheduler { stream_id, event } => {
                if let Some(stream) = self.streams.get(&stream_id) {
                    // A full or closed proxy ends its stream itself and says so.
                    let _ = stream.tell(Deliver(event));
                }
            }
            Effect::EndStream { stream_id } => {
                if let Some(stream) = self.streams.remove(&stream_id) {
                    let _ = stream.tell(EndStream);
                }
            }
            Effect::Agent { peer, order } => self.order(peer, order),
            Effect::Allocator(change) => {
                if self.links.allocator.tell(change).is_err() {
                    tracing::error!(
                        "the allocator's mailbox is full or closed; its ledger is no longer true"
                    );
                }
            }
            Effect::Write { ticket, command } => {
                let written = self.links.registrar.ask(Commit(command));
                ctx.then(written, move |master, result, ctx| {
                    master.written(ticket, result, ctx)
                });
            }
            Effect::Change(_) => unreachable!("changes are published before anything is performed"),
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
                let delay = std::time::Duration::from_nanos(at.saturating_sub(now).max(0) as u64);
                ctx.notify_later(Woke { at }, delay);
            }
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
            Ok(Committed::Refused(reason)) => Some(reason),
            Err(error) => Some(format!("the registry did not take the write: {error}")),
        };
        self.input(Input::Written { ticket, refused }, ctx);
    }

    fn order(&mut self, peer: PeerId, order: Order) {
        let Some(handle) = self.peers.get(&peer) else {
            return;
        };
        let sent = match order {
            Order::RunTask(order) => handle.tell(*order),
            Order::KillTask(order) => handle.tell(order),
            Order::ShutdownExecutor(order) => handle.tell(order),
            Order::ShutdownFramework(order) => handle.tell(order),
            Order::UpdateFramework(order) => handle.tell(*order),
            Order::ShutdownAgent(order) => handle.tell(order),
            Order::AcknowledgeUpdate(order) => handle.tell(order),
            Order::ToExecutor(order) => handle.tell(order),
        };
        if let Err(error) = sent {
            // At most once: registration and updates repair what is lost here.
            tracing::warn!(peer = peer.0, %error, "an order did not reach the agent");
        }
    }
}

impl Actor for Master {
    const NAME: &'static str = "master";
}

impl Handler<Leads> for Master {
    fn handle(&mut self, leads: Leads, ctx: &mut Context<Self>) {
        let recovered = Box::new(Recovered::from_registry(&leads.registry));
        self.input(
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
                call: Box::new(message.0),
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
