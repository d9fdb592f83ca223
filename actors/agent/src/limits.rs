//! Sets what a container may use, before its executor is handed what is to use it.

use tepui_kit::Context;
use tepui_messages::containers::Amounts;

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
        self.committing = true;
        let asked = self.core.stream_of(&container_id);
        let updated = self.runtime.update(container_id.clone(), amounts);
        ctx.then(updated, move |actor, updated, ctx| {
            actor.committing = false;
            if let Err(message) = updated {
                tracing::error!(
                    container_id,
                    message,
                    "the limits of a container cannot be changed: it is destroyed"
                );
                // It may have subscribed anew meanwhile.
                let now = actor.core.stream_of(&container_id);
                for stream_id in [asked, now].into_iter().flatten() {
                    actor.keep_tasks_from(stream_id);
                }
                let input = Input::LimitsNotSet {
                    container_id,
                    message,
                };
                actor.input(input, ctx);
            }
            actor.carry_on(ctx);
        });
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
