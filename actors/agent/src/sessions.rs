//! Sessions: containers within another one that clients look around in (Mesos: LAUNCH_NESTED_CONTAINER_SESSION, debug
//! containers). Owns how they are started, and for how long the ends of past ones are known. They are guests else.

use std::collections::{BTreeMap, VecDeque};

use tepui_messages::{
    agent::LaunchGuest,
    containers::{LaunchOrder, Switchboard},
};
use tepui_protocol::v1::{CommandInfo, ContainerInfo, linux_info::IpcMode};

use crate::{
    core::{NodeCore, Turn},
    effect::{Effect, ExecutorKey, Keep, KeptGuest, Launch},
    guests::{Guest, Outer},
    order,
    tables::{Executor, Framework, TaskEntry},
};

/// Nobody removes a session, so the ends of so many are known: the last ones.
pub const MAX_ENDED_SESSIONS: usize = 100;

/// Sessions that have ended and are not forgotten, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EndedSessions(VecDeque<String>);

impl NodeCore {
    /// Why a session cannot be what it is described as; asked in addition to what holds for all guests.
    pub(crate) fn session_refusal(container: Option<&ContainerInfo>) -> Option<String> {
        let container = container?;
        if !container.volumes.is_empty() {
            return Some("Volumes not supported for DEBUG containers".to_owned());
        }
        let linux = container.linux_info.as_ref();
        let is_private = linux.is_some_and(|it| it.ipc_mode() == IpcMode::Private);
        is_private.then(|| "Private IPC mode is not supported for DEBUG containers".to_owned())
    }

    /// [`Self::guest_refusal`] had nothing against it, and it is not known.
    pub(crate) fn launch_session(&mut self, turn: &mut Turn<'_>, asked: LaunchGuest) {
        let parts = asked.container_id.rsplit_once('.');
        let Some((outer_id, outer)) = parts.and_then(|(id, _)| Some((id, self.outer(id)?))) else {
            return;
        };
        let command = asked.command.unwrap_or_default();
        let container = asked.container.as_ref();
        let order = self.session_order(outer_id, outer, &asked.container_id, &command, container);
        // Without a sandbox of its own, which is how it is known again.
        turn.keep(Keep::Guest {
            container_id: asked.container_id.clone(),
            guest: KeptGuest::default(),
        });
        self.guests
            .insert(asked.container_id, Guest::new(None, None));
        turn.out.push(Effect::Launch(Box::new(Launch {
            order,
            uris: command.uris,
            nested: None,
        })));
    }

    fn session_order(
        &self,
        outer_id: &str,
        outer: Outer,
        container_id: &str,
        command: &CommandInfo,
        container: Option<&ContainerInfo>,
    ) -> LaunchOrder {
        let mut order = match self.around(outer_id) {
            Some(around) => {
                let agent_id = self.info.id.as_ref().map_or("", |id| &id.value);
                let id = container_id.to_owned();
                order::beside(&self.config, agent_id, around, command, id)
            }
            None => {
                let own = command.user.clone().filter(|_| self.config.switch_user);
                let user = own.or(outer.user);
                let nothing = (&[][..], &BTreeMap::new());
                let described = (command, container);
                let sandbox = &outer.sandbox;
                order::guest_order(
                    &self.config,
                    container_id,
                    sandbox,
                    user,
                    described,
                    nothing,
                )
            }
        };
        let own = order::confinement_of(container);
        if let Some(wanted) = own.capabilities {
            // A session has no more rights than what it looks at.
            let most = order.confinement.capabilities;
            order.confinement.capabilities = Some(most.map_or(wanted, |most| wanted.within(most)));
        }
        if !own.rlimits.is_empty() {
            order.confinement.rlimits = own.rlimits;
        }
        // It sees those of the container around it.
        order.confinement.mounts.clear();
        order.switchboard = Some(Switchboard {
            terminal: order::terminal_of(container),
            is_session: true,
        });
        order
    }

    /// The task whose container that is, or the framework's own executor.
    fn around(&self, container_id: &str) -> Option<(&Framework, &Executor, Option<&TaskEntry>)> {
        let of_child = self.children.get(container_id);
        let key: Option<&ExecutorKey> = match of_child {
            Some((key, _)) => Some(key),
            None => self.containers.get(container_id),
        };
        let key = key?;
        let framework = self.frameworks.get(&key.framework_id)?;
        let executor = framework.executors.get(&key.executor_id)?;
        let entry = match of_child {
            Some((_, task_id)) => executor.tasks.get(task_id),
            None => executor.command_task().map(|(_, entry)| entry),
        };
        let is_program = entry.is_some() || executor.is_custom();
        is_program.then_some((framework, executor, entry))
    }

    /// A session has ended: the oldest of too many is forgotten.
    pub(crate) fn session_ended(&mut self, turn: &mut Turn<'_>, container_id: &str) {
        self.ended_sessions.0.push_back(container_id.to_owned());
        while self.ended_sessions.0.len() > MAX_ENDED_SESSIONS {
            let Some(oldest) = self.ended_sessions.0.pop_front() else {
                return;
            };
            // It may have been removed, and its id given to another one since.
            let ended = self.guests.get(&oldest);
            if ended.is_some_and(|it| it.is_session() && it.end.is_some()) {
                self.forget_guest(turn, &oldest);
            }
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
