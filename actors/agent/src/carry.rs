//! How each effect is carried out. Order is kept: what follows a change that is on its way to the disk waits, and
//! all changes that wait by then go to the disk together.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tepui_kit::{Context, crash_point};
use tepui_messages::{
    agent::{DeliverExecutorEvent, EndExecutorStream},
    containers::{ContainerRuntime, Forked, RecoveredContainer, RunningContainer, VolumeDirectory},
    engine::Inspected,
};
use tepui_protocol::{
    message::{Tell, TellError},
    node,
    v1::{NetworkInfo, executor},
};

use tokio::sync::{oneshot, watch};

use crate::{
    actor::{NodeActor, Wake},
    effect::{Effect, Ending, Fate, Input, Keep, Launch, Probe},
    preparing::{Unprepared, prepare, start},
    prober, signals,
};

/// Between two tries to destroy a container whose processes hang in the kernel.
const DESTROY_PAUSE: Duration = Duration::from_secs(10);

impl NodeActor {
    /// Carries out what waits, up to the next change that has to wait for the disk.
    pub(crate) fn carry_on(&mut self, ctx: &mut Context<Self>) {
        while !self.committing
            && let Some(effect) = self.waiting.pop_front()
        {
            let Some(effect) = self.hold_back(effect) else {
                continue;
            };
            crash_point("effect", || &effect);
            match effect {
                Effect::Keep { changes, synced } => self.keep(changes, synced, ctx),
                Effect::ChangeVolumes { make, remove } => self.change_volumes(make, remove, ctx),
                Effect::LinkVolumes {
                    container_id,
                    sandbox,
                    user,
                    volumes,
                } => self.link_volumes(container_id, sandbox, user, volumes, ctx),
                Effect::UpdateLimits {
                    container_id,
                    amounts,
                } => self.update_limits(container_id, amounts, ctx),
                other => self.carry(other, ctx),
            }
        }
    }

    fn keep(&mut self, mut changes: Vec<Keep>, synced: bool, ctx: &mut Context<Self>) {
        if !synced {
            let kept = self.memory.commit(&changes, false);
            return self.kept(kept, ctx);
        }
        // One sync for all that wait: a change may be kept earlier than in its turn, never later. But what is kept of a new
        // volume before the directory of an old one is gone would give it that directory after a crash, with all in it.
        let mut passes_volumes = false;
        self.waiting.retain_mut(|effect| match effect {
            Effect::ChangeVolumes { .. } => {
                passes_volumes = true;
                true
            }
            Effect::Keep { changes: more, .. } if !passes_volumes => {
                changes.append(more);
                false
            }
            _ => true,
        });
        if !self.memory.waits() {
            let kept = self.memory.commit(&changes, true);
            return self.kept(kept, ctx);
        }
        self.committing = true;
        let memory = Arc::clone(&self.memory);
        let commit = tokio::task::spawn_blocking(move || memory.commit(&changes, true));
        ctx.then(commit, |actor, kept, ctx| {
            actor.committing = false;
            actor.kept(kept.unwrap_or_else(|error| Err(error.to_string())), ctx);
            actor.carry_on(ctx);
        });
    }

    /// One that cannot be made would be believed in by the master: the agent ends and tries again after its restart.
    fn change_volumes(
        &mut self,
        make: Vec<VolumeDirectory>,
        remove: Vec<VolumeDirectory>,
        ctx: &mut Context<Self>,
    ) {
        self.committing = true;
        let changed = self.runtime.change_volumes(make, remove);
        ctx.then(changed, |actor, changed, ctx| {
            actor.committing = false;
            if let Err(error) = changed {
                let text = format!(
                    "a persistent volume could not be made ({error}); look at the disk and restart the agent"
                );
                actor.waiting.clear();
                actor.carry(Effect::Exit(Ending::DiskFailed(text)), ctx);
            }
            actor.carry_on(ctx);
        });
    }

    fn kept(&mut self, kept: Result<(), String>, ctx: &mut Context<Self>) {
        crash_point("done", || "Keep");
        if let Err(error) = kept {
            // What it promised it could not keep: containers run on, and a restart goes on from the last that was.
            self.waiting.clear();
            let text =
                format!("the agent cannot remember what it does ({error}); look at its disk");
            self.carry(Effect::Exit(Ending::DiskFailed(text)), ctx);
        }
    }

    fn carry(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Keep { .. }
            | Effect::ChangeVolumes { .. }
            | Effect::LinkVolumes { .. }
            | Effect::UpdateLimits { .. } => {
                unreachable!("what others wait for is carried by `carry_on`")
            }
            Effect::Register {
                connection,
                request,
            } => self.register(connection, *request, ctx),
            Effect::SendUpdate(update) => self.tell_master(*update),
            Effect::SendOperationUpdate(update) => self.tell_master(*update),
            Effect::SendOversubscribed(resources) => self.tell_master(resources),
            Effect::SendExited(exited) => self.tell_master(exited),
            Effect::SendToFramework(message) => self.tell_master(message),
            Effect::SendLeaves(leaves) => self.tell_master(leaves),
            Effect::Launch(launch) => self.launch(*launch, ctx),
            Effect::Probe(probe) => self.probe(probe, ctx),
            Effect::Measure {
                purpose,
                containers,
            } => self.measure(purpose, containers, ctx),
            Effect::WeighDisks { directories } => self.weigh_disks(directories, ctx),
            Effect::LookAtPorts { containers } => self.look_at_ports(containers, ctx),
            Effect::Note(text) => tracing::info!("{text}"),
            Effect::RecoveryEnded => self.runtime.recovery_ended(),
            Effect::Recover { container_id } => self.recover(container_id, ctx),
            Effect::Signal {
                container_id,
                signal,
            } => {
                let sent = self.runtime.signal(container_id.clone(), signal);
                ctx.spawn(signals::report(container_id, signal, sent));
            }
            Effect::SignalCommand {
                container_id,
                signal,
            } => {
                let sent = (self.runtime).signal_command(container_id.clone(), signal);
                ctx.spawn(signals::report(container_id, signal, sent));
            }
            Effect::Destroy { container_id } => self.destroy(container_id, ctx),
            Effect::RemoveSandbox { root, name } => {
                let removed = self.runtime.remove_nested(root.clone(), name.clone());
                ctx.spawn(async move {
                    if let Err(error) = removed.await {
                        let root = root.display().to_string();
                        tracing::warn!(root, name, error, "a sandbox could not be removed");
                    }
                });
            }
            Effect::Forget { container_id } => ctx.spawn(self.runtime.forget(container_id)),
            Effect::ToExecutor { stream_id, event } => self.tell_executor(stream_id, event),
            Effect::EndStream { stream_id } => {
                if let Some(stream) = self.streams.remove(&stream_id) {
                    // One that is gone has ended.
                    let _ = stream.tell(EndExecutorStream);
                }
            }
            Effect::WakeAt(at) => {
                if let Some(timer) = self.timer.take() {
                    ctx.cancel(timer);
                }
                self.timer = Some(ctx.notify_at(Wake, self.instant(at)));
            }
            Effect::Exit(ending) => {
                if let Some(on_end) = self.on_end.take() {
                    tracing::info!(?ending, "the agent ends");
                    on_end(ending);
                }
            }
        }
    }

    fn register(&mut self, connection: u64, request: node::RegisterAgent, ctx: &mut Context<Self>) {
        let Some((current, peer)) = &self.master else {
            return;
        };
        if *current != connection {
            return;
        }
        let asked = peer.ask(request);
        ctx.then(asked, move |actor, answer, ctx| {
            let known = actor.core.term;
            match &answer {
                Ok(node::AgentRegistration {
                    term: Some(term), ..
                }) if *term < known => tracing::warn!(
                    term,
                    known,
                    "a master of a lower term than this agent has seen does not lead any more and is not obeyed; a \
                     new cluster needs agents with new work directories"
                ),
                Ok(node::AgentRegistration {
                    agent_id: Some(id),
                    term,
                    ..
                }) => tracing::info!(agent_id = id.value, term, "registered"),
                Ok(refused) => {
                    tracing::warn!(
                        refusal = refused.refusal,
                        "the master does not admit this agent"
                    );
                }
                Err(error) => tracing::warn!(%error, "registration got no answer"),
            }
            let answer = answer.map(Box::new).map_err(|error| error.to_string());
            actor.input(Input::RegistrationAnswered { connection, answer }, ctx);
        });
    }

    fn tell_master<M: tepui_protocol::message::Message>(&self, message: M)
    where
        dyn tepui_messages::agent::MasterPeer: Tell<M>,
    {
        if let Some((_, peer)) = &self.master
            && let Err(error) = peer.tell(message)
        {
            // What must arrive is repeated.
            tracing::debug!(%error, "a message to the master was lost");
        }
    }

    fn tell_executor(&mut self, stream_id: u64, event: Arc<executor::Event>) {
        let Some(stream) = self.streams.get(&stream_id) else {
            return;
        };
        if stream.tell(DeliverExecutorEvent(event)) == Err(TellError::Full) {
            tracing::warn!(
                stream_id,
                "an executor reads too slowly: its stream is ended"
            );
            let _ = stream.tell(EndExecutorStream);
            self.streams.remove(&stream_id);
        }
    }

    fn launch(&mut self, launch: Launch, ctx: &mut Context<Self>) {
        let container_id = launch.order.container_id.clone();
        // The sandbox of a task within an executor's is no run of an executor.
        let sandbox = Some(launch.order.sandbox.clone()).filter(|it| is_run(it));
        let (call_off, off) = watch::channel(false);
        self.launching.insert(container_id.clone(), call_off);
        let (runtime, fetcher) = (Arc::clone(&self.runtime), Arc::clone(&self.fetcher));
        let prepared = Box::pin(prepare(runtime, fetcher, launch, off.clone()));
        ctx.then(prepared, move |actor, prepared, ctx| match prepared {
            Ok(order) => {
                let prepared = Input::ContainerPrepared {
                    container_id: container_id.clone(),
                };
                actor.input(prepared, ctx);
                let (tell_forked, forked) = oneshot::channel();
                let id = container_id.clone();
                ctx.then(forked, move |actor, forked, ctx| {
                    if let Ok(Forked { pid, networks }) = forked {
                        let container_id = id;
                        actor.networked(&container_id, networks, ctx);
                        actor.input(Input::ContainerForked { container_id, pid }, ctx);
                    }
                });
                let runtime = Arc::clone(&actor.runtime);
                let started = Box::pin(start(runtime, order, off, tell_forked));
                ctx.then(started, move |actor, started, ctx| {
                    actor.launched(container_id, started, ctx);
                    if let Some(sandbox) = sandbox {
                        ctx.spawn(mark_latest(sandbox));
                    }
                });
            }
            Err(Unprepared::Failed(message)) => actor.launched(container_id, Err(message), ctx),
            // Of others than executors it is a failure like another.
            Err(Unprepared::Sandbox(message)) if sandbox.is_none() => {
                actor.launched(container_id, Err(message), ctx);
            }
            Err(Unprepared::Sandbox(message)) => {
                actor.launching.remove(&container_id);
                tracing::warn!(container_id, message, "an executor has no sandbox");
                let input = Input::NoSandbox {
                    container_id,
                    message,
                };
                actor.input(input, ctx);
            }
        });
    }

    fn launched(
        &mut self,
        container_id: String,
        started: Result<RunningContainer, String>,
        ctx: &mut Context<Self>,
    ) {
        self.launching.remove(&container_id);
        match started {
            Ok(running) => self.container_started(container_id, running, ctx),
            Err(message) => {
                tracing::warn!(container_id, message, "a container did not start");
                self.guest_refused(&container_id, &message);
                let input = Input::LaunchFailed {
                    container_id,
                    message,
                };
                self.input(input, ctx);
            }
        }
    }

    fn container_started(
        &mut self,
        container_id: String,
        running: RunningContainer,
        ctx: &mut Context<Self>,
    ) {
        let RunningContainer {
            shim,
            pid,
            inspected,
            networks,
            exited,
        } = running;
        self.inspected(&container_id, inspected, ctx);
        self.networked(&container_id, networks, ctx);
        let input = Input::ContainerStarted {
            container_id: container_id.clone(),
            shim,
            pid,
        };
        self.input(input, ctx);
        ctx.then(exited, move |actor, exit, ctx| {
            actor.input(Input::ContainerExited { container_id, exit }, ctx);
        });
    }

    fn inspected(
        &mut self,
        container_id: &str,
        inspected: Option<Box<Inspected>>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(inspected) = inspected {
            let container_id = container_id.to_owned();
            let input = Input::ContainerInspected {
                container_id,
                inspected,
            };
            self.input(input, ctx);
        }
    }

    fn networked(
        &mut self,
        container_id: &str,
        networks: Vec<NetworkInfo>,
        ctx: &mut Context<Self>,
    ) {
        if !networks.is_empty() {
            let container_id = container_id.to_owned();
            let input = Input::Networked {
                container_id,
                networks,
            };
            self.input(input, ctx);
        }
    }

    fn recover(&mut self, container_id: String, ctx: &mut Context<Self>) {
        let found = self.runtime.recover(container_id.clone());
        ctx.then(found, move |actor, found, ctx| {
            let mut exited = None;
            let fate = match found {
                RecoveredContainer::Running(running) => {
                    actor.inspected(&container_id, running.inspected, ctx);
                    exited = Some(running.exited);
                    actor.networked(&container_id, running.networks, ctx);
                    Fate::Running {
                        shim: running.shim,
                        pid: running.pid,
                    }
                }
                RecoveredContainer::Exited(exit) => Fate::Exited(exit),
                RecoveredContainer::Failed(message) => Fate::Failed(message),
                RecoveredContainer::Gone => Fate::Gone,
            };
            let id = container_id.clone();
            actor.input(Input::ContainerRecovered { container_id, fate }, ctx);
            if let Some(exited) = exited {
                ctx.then(exited, move |actor, exit, ctx| {
                    let container_id = id;
                    actor.input(Input::ContainerExited { container_id, exit }, ctx);
                });
            }
        });
    }

    fn probe(&self, probe: Probe, ctx: &mut Context<Self>) {
        let (container_id, kind) = (probe.container_id.clone(), probe.kind);
        let tried = Box::pin(prober::probe(Arc::clone(&self.runtime), probe));
        ctx.then(tried, move |actor, outcome, ctx| {
            let input = Input::Probed {
                container_id,
                kind,
                outcome,
            };
            actor.input(input, ctx);
        });
    }

    fn destroy(&mut self, container_id: String, ctx: &mut Context<Self>) {
        if let Some(call_off) = self.launching.get(&container_id) {
            // Either it is not begun, or the core destroys it once more when it has started.
            call_off.send_replace(true);
            return;
        }
        let destroyed = self.runtime.destroy(container_id.clone());
        ctx.then(destroyed, move |actor, destroyed, ctx| {
            let Err(why) = destroyed else {
                return;
            };
            tracing::error!(container_id, why, "a container could not be destroyed");
            let runtime = Arc::clone(&actor.runtime);
            ctx.spawn(destroy_again(runtime, container_id.clone()));
            actor.input(Input::KillHangs { container_id, why }, ctx);
        });
    }
}

async fn destroy_again(runtime: Arc<dyn ContainerRuntime>, container_id: String) {
    loop {
        tokio::time::sleep(DESTROY_PAUSE).await;
        let Err(error) = runtime.destroy(container_id.clone()).await else {
            return;
        };
        tracing::error!(container_id, error, "a container could not be destroyed");
    }
}

/// Whether a sandbox is that of an executor.
fn is_run(sandbox: &Path) -> bool {
    let runs = sandbox.parent().and_then(Path::file_name);
    runs.is_some_and(|name| name == "runs")
}

/// Points `runs/latest` to this run. Only people look at it: a failure is not told.
async fn mark_latest(sandbox: PathBuf) {
    let marked = tokio::task::spawn_blocking(move || link_latest(&sandbox)).await;
    if let Ok(Err(error)) = marked {
        tracing::debug!(%error, "the link to the latest run was not made");
    }
}

fn link_latest(sandbox: &Path) -> std::io::Result<()> {
    let (Some(runs), Some(name)) = (sandbox.parent(), sandbox.file_name()) else {
        return Ok(());
    };
    // Hidden: whoever lists the runs would take it for one of them.
    let mut fresh = OsString::from(".");
    fresh.push(name);
    let fresh = runs.join(fresh);
    std::os::unix::fs::symlink(name, &fresh)?;
    std::fs::rename(fresh, runs.join("latest"))
}
