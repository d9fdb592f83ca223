//! What each call needs to be allowed, and whether it is: frameworks by the principal they subscribed with, operators
//! by the one who calls (Mesos: `master/authorization.cpp`).
//!
//! Verdicts follow from the access control lists alone, so they are given at once and hold for the whole call.

use std::collections::BTreeSet;

use tepui_messages::master::Answer;
use tepui_protocol::{
    acls::{Action, user_of_executor, user_of_task},
    resources::Resources,
    v1::{
        AgentInfo, FrameworkInfo, Resource, TaskInfo,
        master::{Call, call::Type},
        offer::{
            Operation,
            operation::{self, LaunchGroup},
        },
        resource::{ReservationInfo, disk_info::source::Type as Source},
    },
    validate,
};

use crate::core::MasterCore;

/// An action, and the object it is about where one can be named.
type Need = (Action, Option<String>);

impl MasterCore {
    /// Whether the framework may have all its roles.
    pub(crate) fn authorize_subscription(&self, info: &FrameworkInfo) -> Result<(), String> {
        let roles = validate::framework::roles(info);
        let may = |role: &&str| self.may(info, Action::RegisterFrameworks, Some(role));
        if roles.iter().all(may) {
            return Ok(());
        }
        let id = info.id.as_ref().map_or("", |id| id.value.as_str());
        let list: Vec<&str> = roles.into_iter().collect();
        let list = list.join(", ");
        Err(format!(
            "Not authorized to register framework {id} with roles {{ {list} }}"
        ))
    }

    /// Whether the framework may run the task as the user it names, or else as its own.
    pub(crate) fn authorize_task(&self, id: &str, task: &TaskInfo) -> Result<(), String> {
        let principal = self.frameworks[id].info().principal.as_deref();
        self.may_launch(id, task)
            .map_err(|what| format!("{} no authorized to {what}", named(principal)))
    }

    /// The same of the tasks of a group, and of its executor. The last one that may not run is told.
    pub(crate) fn authorize_group(&self, id: &str, group: &LaunchGroup) -> Result<(), String> {
        let info = self.frameworks[id].info();
        // The default executor runs nothing of its own.
        let executor = group.executor.command.as_ref();
        let executor = executor.map(|_| user_of_executor(&group.executor, info));
        let refused = group.task_group.tasks.iter().rev().find_map(|task| {
            let of_executor = || executor.map_or(Ok(()), |it| self.may_launch_as(id, task, it));
            let what = self.may_launch(id, task).and_then(|()| of_executor());
            Some((task, what.err()?))
        });
        // Without the space, as Mesos has it.
        refused.map_or(Ok(()), |(task, what)| {
            let task = &task.task_id.value;
            Err(format!("Task '{task}' is not authorized to{what}"))
        })
    }

    fn may_launch(&self, id: &str, task: &TaskInfo) -> Result<(), String> {
        let info = self.frameworks[id].info();
        self.may_launch_as(id, task, user_of_task(task, info))?;
        let executor = task.executor.as_ref().filter(|it| it.command.is_some());
        executor.map_or(Ok(()), |executor| {
            self.may_launch_as(id, task, user_of_executor(executor, info))
        })
    }

    /// Whether the framework may run something of the task, or its executor, as this user; else what it may not.
    fn may_launch_as(&self, id: &str, task: &TaskInfo, user: &str) -> Result<(), String> {
        if self.may(self.frameworks[id].info(), Action::RunTasks, Some(user)) {
            return Ok(());
        }
        let task = &task.task_id.value;
        Err(format!(
            "launch task {task} of framework {id} under user '{user}'"
        ))
    }

    /// Whether the framework may do this with resources it was offered.
    pub(crate) fn authorize_operation(&self, id: &str, what: &Operation) -> Result<(), String> {
        let principal = self.frameworks[id].info().principal.as_deref();
        let denied = self.denied(principal, of_operation(what));
        denied.map_or(Ok(()), |(action, object)| {
            let any = || "any object".to_string();
            let on = object.map_or_else(any, |object| format!("'{object}'"));
            let (who, action) = (named(principal), action.list());
            Err(format!("{who} is not authorized to {action} on {on}"))
        })
    }

    /// Whether the agent may join, with what it has reserved. Nobody asks agents who they are.
    pub(crate) fn authorize_agent(&self, info: &AgentInfo) -> Result<(), String> {
        let mut needs = reserved(&info.resources);
        needs.retain(|(_, role)| role.as_deref() != Some("*"));
        needs.push((Action::RegisterAgents, None));
        if self.denied(None, needs).is_none() {
            return Ok(());
        }
        let resources = Resources::from_proto_unchecked(&info.resources);
        Err(format!(
            "Not authorized to register agent providing resources '{resources}' without a principal"
        ))
    }

    /// # Errors
    /// The 403 to answer.
    pub(crate) fn authorize_operator(
        &self,
        principal: Option<&str>,
        kind: Type,
        call: &Call,
    ) -> Result<(), Answer> {
        self.forbid(principal, self.of_call(kind, call))
    }

    /// # Errors
    /// The 403 to answer.
    pub(crate) fn authorize_operator_operation(
        &self,
        principal: Option<&str>,
        what: &Operation,
    ) -> Result<(), Answer> {
        self.forbid(principal, of_operation(what))
    }

    fn forbid(&self, principal: Option<&str>, needs: Vec<Need>) -> Result<(), Answer> {
        let denied = self.denied(principal, needs);
        denied.map_or(Ok(()), |_| Err(Answer::refused(403, "")))
    }

    fn may(&self, framework: &FrameworkInfo, action: Action, object: Option<&str>) -> bool {
        let principal = framework.principal.as_deref();
        self.config.acls.allows(action, principal, object)
    }

    /// The first that is not allowed.
    fn denied(&self, principal: Option<&str>, needs: Vec<Need>) -> Option<Need> {
        let acls = &self.config.acls;
        let mut needs = needs.into_iter();
        needs.find(|(action, object)| !acls.allows(*action, principal, object.as_deref()))
    }

    /// One that is not known cannot be ended, so nothing is asked for it.
    fn of_teardown(&self, call: &Call) -> Vec<Need> {
        let id = call.teardown.as_ref().map(|body| &body.framework_id.value);
        let framework = id.and_then(|id| self.frameworks.get(id));
        let owner = framework.map(|framework| framework.info().principal.clone());
        let need = owner.map(|owner| (Action::TeardownFrameworks, Some(owner.unwrap_or_default())));
        need.into_iter().collect()
    }

    /// A call without a rule here does not compile.
    fn of_call(&self, kind: Type, call: &Call) -> Vec<Need> {
        let whole = |action| vec![(action, None)];
        let roles = |action| {
            let named = |role: &str| (action, Some(role.to_string()));
            roles_of(call).map(named).collect()
        };
        match kind {
            Type::Teardown => self.of_teardown(call),
            Type::UpdateWeights => roles(Action::UpdateWeights),
            Type::UpdateQuota | Type::SetQuota | Type::RemoveQuota => roles(Action::UpdateQuotas),
            Type::UpdateMaintenanceSchedule => whole(Action::UpdateMaintenanceSchedules),
            Type::StartMaintenance => whole(Action::StartMaintenances),
            Type::StopMaintenance => whole(Action::StopMaintenances),
            Type::DrainAgent => {
                let drain = call.drain_agent.as_ref();
                let gone = drain.is_some_and(|drain| drain.mark_gone());
                let gone = gone.then_some((Action::MarkAgentsGone, None));
                [(Action::DrainAgents, None)]
                    .into_iter()
                    .chain(gone)
                    .collect()
            }
            Type::DeactivateAgent => whole(Action::DeactivateAgents),
            Type::ReactivateAgent => whole(Action::ReactivateAgents),
            Type::MarkAgentGone => whole(Action::MarkAgentsGone),
            // Asked of the operation each becomes.
            Type::ReserveResources
            | Type::UnreserveResources
            | Type::CreateVolumes
            | Type::DestroyVolumes
            | Type::GrowVolume
            | Type::ShrinkVolume => Vec::new(),
            // Read, or refused, before they come here.
            Type::Unknown
            | Type::GetHealth
            | Type::GetFlags
            | Type::GetVersion
            | Type::GetMetrics
            | Type::GetLoggingLevel
            | Type::SetLoggingLevel
            | Type::ListFiles
            | Type::ReadFile
            | Type::GetState
            | Type::GetAgents
            | Type::GetFrameworks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetTasks
            | Type::GetRoles
            | Type::GetWeights
            | Type::GetMaster
            | Type::Subscribe
            | Type::GetMaintenanceStatus
            | Type::GetMaintenanceSchedule
            | Type::GetQuota => Vec::new(),
        }
    }
}

/// The roles whose weight or quota the call changes.
fn roles_of(call: &Call) -> impl Iterator<Item = &str> {
    let weights = call.update_weights.iter().flat_map(|it| &it.weight_infos);
    let configs = call.update_quota.iter().flat_map(|it| &it.quota_configs);
    let set = call.set_quota.iter().map(|it| it.quota_request.role());
    let removed = call.remove_quota.iter().map(|it| it.role.as_str());
    let updated = configs.map(|config| config.role.as_str());
    let weighted = weights.map(|info| info.role());
    weighted.chain(updated).chain(set).chain(removed)
}

/// What an operation needs. Each object is asked for once.
fn of_operation(what: &Operation) -> Vec<Need> {
    use operation::Type;
    let role = |action, resource: &Resource| (action, Some(role_of(resource).to_string()));
    match what.r#type() {
        Type::Reserve => what.reserve.as_ref().map_or(Vec::new(), of_reserve),
        Type::Unreserve => {
            let resources = what.unreserve.iter().flat_map(|body| &body.resources);
            let holders = resources.map(|resource| {
                let principal = stack(resource).last().and_then(|it| it.principal.clone());
                (Action::UnreserveResources, principal)
            });
            once(holders)
        }
        Type::Create => {
            let volumes = what.create.iter().flat_map(|body| &body.volumes);
            once(volumes.map(|volume| role(Action::CreateVolumes, volume)))
        }
        Type::Destroy => {
            let volumes = what.destroy.iter().flat_map(|body| &body.volumes);
            let disks = volumes.filter_map(|volume| volume.disk.as_ref()?.persistence.as_ref());
            once(disks.map(|disk| (Action::DestroyVolumes, Some(disk.principal().to_string()))))
        }
        Type::GrowVolume => {
            let body = what.grow_volume.iter();
            once(body.map(|body| role(Action::ResizeVolumes, &body.volume)))
        }
        Type::ShrinkVolume => {
            let body = what.shrink_volume.iter();
            once(body.map(|body| role(Action::ResizeVolumes, &body.volume)))
        }
        Type::CreateDisk => {
            let body = what.create_disk.iter();
            once(body.filter_map(|body| {
                let action = match body.target_type() {
                    Source::Mount => Action::CreateMountDisks,
                    Source::Block => Action::CreateBlockDisks,
                    Source::Unknown | Source::Path | Source::Raw => return None,
                };
                Some(role(action, &body.source))
            }))
        }
        Type::DestroyDisk => {
            let body = what.destroy_disk.iter();
            once(body.filter_map(|body| {
                let disk = body.source.disk.as_ref()?.source.as_ref()?;
                let action = match disk.r#type() {
                    Source::Mount => Action::DestroyMountDisks,
                    Source::Block => Action::DestroyBlockDisks,
                    Source::Raw => Action::DestroyRawDisks,
                    Source::Unknown | Source::Path => return None,
                };
                Some(role(action, &body.source))
            }))
        }
        // Asked of each task.
        Type::Launch | Type::LaunchGroup | Type::Unknown => Vec::new(),
    }
}

/// With `source` what differs from the target is first unreserved and then reserved, one refinement after the other.
fn of_reserve(body: &operation::Reserve) -> Vec<Need> {
    let (Some(source), Some(target)) = (body.source.first(), body.resources.first()) else {
        return reserved(&body.resources);
    };
    let (source, target) = (stack(source), stack(target));
    let pairs = source.iter().zip(target);
    let common = pairs.take_while(|(from, to)| from == to).count();
    let popped = body.source.iter().flat_map(|resource| {
        let above = stack(resource).iter().skip(common).rev();
        above.map(|it| (Action::UnreserveResources, it.principal.clone()))
    });
    let pushed = body.resources.iter().flat_map(|resource| {
        let above = stack(resource).iter().skip(common);
        above.map(|it| (Action::ReserveResources, Some(it.role().to_string())))
    });
    once(popped.chain(pushed))
}

/// The roles that resources are reserved for.
fn reserved(resources: &[Resource]) -> Vec<Need> {
    let roles = resources.iter().map(role_of);
    once(roles.map(|role| (Action::ReserveResources, Some(role.to_string()))))
}

fn once(needs: impl Iterator<Item = Need>) -> Vec<Need> {
    let needs: BTreeSet<Need> = needs.collect();
    needs.into_iter().collect()
}

fn stack(resource: &Resource) -> &[ReservationInfo] {
    match (&resource.reservation, resource.reservations.is_empty()) {
        // As old clients write it: one dynamic reservation beside the role.
        (Some(old), true) => std::slice::from_ref(old),
        _ => &resource.reservations,
    }
}

/// The role of the innermost reservation, in either of the two ways to write it.
fn role_of(resource: &Resource) -> &str {
    let innermost = resource.reservations.last();
    innermost.map_or_else(|| resource.role(), |it| it.role())
}

fn named(principal: Option<&str>) -> String {
    principal.map_or_else(
        || "A framework without a principal".to_string(),
        |principal| format!("Principal '{principal}'"),
    )
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
