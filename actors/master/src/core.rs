//! The rules of the master as one state machine: `core.on(now, input, &mut effects)`.
//!
//! No I/O, no clock, no randomness, no hash order. A write to the registry is an effect with a ticket; what
//! must wait for it is kept under the ticket and goes on when the input `Written` brings it back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tepui_messages::{
    UnixNanos,
    allocator::{Proposals, WorldChange},
    change::{Change, Kept, MaintenanceRecord, MasterRecord, Numbered, OperationKey},
    master::{AgentMessage, Answer, PeerId},
    registrar::WriteRefusal,
    traffic::Traffic,
};
use tepui_protocol::{
    acls::Acls,
    node,
    v1::{
        AgentInfo, DrainInfo, FrameworkInfo, MasterInfo, master,
        quota::QuotaConfig,
        scheduler::{self, Event, OfferConstraints},
    },
};
use tepui_registry::Command;

use crate::{
    forgetting::Bounds,
    inverse::Inverse,
    losses::Leaving,
    maintenance::Machines,
    quota::QuotaChange,
    refusals::Unwritten,
    removals::Removals,
    tables::{Agent, Framework, OfferEntry},
    throttle::Throttle,
    timers::Timers,
};
pub use crate::{
    forgetting::Forgetting,
    patience::Patience,
    recovered::{CompletedFramework, Recovered, RecoveredFramework},
    removals::RemovalRate,
    throttle::RateLimits,
};

/// What the master is told at its start.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    pub info: MasterInfo,
    pub cluster: Option<String>,
    pub started_at: UnixNanos,
    pub patience: Patience,
    /// How fast agents become unreachable; `None` is this program's own rule.
    pub removal_rate: Option<RemovalRate>,
    /// The roles frameworks may have besides `*`; `None` is any (Mesos: `--roles`).
    pub roles: Option<BTreeSet<String>>,
    /// Whether frameworks may run as root (Mesos: `--root_submissions`).
    pub root_submissions: bool,
    /// Whether agents without a domain are refused (Mesos: `--require_agent_domain`).
    pub require_agent_domain: bool,
    /// How long an offer may stand; `None` is for ever (Mesos: `--offer_timeout`).
    pub offer_timeout: Option<Duration>,
    /// Nobody is asked twice within it for the same agent (Mesos: `--allocation_interval`).
    pub allocation_interval: Duration,
    pub forgetting: Forgetting,
    pub kept: Kept,
    /// How fast calls of schedulers are taken (Mesos: `--rate_limits`).
    pub rate_limits: RateLimits,
    /// Where calls are counted; only written.
    pub traffic: Arc<Traffic>,
    /// Who may do what (Mesos: `--acls`).
    pub acls: Arc<Acls>,
}

/// Who waits for an answer.
pub type Token = u64;
/// A write to the registry that is under way.
pub type Ticket = u64;

#[derive(Debug)]
pub enum Input {
    /// First of all.
    Elected {
        term: u64,
        recovered: Box<Recovered>,
    },
    Subscribe(Box<SubscribeRequest>),
    StreamLost {
        stream_id: String,
    },
    Call {
        token: Token,
        stream_id: Option<String>,
        principal: Option<String>,
        call: Box<scheduler::Call>,
    },
    Operator {
        token: Token,
        principal: Option<String>,
        call: Box<master::Call>,
    },
    AgentRegisters {
        token: Token,
        peer: PeerId,
        address: IpAddr,
        request: Box<node::RegisterAgent>,
    },
    AgentSays {
        peer: PeerId,
        what: AgentMessage,
    },
    AgentLost {
        peer: PeerId,
        silent: bool,
    },
    Proposals(Proposals),
    /// The registry has applied the command, or refused it with a reason.
    Written {
        ticket: Ticket,
        refused: Option<WriteRefusal>,
    },
    /// The time asked for by `WakeAt` has come; `at` tells it from those that are void.
    Woke {
        at: UnixNanos,
    },
}

#[derive(Debug, Clone)]
pub struct SubscribeRequest {
    pub info: FrameworkInfo,
    pub suppressed_roles: Vec<String>,
    pub offer_constraints: Option<OfferConstraints>,
    pub stream_id: String,
}

/// What an agent is told.
#[derive(Debug, Clone)]
pub enum Order {
    RunTask(Box<node::RunTask>),
    RunTaskGroup(Box<node::RunTaskGroup>),
    KillTask(node::KillTask),
    ShutdownExecutor(node::ShutdownExecutor),
    ShutdownFramework(node::ShutdownFramework),
    UpdateFramework(Box<node::UpdateFramework>),
    DrainAgent(node::DrainAgent),
    ShutdownAgent(node::ShutdownAgent),
    AcknowledgeUpdate(node::AcknowledgeUpdate),
    ApplyOperation(Box<node::ApplyOperation>),
    AcknowledgeOperation(node::AcknowledgeOperation),
    ToExecutor(node::ToExecutor),
}

#[derive(Debug)]
pub enum Effect {
    /// An event for the scheduler behind this stream.
    Scheduler {
        stream_id: String,
        event: Arc<Event>,
    },
    EndStream {
        stream_id: String,
    },
    Agent {
        peer: PeerId,
        order: Order,
    },
    Allocator(WorldChange),
    Write {
        ticket: Ticket,
        command: Command,
    },
    Change(Numbered),
    Answer {
        token: Token,
        answer: Answer,
    },
    AnswerAgent {
        token: Token,
        registration: Box<node::AgentRegistration>,
    },
    /// Send `Woke` at this time; one asked for before is void.
    WakeAt(UnixNanos),
}

/// What goes on when a write is done.
#[derive(Debug)]
pub(crate) enum Pending {
    Subscribe {
        request: Box<SubscribeRequest>,
        lost: bool,
    },
    AgentAdmission(Box<crate::agents::Admission>),
    AgentUnreachable {
        agent_id: String,
        at: UnixNanos,
    },
    AgentGone {
        agent_id: String,
        /// Who asked; nobody where it was drained to be gone.
        token: Option<Token>,
        at: UnixNanos,
    },
    Deactivated {
        token: Token,
        agent_id: String,
        /// Or active again.
        deactivated: bool,
    },
    Draining {
        token: Token,
        agent_id: String,
        info: DrainInfo,
    },
    Drained {
        agent_id: String,
        info: DrainInfo,
    },
    AgentRemoved {
        agent_id: String,
        leaving: Leaving,
    },
    FrameworkRemoved {
        framework_id: String,
        answer: Option<(Token, Answer)>,
        at: UnixNanos,
    },
    FrameworkUpdated {
        framework_id: String,
        request: Box<SubscribeRequest>,
        token: Token,
    },
    Weights {
        token: Token,
        changed: BTreeMap<String, f64>,
    },
    Quota {
        token: Token,
        changed: QuotaChange,
    },
    Maintenance {
        token: Token,
        maintenance: MaintenanceRecord,
    },
    Forgotten(Bounds),
    /// Nobody waits: a deadline, say.
    Nothing,
}

/// The master's state.
#[derive(Debug)]
pub struct MasterCore {
    pub(crate) config: MasterConfig,
    pub(crate) term: u64,
    /// The last end of what frameworks refuse, in counted time.
    pub(crate) refused_until: i64,
    /// Counted time at the election, and the time on this master's clock.
    pub(crate) counted_at: (i64, UnixNanos),
    pub(crate) frameworks: BTreeMap<String, Framework>,
    pub(crate) completed_frameworks: VecDeque<String>,
    /// Subscription to framework id.
    pub(crate) streams: BTreeMap<String, String>,
    pub(crate) agents: BTreeMap<String, Box<Agent>>,
    /// Connection to agent id.
    pub(crate) peers: BTreeMap<PeerId, String>,
    /// In the registry, not back since this master leads.
    pub(crate) recovered_agents: BTreeMap<String, Arc<AgentInfo>>,
    pub(crate) unreachable_agents: BTreeMap<String, UnixNanos>,
    pub(crate) gone_agents: BTreeMap<String, UnixNanos>,
    /// Of all these but the gone ones: those that an operator took out of offers.
    pub(crate) deactivated: BTreeSet<String>,
    /// Of those, the ones that drain or are drained.
    pub(crate) draining: BTreeMap<String, DrainInfo>,
    /// Agents with a write to the registry under way: conflicting requests wait for the peer's retry.
    pub(crate) agents_in_transition: BTreeSet<String>,
    pub(crate) offers: BTreeMap<u64, OfferEntry>,
    /// Framework, agent and uuid of the operations whose frameworks want to hear of them, known frameworks or not.
    pub(crate) operations_of_frameworks: BTreeSet<(String, String, OperationKey)>,
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) quota: Vec<QuotaConfig>,
    /// Nothing is offered until so many agents are there.
    pub(crate) offers_wait_for: Option<usize>,
    pub(crate) maintenance: MaintenanceRecord,
    /// The same by machine.
    pub(crate) machines: Machines,
    /// Who was asked to leave agents whose machines are in the schedule.
    pub(crate) inverse: Inverse,
    pub(crate) pending: BTreeMap<Ticket, Pending>,
    pub(crate) admissions: BTreeMap<PeerId, Ticket>,
    pub(crate) timers: Timers,
    pub(crate) removals: Removals,
    /// Those whose time away is over, and that are to become unreachable.
    pub(crate) given_up: BTreeSet<String>,
    pub(crate) throttle: Throttle,
    pub(crate) unwritten_refusals: Unwritten,
    /// Too many agents are away; said once.
    pub(crate) holds_back: bool,
    pub(crate) next_ticket: Ticket,
    pub(crate) next_framework: u64,
    pub(crate) next_agent: u64,
    pub(crate) next_offer: u64,
    pub(crate) next_operation: u64,
    pub(crate) changes: u64,
    /// Changes the allocator was told of ever.
    pub(crate) told: u64,
    woken_at: Option<UnixNanos>,
}

/// One input's turn: the time, and where effects go.
pub(crate) struct Turn<'a> {
    pub(crate) now: UnixNanos,
    pub(crate) effects: &'a mut Vec<Effect>,
    told: u64,
}

impl MasterCore {
    pub fn new(config: MasterConfig) -> MasterCore {
        MasterCore {
            removals: Removals::new(config.removal_rate),
            given_up: BTreeSet::new(),
            throttle: Throttle::default(),
            unwritten_refusals: Unwritten::default(),
            holds_back: false,
            config,
            term: 0,
            refused_until: 0,
            counted_at: (0, 0),
            frameworks: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            streams: BTreeMap::new(),
            agents: BTreeMap::new(),
            peers: BTreeMap::new(),
            recovered_agents: BTreeMap::new(),
            unreachable_agents: BTreeMap::new(),
            gone_agents: BTreeMap::new(),
            deactivated: BTreeSet::new(),
            draining: BTreeMap::new(),
            agents_in_transition: BTreeSet::new(),
            offers: BTreeMap::new(),
            operations_of_frameworks: BTreeSet::new(),
            weights: BTreeMap::new(),
            quota: Vec::new(),
            offers_wait_for: None,
            maintenance: MaintenanceRecord::default(),
            machines: Machines::default(),
            inverse: Inverse::default(),
            pending: BTreeMap::new(),
            admissions: BTreeMap::new(),
            timers: Timers::default(),
            next_ticket: 0,
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
            next_operation: 0,
            changes: 0,
            told: 0,
            woken_at: None,
        }
    }

    /// Takes one input; `now` is nanoseconds since the Unix epoch. Effects are to be carried out in order.
    pub fn on(&mut self, now: UnixNanos, input: Input, effects: &mut Vec<Effect>) {
        let mut turn = Turn {
            now,
            effects,
            told: self.told,
        };
        match input {
            Input::Elected { term, recovered } => self.elected(term, *recovered, &mut turn),
            Input::Subscribe(request) => self.subscribe(request, &mut turn),
            Input::StreamLost { stream_id } => self.stream_lost(&stream_id, &mut turn),
            Input::Call {
                token,
                stream_id,
                principal,
                call,
            } => {
                self.scheduler_calls(token, stream_id, principal.as_deref(), call, &mut turn);
            }
            Input::Operator {
                token,
                principal,
                call,
            } => self.operator_call(token, principal.as_deref(), *call, &mut turn),
            Input::AgentRegisters {
                token,
                peer,
                address,
                request,
            } => {
                self.agent_registers(token, peer, address, request, &mut turn);
            }
            Input::AgentSays { peer, what } => self.agent_says(peer, what, &mut turn),
            Input::AgentLost { peer, silent } => self.agent_lost(peer, silent, &mut turn),
            Input::Proposals(proposals) => self.propose_offers(proposals, &mut turn),
            Input::Written { ticket, refused } => self.written(ticket, refused, &mut turn),
            Input::Woke { at } => {
                if self.woken_at == Some(at) {
                    self.woken_at = None;
                }
            }
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.timer(timer, &mut turn);
        }
        self.ask_for_agents(&mut turn);
        self.wake(&mut turn);
        self.told = turn.told;
    }

    /// The number of the last change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn wake(&mut self, turn: &mut Turn<'_>) {
        let next = self.timers.next();
        if let Some(at) = next
            && self.woken_at != next
        {
            self.woken_at = next;
            turn.effects.push(Effect::WakeAt(at));
        }
    }

    fn elected(&mut self, term: u64, recovered: Recovered, turn: &mut Turn<'_>) {
        self.term = term;
        self.counted_at = (recovered.counted_nanos, turn.now);
        self.change(
            turn,
            Change::Elected(Arc::new(MasterRecord {
                info: self.config.info.clone(),
                cluster: self.config.cluster.clone(),
                started_at: self.config.started_at,
                elected_at: turn.now,
                roles: self.config.roles.clone(),
                kept: self.config.kept,
            })),
        );
        self.recall_unreachable(recovered.unreachable, turn);
        self.gone_agents = recovered.gone.into_iter().collect();
        self.deactivated = recovered.deactivated;
        self.draining = recovered.draining;
        self.recall_frameworks(recovered.completed_frameworks, turn);
        self.set_weights(recovered.weights, turn);
        self.set_quota(recovered.quota, turn);
        self.set_maintenance(recovered.maintenance, turn);
        for info in recovered.agents {
            self.recover_agent(info, turn);
        }
        let frameworks = recovered.frameworks.into_iter();
        frameworks.for_each(|framework| self.recover_framework(framework, turn));
        self.hold_offers(turn);
        self.recall_refused_until(turn.now);
        self.note_absent_later(turn.now);
        self.forget_later(turn.now);
    }

    pub(crate) fn change(&mut self, turn: &mut Turn<'_>, change: Change) {
        self.changes += 1;
        turn.effects.push(Effect::Change(Numbered {
            number: self.changes,
            change,
        }));
    }
}

impl Turn<'_> {
    pub(crate) fn answer(&mut self, token: Token, answer: Answer) {
        self.effects.push(Effect::Answer { token, answer });
    }

    /// Tells the allocator; gives the number of the change.
    pub(crate) fn allocator(&mut self, change: WorldChange) -> u64 {
        self.effects.push(Effect::Allocator(change));
        self.told += 1;
        self.told
    }

    /// The number of the last change the allocator was told of.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    pub(crate) fn order(&mut self, peer: PeerId, order: Order) {
        self.effects.push(Effect::Agent { peer, order });
    }

    pub(crate) fn event(&mut self, stream_id: &str, event: Event) {
        self.effects.push(Effect::Scheduler {
            stream_id: stream_id.to_string(),
            event: Arc::new(event),
        });
    }
}
