//! Containers that clients of the agent's API ask for: within another container, or standing alone (Mesos:
//! docs/nested-container-and-task-group.md, docs/standalone-containers.md).
//! Owns who may be launched where, what is known of their ends, and that none outlives the container around it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tepui_messages::{
    agent::{ContainerEnd, LaunchGuest},
    containers::{ContainerExit, NestedSandbox, VolumeLink},
};
use tepui_protocol::{
    acls::is_user_name,
    signal::SIGKILL,
    v1::{CommandInfo, NetworkInfo},
};

use crate::{
    core::{NodeCore, Turn},
    effect::{Effect, ExecutorKey, Fate, Keep, KeptGuest, Launch},
    exits, order,
    probes::CHECK,
    unsupported, volumes,
};

/// Standing alone they lie there, below the work directory (Mesos' layout).
const ALONE: &str = "containers";
/// Guests that may be known at one time: ended ones count until they are removed.
pub const MAX_GUESTS: usize = 1_000;

/// One of them.
#[derive(Debug)]
pub(crate) struct Guest {
    /// `None`: a session, which uses that of the container around it.
    pub(crate) sandbox: Option<PathBuf>,
    /// Whom it runs as; `None`: as whoever is around it.
    pub(crate) user: Option<String>,
    pub(crate) pid: Option<u32>,
    /// Where it does not have those of the container around it, or of the machine.
    pub(crate) networks: Vec<NetworkInfo>,
    pub(crate) end: Option<ContainerEnd>,
    /// The container around it has ended: nobody can ask for it any more.
    pub(crate) orphan: bool,
}

impl Guest {
    pub(crate) fn new(sandbox: Option<PathBuf>, user: Option<String>) -> Self {
        Self {
            sandbox,
            user,
            pid: None,
            networks: Vec::new(),
            end: None,
            orphan: false,
        }
    }

    pub(crate) fn is_session(&self) -> bool {
        self.sandbox.is_none()
    }
}

/// How far a guest's launch is.
#[derive(Debug, Clone, PartialEq)]
pub enum GuestState {
    Unknown,
    Starting,
    Running,
    Ended(ContainerEnd),
}

/// The container around a guest.
pub(crate) struct Outer {
    pub(crate) sandbox: PathBuf,
    pub(crate) user: Option<String>,
    /// The persistent volumes that its sandbox shows.
    pub(crate) volumes: Vec<VolumeLink>,
}

impl NodeCore {
    /// Why a guest cannot be launched; a text for the client.
    pub fn guest_refusal(&self, asked: &LaunchGuest) -> Option<String> {
        if self.ending.is_some() {
            return Some("the agent is ending".to_owned());
        }
        let (outer, name) = match asked.container_id.rsplit_once('.') {
            Some((outer, name)) => (Some(outer), name),
            None => (None, asked.container_id.as_str()),
        };
        if let Some(outer) = outer.filter(|outer| self.outer(outer).is_none()) {
            return Some(format!("Parent container {outer} does not exist"));
        }
        if name.starts_with(CHECK) {
            return Some(format!(
                "names that begin with '{CHECK}' are the agent's own"
            ));
        }
        if self.guests.len() >= MAX_GUESTS {
            return Some(format!(
                "this agent has {MAX_GUESTS} such containers; remove some that have ended"
            ));
        }
        let Some(command) = &asked.command else {
            return Some("a container without a command has nothing to run".to_owned());
        };
        let user = command.user.as_deref().unwrap_or_default();
        if !is_user_name(user) {
            return Some(format!("'{user}' is not the name of a user"));
        }
        let container = asked.container.as_ref();
        if asked.is_session
            && let Some(problem) = Self::session_refusal(container)
        {
            return Some(problem);
        }
        if let Some(problem) = unsupported::of_secrets(command) {
            return Some(problem);
        }
        let problem = container.and_then(|it| unsupported::of_guest(it, outer.is_some()));
        problem.map(|_| "The provided ContainerInfo is not supported".to_owned())
    }

    /// What is known of a guest.
    pub fn guest_state(&self, container_id: &str) -> GuestState {
        match self.guests.get(container_id).filter(|it| !it.orphan) {
            None => GuestState::Unknown,
            Some(Guest { end: Some(end), .. }) => GuestState::Ended(end.clone()),
            Some(Guest { pid: Some(_), .. }) => GuestState::Running,
            Some(_) => GuestState::Starting,
        }
    }

    /// Those whose commands run, with their processes.
    pub(crate) fn running_guests(&self) -> Vec<(String, u32)> {
        let running = self.guests.iter().filter(|(_, guest)| !guest.orphan);
        let running = running.filter_map(|(id, guest)| Some((id.clone(), guest.pid?)));
        running.collect()
    }

    /// Whom a guest runs as of which that is not known: the user of the executor around all.
    fn user_around(&self, container_id: &str) -> Option<String> {
        let (outermost, _) = container_id.split_once('.')?;
        self.outer(outermost)?.user
    }

    pub(crate) fn outer(&self, container_id: &str) -> Option<Outer> {
        if let Some(guest) = self.guests.get(container_id) {
            guest.pid.filter(|_| !guest.orphan)?;
            return Some(Outer {
                // Nothing is launched within a session.
                sandbox: guest.sandbox.clone()?,
                user: (guest.user.clone()).or_else(|| self.user_around(container_id)),
                volumes: Vec::new(),
            });
        }
        let of_child = self.children.get(container_id);
        let key = of_child.map_or_else(|| self.containers.get(container_id), |(key, _)| Some(key));
        let key: &ExecutorKey = key?;
        let framework = self.frameworks.get(&key.framework_id)?;
        let executor = framework.executors.get(&key.executor_id)?;
        let empty = CommandInfo::default();
        let entry = match of_child {
            Some((_, task_id)) => executor.tasks.get(task_id),
            None => executor.command_task().map(|(_, entry)| entry),
        };
        let command = match entry {
            Some(entry) => entry.info.command.as_ref(),
            None => executor.info.command.as_ref(),
        };
        let user = order::user_of(&self.config, framework, command.unwrap_or(&empty));
        let work_dir = &self.config.work_dir;
        let child = entry.and_then(|it| Some((it.child.as_ref()?, it)));
        let (sandbox, volumes) = match child {
            Some((child, entry)) => {
                child.pid?;
                let sandbox = executor.sandbox.join(ALONE).join(child.name());
                let own = volumes::links(work_dir, entry.info.resources.iter());
                (sandbox, own)
            }
            None => {
                executor.running()?;
                let all = volumes::of_sandbox(work_dir, executor);
                (executor.sandbox.clone(), all)
            }
        };
        Some(Outer {
            sandbox,
            user,
            volumes,
        })
    }

    /// [`Self::guest_refusal`] had nothing against it, and it is not known.
    pub(crate) fn launch_guest(&mut self, turn: &mut Turn<'_>, asked: LaunchGuest) {
        let LaunchGuest {
            container_id,
            command,
            container,
            resources,
            limits,
            is_session: _,
        } = asked;
        let command = command.unwrap_or_default();
        let parts = container_id.rsplit_once('.');
        let outer = parts.and_then(|(outer, name)| Some((self.outer(outer)?, name)));
        let user = command.user.clone().filter(|_| self.config.switch_user);
        let (sandbox, user) = match &outer {
            Some((outer, name)) => {
                let sandbox = outer.sandbox.join(ALONE).join(name);
                (sandbox, user.or_else(|| outer.user.clone()))
            }
            None => (self.config.work_dir.join(ALONE).join(&container_id), user),
        };
        let mut order = order::guest_order(
            &self.config,
            &container_id,
            &sandbox,
            user.clone(),
            (&command, container.as_ref()),
            (&resources, &limits),
        );
        let nested = outer.map(|(outer, name)| NestedSandbox {
            shared: order::show_around(&self.config, &mut order, &outer, container.as_ref()),
            root: outer.sandbox,
            name: name.to_owned(),
            task: None,
            user: user.clone(),
        });
        turn.keep(Keep::Guest {
            container_id: container_id.clone(),
            guest: KeptGuest {
                sandbox: sandbox.clone(),
                user: user.clone(),
            },
        });
        self.guests
            .insert(container_id, Guest::new(Some(sandbox), user));
        turn.out.push(Effect::Launch(Box::new(Launch {
            order,
            uris: command.uris,
            nested,
        })));
    }

    pub(crate) fn guest_started(&mut self, turn: &mut Turn<'_>, container_id: &str, pid: u32) {
        if let Some(guest) = self.guests.get_mut(container_id) {
            guest.pid = Some(pid);
            if guest.orphan {
                let container_id = container_id.to_owned();
                turn.out.push(Effect::Destroy { container_id });
            }
        }
    }

    /// Its command never ran: nothing of it is kept, and whoever asked is told.
    pub(crate) fn guest_failed(&mut self, turn: &mut Turn<'_>, container_id: &str) {
        self.forget_guest(turn, container_id);
        self.exit_if_empty(turn);
    }

    pub(crate) fn guest_ended(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        exit: Option<&ContainerExit>,
    ) {
        let Some(guest) = self.guests.get_mut(container_id) else {
            return;
        };
        guest.pid = None;
        guest.end = Some(end_of(exit));
        let (orphan, is_session) = (guest.orphan, guest.is_session());
        if orphan {
            self.ends
                .pass(turn.now.monotonic, container_id, end_of(exit));
            self.forget_guest(turn, container_id);
        } else if is_session {
            self.session_ended(turn, container_id);
        }
        self.outer_ended(turn, container_id);
        self.exit_if_empty(turn);
    }

    /// A container has ended: those within it that clients asked for follow.
    pub(crate) fn outer_ended(&mut self, turn: &mut Turn<'_>, outer: &str) {
        if self.guests.is_empty() {
            return;
        }
        let first = format!("{outer}.");
        let within = self.guests.range(first.clone()..);
        let within = within.take_while(|(id, _)| id.starts_with(&first));
        let ids: Vec<String> = within.map(|(id, _)| id.clone()).collect();
        for container_id in ids {
            let Some(guest) = self.guests.get_mut(&container_id) else {
                continue;
            };
            guest.orphan = true;
            if guest.end.is_some() {
                self.forget_guest(turn, &container_id);
            } else {
                turn.out.push(Effect::Destroy { container_id });
            }
        }
    }

    /// Removes one that has ended, with its sandbox.
    pub(crate) fn remove_guest(&mut self, turn: &mut Turn<'_>, container_id: &str) {
        let Some(guest) = self.guests.get(container_id) else {
            return self.remove_left(turn, container_id);
        };
        let sandbox = guest.sandbox.as_deref();
        let root = match container_id.rsplit_once('.') {
            Some(_) => sandbox.and_then(Path::parent).and_then(Path::parent),
            None => Some(self.config.work_dir.as_path()),
        };
        if let (Some(root), Some(name)) = (root, sandbox.and_then(Path::file_name)) {
            turn.out.push(Effect::RemoveSandbox {
                root: root.to_owned(),
                name: name.to_string_lossy().into_owned(),
            });
        }
        self.forget_guest(turn, container_id);
        self.outer_ended(turn, container_id);
    }

    pub(crate) fn forget_guest(&mut self, turn: &mut Turn<'_>, container_id: &str) {
        self.guests.remove(container_id);
        let container_id = container_id.to_owned();
        turn.keep(Keep::ForgetGuest {
            container_id: container_id.clone(),
        });
        turn.out.push(Effect::Forget { container_id });
    }

    /// Whether a container of that id runs, whoever launched it.
    pub fn runs(&self, id: &str) -> bool {
        let guest = self.guests.get(id);
        guest.is_some_and(|it| it.end.is_none() && !it.orphan)
            || self.children.contains_key(id)
            || self.containers.contains_key(id)
    }

    /// [`Self::runs`] said that it runs. Of an executor's own container, or a command task's, all processes are told.
    pub(crate) fn signal_container(&self, turn: &mut Turn<'_>, container_id: String, signal: i32) {
        let is_outer = self.containers.contains_key(&container_id);
        turn.out.push(match signal {
            SIGKILL => Effect::Destroy { container_id },
            _ if is_outer => Effect::Signal {
                container_id,
                signal,
            },
            _ => Effect::SignalCommand {
                container_id,
                signal,
            },
        });
    }

    /// The agent that launched them is forgotten: so are they.
    pub(crate) fn give_up_guests(
        &mut self,
        turn: &mut Turn<'_>,
        guests: BTreeMap<String, KeptGuest>,
    ) {
        for container_id in guests.into_keys() {
            turn.out.push(Effect::Destroy {
                container_id: container_id.clone(),
            });
            self.forget_guest(turn, &container_id);
        }
    }

    /// The agent ends for good, and all on it.
    pub(crate) fn end_guests(&mut self, turn: &mut Turn<'_>) {
        for (container_id, guest) in &mut self.guests {
            guest.orphan = true;
            turn.out.push(Effect::Destroy {
                container_id: container_id.clone(),
            });
        }
    }

    pub(crate) fn restore_guest(&mut self, container_id: String, kept: KeptGuest) {
        let sandbox = Some(kept.sandbox).filter(|it| !it.as_os_str().is_empty());
        let guest = Guest::new(sandbox, kept.user);
        self.guests.insert(container_id, guest);
    }

    pub(crate) fn guest_recovered(&mut self, turn: &mut Turn<'_>, id: &str, fate: Fate) {
        match fate {
            Fate::Running { pid, .. } => self.guest_started(turn, id, pid),
            Fate::Exited(exit) => self.guest_ended(turn, id, Some(&exit)),
            Fate::Failed(_) | Fate::Gone => self.forget_guest(turn, id),
        }
    }
}

pub(crate) fn end_of(exit: Option<&ContainerExit>) -> ContainerEnd {
    let limit = exit.and_then(exits::limitation);
    ContainerEnd {
        status: exit.and_then(|exit| exit.status),
        reason: limit.map(|limit| limit.reason),
        message: limit.map(|limit| limit.message.clone()),
        resources: limit.map_or_else(Vec::new, |limit| limit.resources.clone()),
    }
}

#[cfg(test)]
#[path = "guests_tests.rs"]
mod tests;
