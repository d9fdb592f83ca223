//! What an executor needs that runs, before it is handed the tasks that need it: what its container may use, and their volumes.

use std::{collections::VecDeque, path::PathBuf};

use tepui_kit::Context;
use tepui_messages::containers::{Amounts, VolumeLink};

use crate::{
    actor::NodeActor,
    effect::{Effect, Input},
};

impl NodeActor {
    pub(crate) fn update_limits(
        &mut self,
        container_id: String,
        amounts: Amounts,
        ctx: &mut Context<Self>,
    ) {
        self.limiting.insert(container_id.clone(), VecDeque::new());
        let asked = self.core.stream_of(&container_id);
        let updated = self.runtime.update(container_id.clone(), amounts);
        ctx.then(updated, move |actor, updated, ctx| {
            let held = actor.limiting.remove(&container_id).unwrap_or_default();
            for effect in held.into_iter().rev() {
                actor.waiting.push_front(effect);
            }
            if let Err(message) = updated {
                actor.not_given(container_id, asked, message, ctx);
            }
            actor.carry_on(ctx);
        });
    }

    pub(crate) fn link_volumes(
        &mut self,
        container_id: String,
        sandbox: PathBuf,
        user: Option<String>,
        volumes: Vec<VolumeLink>,
        ctx: &mut Context<Self>,
    ) {
        self.committing = true;
        let asked = self.core.stream_of(&container_id);
        let linked = self.runtime.link_volumes(sandbox, user, volumes);
        ctx.then(linked, move |actor, linked, ctx| {
            actor.committing = false;
            if let Err(message) = linked {
                actor.not_given(container_id, asked, message, ctx);
            }
            actor.carry_on(ctx);
        });
    }

    /// `asked` is the stream of the executor when it was begun.
    fn not_given(
        &mut self,
        container_id: String,
        asked: Option<u64>,
        message: String,
        ctx: &mut Context<Self>,
    ) {
        tracing::error!(
            container_id,
            message,
            "a container cannot be given what its tasks need: it is destroyed"
        );
        // It may have subscribed anew meanwhile.
        let now = self.core.stream_of(&container_id);
        for stream_id in [asked, now].into_iter().flatten() {
            self.keep_tasks_from(stream_id);
        }
        let input = Input::NotGiven {
            container_id,
            message,
        };
        self.input(input, ctx);
    }

    /// Keeps back what the executor of a container is told, and what is told of its tasks, while its limits are changed:
    /// gives back what has nothing to do with that. The others do not wait for one container's engine.
    pub(crate) fn hold_back(&mut self, effect: Effect) -> Option<Effect> {
        let of = |id: &String| match &effect {
            Effect::UpdateLimits { container_id, .. } => container_id == id,
            Effect::ToExecutor { stream_id, .. } | Effect::EndStream { stream_id } => {
                self.core.stream_of(id) == Some(*stream_id)
            }
            Effect::SendUpdate(update) => self.core.is_of(id, update),
            _ => false,
        };
        let container_id = self.limiting.keys().find(|id| of(id)).cloned();
        match container_id.and_then(|id| self.limiting.get_mut(&id)) {
            Some(held) => {
                held.push_back(effect);
                None
            }
            None => Some(effect),
        }
    }

    /// The tasks that wait to be handed over never are: nothing of them may begin.
    fn keep_tasks_from(&mut self, stream_id: u64) {
        self.waiting.retain(|effect| match effect {
            Effect::ToExecutor {
                stream_id: to,
                event,
            } => *to != stream_id || (event.launch.is_none() && event.launch_group.is_none()),
            _ => true,
        });
    }
}
