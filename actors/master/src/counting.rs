//! What is counted of calls and of agents' words, as Mesos does, whatever becomes of them. What is valid is counted
//! where it turns out.

use tepui_messages::{
    master::AgentMessage,
    traffic::{Count, Requests},
};
use tepui_protocol::v1::{
    offer::operation,
    scheduler::{Call, call::Type},
};

use crate::{core::MasterCore, tables::Framework};

impl MasterCore {
    /// Adds one, for the metrics.
    pub(crate) fn count(&self, what: Count) {
        self.config.traffic.tally.count(what);
    }

    /// As Mesos counts them: of ACCEPT only what it launches, of the rest what its first schedulers could say.
    pub(crate) fn count_call(&self, kind: Type, call: &Call) {
        let what = match kind {
            Type::Accept => {
                let operations = call.accept.iter().flat_map(|accept| &accept.operations);
                let launches = operations.filter(|it| it.r#type() == operation::Type::Launch);
                for launch in launches {
                    let launch = launch.launch.as_ref();
                    let is_empty = launch.is_none_or(|launch| launch.task_infos.is_empty());
                    self.count(if is_empty {
                        Count::DeclineOffers
                    } else {
                        Count::LaunchTasks
                    });
                }
                return;
            }
            Type::Decline => Count::DeclineOffers,
            Type::Revive => Count::ReviveOffers,
            Type::Suppress => Count::SuppressOffers,
            Type::Kill => Count::KillTask,
            Type::Acknowledge => Count::Acknowledgement,
            Type::AcknowledgeOperationStatus => Count::OperationAcknowledgement,
            Type::Reconcile => Count::ReconcileTasks,
            Type::ReconcileOperations => Count::ReconcileOperations,
            Type::Message => Count::FrameworkToExecutor,
            Type::Request => Count::ResourceRequest,
            _ => return,
        };
        self.count(what);
    }

    /// Where calls of a framework are counted; its principal never changes.
    pub(crate) fn count_for(&self, framework: &mut Framework) {
        let traffic = &self.config.traffic;
        let info = framework.info();
        let of_principal = info.principal.as_ref().map(|it| traffic.of(it));
        let requests = traffic.of_framework(framework.id(), &info.name);
        framework.traffic = of_principal;
        framework.requests = Some(requests);
    }

    /// A call that is taken.
    pub(crate) fn count_request(&self, framework: &str, kind: Type) {
        if let Some(requests) = self.requests_of(framework) {
            requests.call(kind);
        }
    }

    /// Something that an agent is ordered for a framework.
    pub(crate) fn count_operation(&self, framework: &str, kind: operation::Type) {
        if let Some(requests) = self.requests_of(framework) {
            requests.operation(kind);
        }
    }

    fn requests_of(&self, framework: &str) -> Option<&Requests> {
        self.frameworks.get(framework)?.requests.as_deref()
    }

    pub(crate) fn count_word(&self, what: &AgentMessage) {
        self.count(match what {
            AgentMessage::StatusUpdate(_) => Count::StatusUpdate,
            AgentMessage::OperationUpdate(_) => Count::OperationUpdate,
            // What Mesos' agents say in UpdateSlaveMessage.
            AgentMessage::Oversubscribed(_) => Count::UpdateAgent,
            AgentMessage::ExecutorExited(_) => Count::ExitedExecutor,
            AgentMessage::ToFramework(_) => Count::ExecutorToFramework,
            AgentMessage::Leaves(_) => Count::UnregisterAgent,
        });
    }

    /// What comes from an agent that is not registered.
    pub(crate) fn count_word_of_nobody(&self, what: &AgentMessage) {
        match what {
            AgentMessage::StatusUpdate(_) => self.count(Count::InvalidStatusUpdate),
            AgentMessage::OperationUpdate(_) => self.count(Count::InvalidOperationUpdate),
            AgentMessage::ToFramework(_) => self.count(Count::InvalidExecutorToFramework),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod tests;
