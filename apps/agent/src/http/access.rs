//! Who may use which endpoint of an agent, and what of it they see (docs/security.md). Every route and every call has its
//! rule here: one without does not compile.

use std::{collections::BTreeMap, sync::Arc};

use tepui_http::{Incoming, Realm, Reply, files::inside};
use tepui_messages::agent::{ExecutorClaims, ExecutorState, FrameworkState, NodeState};
use tepui_protocol::{
    acls::{Action, Subject, user_of_executor},
    v1::{
        ContainerId, FrameworkInfo, Task,
        agent::{Call, call::Type},
    },
};

use super::{
    Api, Route,
    bearer::{self, Entered},
    state::Measured,
};
use crate::runtime::Hung;

/// Whose credentials an endpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// Nobody's.
    Open,
    /// An executor's, where executors are asked.
    Executor,
    Readonly,
    Readwrite,
}

impl Route {
    /// Whose credentials it asks for, and under which path `get_endpoints` may refuse it.
    pub(super) fn access(self) -> (Entrance, Option<&'static str>) {
        use Entrance::{Executor, Open, Readonly, Readwrite};
        match self {
            Route::Call => (Readwrite, None),
            Route::LoggingToggle => (Readwrite, Some("/logging/toggle")),
            Route::State | Route::Flags | Route::Browse | Route::Read | Route::Download => {
                (Readonly, None)
            }
            Route::Containers => (Readonly, Some("/containers")),
            Route::Statistics => (Readonly, Some("/monitor/statistics")),
            Route::ContainerizerDebug => (Readonly, Some("/containerizer/debug")),
            Route::Metrics => (Readonly, Some("/metrics/snapshot")),
            Route::Prometheus => (Readonly, Some("/metrics")),
            Route::FilesDebug => (Readonly, Some("/files/debug")),
            Route::Processes => (Readonly, None),
            Route::Executor => (Executor, None),
            Route::Health | Route::Version | Route::SystemStats | Route::Help => (Open, None),
        }
    }
}

/// Lets in who may use the route.
///
/// # Errors
/// The 401 or 403 to answer.
pub(super) fn enter(api: &Api, route: Route, request: &Incoming) -> Result<Caller, Reply> {
    let security = &api.facts.security;
    let (entrance, path) = route.access();
    let realm: Option<&Realm> = match entrance {
        Entrance::Open => None,
        Entrance::Executor => bearer::key(&security.executors).map(|_| &security.executor),
        Entrance::Readonly => Some(&security.readonly),
        Entrance::Readwrite => Some(&security.readwrite),
    };
    let entered = realm.map_or(Ok(Entered::Named(None)), |realm| {
        bearer::enter(realm, &security.executors, &request.headers)
    })?;
    let (principal, claims) = match (entered, entrance) {
        (Entered::Executor(claims), _) => (None, Some(claims)),
        // An operator is no executor, and so not the one that is named.
        (Entered::Named(Some(_)), Entrance::Executor) => (None, Some(bearer::of_nobody())),
        (Entered::Named(principal), _) => (principal, None),
    };
    // What an executor may ask for is found at two doors alone.
    expect(claims.is_none() || matches!(route, Route::Executor | Route::Call))?;
    let subject = Subject {
        acls: Arc::clone(&security.acls),
        principal,
    };
    let allowed = path.is_none_or(|path| subject.may(Action::GetEndpoints, Some(path)));
    expect(allowed).map(|()| Caller { subject, claims })
}

/// Who calls.
pub(super) struct Caller {
    pub(super) subject: Subject,
    /// Of an executor that has shown its token.
    pub(super) claims: Option<ExecutorClaims>,
}

impl Caller {
    /// Whether the call may be made at all.
    ///
    /// # Errors
    /// The 403 to answer.
    pub(super) fn authorize(&self, call: &Call, node: &NodeState) -> Result<(), Reply> {
        match &self.claims {
            Some(claims) => expect(may_executor(claims, call)),
            None => authorize(&self.subject, call, node),
        }
    }
}

/// What an executor may ask for, whatever the lists say (Mesos: `LocalImplicitExecutorObjectApprover`): what is about
/// containers within its own.
fn may_executor(claims: &ExecutorClaims, call: &Call) -> bool {
    if matches!(call.r#type(), Type::GetHealth | Type::GetVersion) {
        return true;
    }
    let Some(id) = container_of(call).filter(|id| id.parent.is_some()) else {
        return false;
    };
    let mut root = id;
    while let Some(parent) = &root.parent {
        root = parent;
    }
    root.value == claims.container_id
}

/// # Errors
/// The 403 to answer.
pub(super) fn expect_allowed(subject: &Subject, action: Action) -> Result<(), Reply> {
    expect(subject.may(action, None))
}

/// Whether there are files that the subject may not read.
pub(super) fn limits_files(subject: &Subject) -> bool {
    let logs = subject.may(Action::AccessMesosLogs, None);
    !logs || !subject.may_all(Action::AccessSandboxes)
}

/// Whether a file may be read: logs, and sandboxes by the user of their executor. Mesos answers without a text here.
///
/// # Errors
/// The 403 to answer.
pub(super) fn expect_file(subject: &Subject, node: &NodeState, path: &str) -> Result<(), Reply> {
    let clean = inside(path).unwrap_or_default();
    let names: Vec<&str> = clean.iter().filter_map(|name| name.to_str()).collect();
    let allowed = if names == ["slave", "log"] {
        subject.may(Action::AccessMesosLogs, None)
    } else {
        let mut windows = names.windows(5);
        let found = windows.find_map(|names| match names {
            ["frameworks", framework, "executors", executor, "runs"] => {
                user_of(node, framework, executor)
            }
            _ => None,
        });
        subject.may(Action::AccessSandboxes, found)
    };
    allowed.then_some(()).ok_or_else(|| Reply::empty(403))
}

/// Whether the call may be made at all. What it tells is filtered beside that.
///
/// # Errors
/// The 403 to answer.
pub(super) fn authorize(subject: &Subject, call: &Call, node: &NodeState) -> Result<(), Reply> {
    let whole = |action| expect(subject.may(action, None));
    match call.r#type() {
        Type::GetFlags => whole(Action::ViewFlags),
        Type::SetLoggingLevel => whole(Action::SetLogLevel),
        Type::PruneImages => whole(Action::PruneImages),
        Type::GetResourceProviders => whole(Action::ViewResourceProviders),
        Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig => whole(Action::ModifyResourceProviderConfigs),
        Type::MarkResourceProviderGone => whole(Action::MarkResourceProvidersGone),
        Type::ListFiles => {
            let path = call.list_files.as_ref().map_or("", |it| it.path.as_str());
            expect_file(subject, node, path)
        }
        Type::ReadFile => {
            let path = call.read_file.as_ref().map_or("", |it| it.path.as_str());
            expect_file(subject, node, path)
        }
        // Open, or filtered.
        Type::Unknown
        | Type::GetHealth
        | Type::GetVersion
        | Type::GetMetrics
        | Type::GetLoggingLevel
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent => Ok(()),
        Type::LaunchNestedContainer
        | Type::WaitNestedContainer
        | Type::KillNestedContainer
        | Type::RemoveNestedContainer
        | Type::LaunchNestedContainerSession
        | Type::AttachContainerInput
        | Type::AttachContainerOutput
        | Type::LaunchContainer
        | Type::WaitContainer
        | Type::KillContainer
        | Type::RemoveContainer => expect(may_about_container(subject, call, node)),
    }
}

/// Nested ones belong to the user of the executor around them; others to nobody.
fn may_about_container(subject: &Subject, call: &Call, node: &NodeState) -> bool {
    let Some(id) = container_of(call) else {
        return true;
    };
    let holder = holder(node, id);
    let of = |nested: Action, alone: Action| match holder {
        Some(user) => subject.may(nested, Some(user)),
        None => subject.may(alone, None),
    };
    match call.r#type() {
        Type::WaitContainer | Type::WaitNestedContainer => of(
            Action::WaitNestedContainers,
            Action::WaitStandaloneContainers,
        ),
        Type::KillContainer | Type::KillNestedContainer => of(
            Action::KillNestedContainers,
            Action::KillStandaloneContainers,
        ),
        Type::RemoveContainer | Type::RemoveNestedContainer => of(
            Action::RemoveNestedContainers,
            Action::RemoveStandaloneContainers,
        ),
        Type::AttachContainerInput => subject.may(Action::AttachContainersInput, holder),
        Type::AttachContainerOutput => subject.may(Action::AttachContainersOutput, holder),
        Type::LaunchNestedContainerSession => {
            let under = Action::LaunchNestedContainerSessionsUnderParentWithUser;
            let as_user = Action::LaunchNestedContainerSessionsAsUser;
            subject.may(under, holder) && may_run(subject, as_user, call)
        }
        _ => {
            let under = Action::LaunchNestedContainersUnderParentWithUser;
            let as_user = Action::LaunchNestedContainersAsUser;
            of(under, Action::LaunchStandaloneContainers)
                && (holder.is_none() || may_run(subject, as_user, call))
        }
    }
}

/// The container that a call is about.
pub(super) fn container_of(call: &Call) -> Option<&ContainerId> {
    macro_rules! first {
        ($($body:ident),*) => {
            None$(.or_else(|| call.$body.as_ref().map(|body| &body.container_id)))*
        };
    }
    let attached = call.attach_container_input.as_ref();
    let attached = attached.and_then(|body| body.container_id.as_ref());
    attached.or_else(|| {
        first!(
            attach_container_output,
            launch_container,
            launch_nested_container,
            launch_nested_container_session,
            wait_container,
            wait_nested_container,
            kill_container,
            kill_nested_container,
            remove_container,
            remove_nested_container
        )
    })
}

/// As which user the command of a launch would run; without a name of its own, as any. Without a command nothing is asked.
fn may_run(subject: &Subject, action: Action, call: &Call) -> bool {
    let alone = call.launch_container.as_ref().map(|it| &it.command);
    let nested = call.launch_nested_container.as_ref().map(|it| &it.command);
    let session = call
        .launch_nested_container_session
        .as_ref()
        .map(|it| &it.command);
    let commands = [alone, nested, session];
    let mut commands = commands.into_iter().filter_map(|command| command?.as_ref());
    commands.all(|command| subject.may(action, command.user.as_deref()))
}

/// The user of the executor whose container this is, or is within.
fn holder<'a>(node: &'a NodeState, id: &ContainerId) -> Option<&'a str> {
    let mut root = id;
    while let Some(parent) = &root.parent {
        root = parent;
    }
    let mut all = node.frameworks.iter().chain(&node.completed_frameworks);
    all.find_map(|framework| {
        let mut executors = framework
            .executors
            .iter()
            .chain(&framework.completed_executors);
        let executor = executors.find(|it| it.container_id.value == root.value)?;
        Some(user_of_executor(&executor.info, &framework.info))
    })
}

fn user_of<'a>(node: &'a NodeState, framework: &str, executor: &str) -> Option<&'a str> {
    let mut all = node.frameworks.iter().chain(&node.completed_frameworks);
    let framework = all.find(|it| it.info.id.as_ref().is_some_and(|id| id.value == framework))?;
    let mut executors = framework
        .executors
        .iter()
        .chain(&framework.completed_executors);
    let executor = executors.find(|it| it.info.executor_id.value == executor);
    Some(executor.map_or(&framework.info.user, |it| {
        user_of_executor(&it.info, &framework.info)
    }))
}

/// The node without what the subject may not see.
pub(super) fn seen(subject: &Subject, node: Arc<NodeState>) -> Arc<NodeState> {
    let limiting = [
        Action::ViewFrameworks,
        Action::ViewTasks,
        Action::ViewExecutors,
        Action::ViewRoles,
    ];
    if limiting.iter().all(|action| subject.may_all(*action)) {
        return node;
    }
    let mut seen = (*node).clone();
    let sees = |role: &str| subject.may(Action::ViewRoles, Some(role));
    seen.total.retain(|resource| {
        let old = resource.role.as_deref().filter(|role| *role != "*");
        let mut roles = resource.reservations.iter().map(|it| it.role()).chain(old);
        roles.all(sees)
    });
    let of = |list: &[FrameworkState]| {
        let visible = list.iter();
        let visible = visible.filter(|it| subject.may(Action::ViewFrameworks, Some(&it.info.user)));
        visible.map(|it| framework(subject, it)).collect()
    };
    seen.frameworks = of(&node.frameworks);
    seen.completed_frameworks = of(&node.completed_frameworks);
    seen.operations.retain(|operation| {
        let id = operation.framework_id.as_ref();
        id.is_none_or(|id| {
            seen.frameworks
                .iter()
                .any(|it| it.info.id.as_ref() == Some(id))
        })
    });
    Arc::new(seen)
}

fn framework(subject: &Subject, all: &FrameworkState) -> FrameworkState {
    let visible = |list: &[ExecutorState]| {
        let executors = list.iter();
        let executors = executors.filter(|it| {
            let user = user_of_executor(&it.info, &all.info);
            subject.may(Action::ViewExecutors, Some(user))
        });
        executors
            .map(|it| executor(subject, it, &all.info))
            .collect()
    };
    FrameworkState {
        info: Arc::clone(&all.info),
        executors: visible(&all.executors),
        completed_executors: visible(&all.completed_executors),
    }
}

fn executor(subject: &Subject, all: &ExecutorState, framework: &FrameworkInfo) -> ExecutorState {
    let mut seen = all.clone();
    let may = |task: &Arc<Task>| {
        let user = task.user.as_deref().unwrap_or(&framework.user);
        subject.may(Action::ViewTasks, Some(user))
    };
    for list in [
        &mut seen.queued_tasks,
        &mut seen.launched_tasks,
        &mut seen.terminated_tasks,
        &mut seen.completed_tasks,
    ] {
        list.retain(may);
    }
    seen
}

/// The containers that the subject may see.
pub(super) fn seen_containers(
    subject: &Subject,
    node: &NodeState,
    mut all: Vec<Measured>,
) -> Vec<Measured> {
    all.retain(|measured| {
        let record = &measured.record;
        match holder(node, &record.container_id) {
            Some(user) => subject.may(Action::ViewContainers, Some(user)),
            None => subject.may(Action::ViewStandaloneContainers, None),
        }
    });
    all
}

/// Those that hang, of containers whom the caller may see.
pub(super) fn seen_hung(
    subject: &Subject,
    node: &NodeState,
    mut all: BTreeMap<String, Hung>,
) -> BTreeMap<String, Hung> {
    all.retain(|id, _| {
        let outer = id.split('.').next().unwrap_or_default().to_owned();
        let id = ContainerId {
            value: outer,
            parent: None,
        };
        match holder(node, &id) {
            Some(user) => subject.may(Action::ViewContainers, Some(user)),
            None => subject.may(Action::ViewStandaloneContainers, None),
        }
    });
    all
}

fn expect(allowed: bool) -> Result<(), Reply> {
    allowed.then_some(()).ok_or_else(|| Reply::bare(403))
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
