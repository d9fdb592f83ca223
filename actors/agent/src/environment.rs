//! The variables of containers' environments. Pure.

use tepui_messages::agent::ExecutorClaims;
use tepui_protocol::{
    durations::duration_text,
    v1::{CommandInfo, Resource},
};

use crate::{
    config::NodeConfig,
    tables::{Executor, Framework},
};

/// Where an executor finds the token that it shows to the agent.
pub(crate) const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// The variables that tell an executor where it is and how to reach its agent.
pub(crate) fn mesos_environment(
    config: &NodeConfig,
    agent_id: &str,
    framework: &Framework,
    executor: &Executor,
) -> Vec<(String, String)> {
    let grace = executor.shutdown_grace(config.executor_shutdown_grace);
    let sandbox = executor.sandbox.display().to_string();
    let checkpoint = framework.checkpoints();
    let framework_id = framework.info.id.as_ref().map_or("", |id| &id.value);
    let mut variables = vec![
        ("LIBPROCESS_PORT", "0".to_owned()),
        ("MESOS_AGENT_ENDPOINT", config.endpoint()),
        (
            "MESOS_CHECKPOINT",
            if checkpoint { "1" } else { "0" }.to_owned(),
        ),
        ("MESOS_DIRECTORY", sandbox),
        ("MESOS_EXECUTOR_ID", executor.info.executor_id.value.clone()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration_text(grace)),
        ("MESOS_FRAMEWORK_ID", framework_id.to_owned()),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
        ("MESOS_SLAVE_ID", agent_id.to_owned()),
        ("MESOS_SLAVE_PID", config.pid()),
    ];
    if checkpoint {
        let backoff = duration_text(config.executor_reregistration_timeout);
        variables.push((
            "MESOS_RECOVERY_TIMEOUT",
            duration_text(config.recovery_timeout),
        ));
        variables.push(("MESOS_SUBSCRIPTION_BACKOFF_MAX", backoff));
    }
    // Whoever has no program of its own has nobody to show a token to.
    let key = config.token_key.as_ref().filter(|_| executor.is_custom());
    if let Some(key) = key {
        let token = key.sign(&ExecutorClaims {
            framework_id: framework_id.to_owned(),
            executor_id: executor.info.executor_id.value.clone(),
            container_id: executor.container_id.clone(),
        });
        variables.push((TOKEN_VARIABLE, token));
    }
    let role = role_of(&executor.info.resources);
    if let Some(role) = role {
        variables.push(("MESOS_ALLOCATION_ROLE", role));
    }
    let named = variables.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(crate) fn role_of(resources: &[Resource]) -> Option<String> {
    let mut resources = resources.iter();
    resources.find_map(|it| it.allocation_info.as_ref()?.role.clone())
}

pub(crate) fn command_environment(command: &CommandInfo) -> impl Iterator<Item = (String, String)> {
    let variables = command.environment.iter().flat_map(|it| &it.variables);
    variables.filter(|it| !it.name.is_empty()).map(|variable| {
        let secret = variable.secret.as_ref().and_then(|it| it.value.as_ref());
        let secret = secret.map(|it| String::from_utf8_lossy(&it.data).into_owned());
        let value = variable.value.clone().or(secret);
        (variable.name.clone(), value.unwrap_or_default())
    })
}
