//! Which calls of executors are taken. Status codes and texts are Mesos'.

use tepui_messages::agent::{Answer, ExecutorClaims, ExecutorPhase, NodePhase};
use tepui_protocol::v1::{ExecutorId, FrameworkId, executor};

use crate::core::{NodeCore, executor_key};

impl NodeCore {
    /// Why an executor's call is refused, before it is given to [`Self::on`]. Status codes and texts are Mesos'.
    pub fn refusal(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        kind: executor::call::Type,
    ) -> Option<Answer> {
        use executor::call::Type;
        if !self.remembered {
            return Some(Answer::refused(503, "Agent has not finished recovery"));
        }
        if kind == Type::Heartbeat {
            return None;
        }
        if kind != Type::Subscribe && self.phase == NodePhase::Recovering {
            return Some(Answer::refused(503, "Agent has not finished recovery"));
        }
        let Some(framework) = self.frameworks.get(&framework_id.value) else {
            return Some(Answer::refused(400, "Framework cannot be found"));
        };
        let executor = framework.executors.get(&executor_id.value);
        let Some(executor) = executor.filter(|executor| executor.is_custom()) else {
            return Some(Answer::refused(400, "Executor cannot be found"));
        };
        let registering = executor.phase == ExecutorPhase::Registering;
        if kind != Type::Subscribe && registering {
            return Some(Answer::refused(403, "Executor is not subscribed"));
        }
        None
    }

    /// Why a call with these claims is not of the executor that it names (Mesos: `verifyExecutorClaims`).
    pub fn claims_refusal(
        &self,
        claims: Option<&ExecutorClaims>,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
    ) -> Option<Answer> {
        let claims = claims?;
        let executor = self.executor(&executor_key(framework_id, executor_id));
        let missing = if claims.framework_id != framework_id.value {
            let id = &framework_id.value;
            format!("an 'fid' claim with the framework ID {id}, which is set in the call")
        } else if claims.executor_id != executor_id.value {
            let id = &executor_id.value;
            format!("an 'eid' claim with the executor ID {id}, which is set in the call")
        } else if executor.is_none_or(|it| it.container_id != claims.container_id) {
            "a 'cid' claim with the correct active ContainerID".to_owned()
        } else {
            return None;
        };
        let text = format!("The authenticated principal does not contain {missing}");
        Some(Answer::refused(403, text))
    }
}
