//! The handle others hold. It only talks to the thread; nothing here waits for a disk.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use tepui_engine::SharedEngine;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, oneshot, watch};

use crate::driven::Driven;
use crate::member::{Applied, Input, Member, MembershipChange};
use crate::service::Service;
use crate::{
    ConsensusError, InboxError, Options, ProposeError, ReadError, StateMachine, Status, Transport,
};

/// A running member. Clones are cheap and equal; the thread ends with [`Consensus::shutdown`] or the last of them.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

struct Inner {
    inbox: SyncSender<Input>,
    status: watch::Receiver<Status>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Told of each input.
    wake: Arc<Notify>,
    /// Of the thread.
    runtime: Option<Handle>,
}

impl Consensus {
    /// Opens what lasted and starts the thread. The engine must have the families `raft_log` and `raft_meta` and
    /// those of the state machine. The only voter of a group leads when this returns.
    pub fn start<S: StateMachine>(
        options: Options,
        engine: SharedEngine,
        machine: S,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, ConsensusError> {
        let (inner, service) = assemble(options, engine, machine, transport, Instant::now())?;
        let failed = |error: std::io::Error| ConsensusError::Thread(error.to_string());
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name("tepui-consensus".to_owned())
            // A task, which others on this runtime wake without a system call.
            .spawn(move || drop(runtime.block_on(runtime.spawn(service.run()))))
            .map_err(failed)?;
        let inner = Inner {
            thread: Mutex::new(Some(thread)),
            runtime: Some(handle),
            ..inner
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// As [`Consensus::start`], but without a thread: the member works only in the turns its caller gives it, at
    /// the time the caller says. For simulations.
    pub fn driven<S: StateMachine>(
        options: Options,
        engine: SharedEngine,
        machine: S,
        transport: Arc<dyn Transport>,
        now: Instant,
    ) -> Result<(Self, Driven), ConsensusError> {
        let (inner, service) = assemble(options, engine, machine, transport, now)?;
        let consensus = Self {
            inner: Arc::new(inner),
        };
        Ok((consensus, Driven::new(service)))
    }

    /// Proposes a command; the future gives its index and outcome once it is durable and applied here. It is
    /// queued before this returns, so calls of one caller keep their order; dropping the future does not take it
    /// back.
    pub fn propose(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<Applied, ProposeError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.answer(self.send(Input::Propose { command, reply }), answer)
    }

    /// Changes the membership by one step, as a command of its own.
    pub fn change_membership(
        &self,
        change: MembershipChange,
    ) -> impl Future<Output = Result<Applied, ProposeError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.answer(self.send(Input::ChangeMembership { change, reply }), answer)
    }

    /// Waits until the state here holds everything that was acknowledged, anywhere, before this call. Gives the
    /// applied index.
    pub fn read(&self) -> impl Future<Output = Result<u64, ReadError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Input::Read { reply });
        let status = self.inner.status.clone();
        async move {
            sent?;
            answer
                .await
                .unwrap_or_else(|_| Err(ReadError::Stopped(stop_reason(&status))))
        }
    }

    /// Hands over a message of another member, as given to its `Transport`. When the inbox is full the message is
    /// dropped, which raft bears.
    pub fn step(&self, message: Bytes) -> Result<(), InboxError> {
        self.send(Input::Step {
            from: None,
            message,
        })
    }

    /// As [`Consensus::step`], of a way that belongs to the member `from`: what another one is said to have written is
    /// dropped.
    pub fn step_of(&self, from: u64, message: Bytes) -> Result<(), InboxError> {
        let from = Some(from);
        self.send(Input::Step { from, message })
    }

    /// Tells that the connection to a member is down. If it leads and is not heard again, it is replaced without the
    /// part of the election timeout that is drawn.
    pub fn report_unreachable(&self, node_id: u64) -> Result<(), InboxError> {
        self.send(Input::Unreachable(node_id))
    }

    /// Asks the voter `to` to lead. Without effect unless this member leads; watch the status for the result.
    pub fn transfer_leader(&self, to: u64) -> Result<(), InboxError> {
        self.send(Input::TransferLeader(to))
    }

    /// The latest status; the receiver also tells of changes, but not of mere progress: positions in the log and counts of
    /// commands and syncs are there for whoever looks.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.clone()
    }

    /// The thread's own runtime, where there is a thread: what brings the messages of other members runs there, so that
    /// none of them waits for another thread. It must not block, and it waits for each sync. It ends with the thread.
    pub fn runtime(&self) -> Option<Handle> {
        self.inner.runtime.clone()
    }

    /// Stops the thread and waits for its end. The database may be closed afterwards. Blocks for at most one
    /// turn of the thread; further calls return at once.
    pub fn shutdown(&self) {
        self.inner.stop.store(true, Ordering::Release);
        // A full inbox wakes the thread as well.
        let _ = self.send(Input::Wake);
        let thread = self
            .inner
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread catches its own panics and tells of them in the status.
            let _ = thread.join();
        }
    }

    fn answer(
        &self,
        sent: Result<(), InboxError>,
        answer: oneshot::Receiver<Result<Applied, ProposeError>>,
    ) -> impl Future<Output = Result<Applied, ProposeError>> + Send + use<> {
        let status = self.inner.status.clone();
        async move {
            sent?;
            answer
                .await
                .unwrap_or_else(|_| Err(ProposeError::Stopped(stop_reason(&status))))
        }
    }

    fn send(&self, input: Input) -> Result<(), InboxError> {
        let sent = self.inner.inbox.try_send(input);
        self.inner.wake.notify_one();
        sent.map_err(|error| match error {
            TrySendError::Full(_) => InboxError::Full,
            TrySendError::Disconnected(_) => InboxError::Stopped(stop_reason(&self.inner.status)),
        })
    }
}

fn assemble<S: StateMachine>(
    options: Options,
    engine: SharedEngine,
    machine: S,
    transport: Arc<dyn Transport>,
    now: Instant,
) -> Result<(Inner, Service<S>), ConsensusError> {
    let (inbox, receiver) = sync_channel(options.inbox_capacity);
    let tick = options.tick;
    let member = Member::open(options, engine, machine, transport, now)?;
    let (status_sender, status) = watch::channel(member.status());
    let stop = Arc::new(AtomicBool::new(false));
    let wake = Arc::new(Notify::new());
    let service = Service {
        member,
        inbox: receiver,
        stop: stop.clone(),
        status: status_sender,
        next_tick: now + tick,
        wake: Arc::clone(&wake),
        more_waits: false,
    };
    let inner = Inner {
        inbox,
        status,
        stop,
        thread: Mutex::default(),
        wake,
        runtime: None,
    };
    Ok((inner, service))
}

fn stop_reason(status: &watch::Receiver<Status>) -> String {
    match status.borrow().stopped.as_deref() {
        Some("") | None => "it was shut down".to_owned(),
        Some(reason) => reason.to_owned(),
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
