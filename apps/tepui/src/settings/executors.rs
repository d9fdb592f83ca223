//! An agent's flags about the programs of frameworks that run tasks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use tepui_agent::{ExecutorSecurity, ExecutorSettings, TokenKey};
use tepui_http::read_private_bytes;

use super::{AgentFile, json_or_file};

/// Whoever waits longer keeps the agent from its master (Mesos: `MAX_EXECUTOR_REREGISTRATION_TIMEOUT`).
const LONGEST_RETURN: Duration = Duration::from_secs(15);
const VARIABLES: &str =
    r#"expected JSON such as {"PATH": "/bin:/usr/bin"}, or the path of a file that holds it"#;

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<ExecutorSettings> {
    let mut executors = ExecutorSettings::default();
    for (flag, given, set) in [
        (
            "--executor-registration-timeout",
            &file.executor_registration_timeout,
            &mut executors.registration_timeout,
        ),
        (
            "--executor-reregistration-timeout",
            &file.executor_reregistration_timeout,
            &mut executors.reregistration_timeout,
        ),
        (
            "--executor-shutdown-grace-period",
            &file.executor_shutdown_grace_period,
            &mut executors.shutdown_grace,
        ),
        (
            "--recovery-timeout",
            &file.recovery_timeout,
            &mut executors.recovery_timeout,
        ),
    ] {
        if let Some(text) = given {
            let parsed = tepui_protocol::durations::parse(text).ok();
            *set = parsed
                .with_context(|| format!("{flag} {text}: expected a duration such as 15secs"))?;
        }
    }
    if executors.reregistration_timeout > LONGEST_RETURN {
        let given = file.executor_reregistration_timeout.as_deref();
        let given = given.unwrap_or_default();
        bail!("--executor-reregistration-timeout {given}: expected at most 15secs");
    }
    if let Some(most) = file.max_completed_executors_per_framework {
        executors.max_completed = usize::try_from(most).unwrap_or(usize::MAX);
    }
    executors.domain_sockets = file.http_executor_domain_sockets.unwrap_or(false);
    let location = file.domain_socket_location.as_deref();
    executors.domain_socket = location.map(socket).transpose()?;
    let variables = file.executor_environment_variables.as_deref();
    executors.environment = variables.map(environment).transpose()?;
    executors.shown_environment = file.executor_environment_variables.clone();
    Ok(executors)
}

fn socket(given: &str) -> anyhow::Result<PathBuf> {
    if !given.starts_with('/') {
        bail!(
            "--domain-socket-location {given}: expected an absolute path; a socket that systemd passes is not taken, the agent \
             makes its own"
        );
    }
    Ok(given.into())
}

fn environment(given: &str) -> anyhow::Result<Vec<(String, String)>> {
    let flag = "--executor-environment-variables";
    let text = json_or_file(flag, given, VARIABLES)?;
    let parsed: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
    let parsed = parsed.map_err(|error| anyhow!("{flag}: {error}; {VARIABLES}"))?;
    Ok(parsed.into_iter().collect())
}

pub(super) fn security(file: &AgentFile) -> anyhow::Result<ExecutorSecurity> {
    let asked = file.authenticate_http_executors.unwrap_or(false);
    let Some(given) = &file.jwt_secret_key else {
        if asked {
            bail!(
                "--jwt-secret-key is missing: --authenticate-http-executors asks executors for tokens; expected a file with \
                 the key that signs them, which only its owner can read"
            );
        }
        return Ok(ExecutorSecurity::default());
    };
    let path = given.strip_prefix("file://").unwrap_or(given);
    let key = read_private_bytes(Path::new(path)).context("--jwt-secret-key")?;
    if key.is_empty() {
        bail!("--jwt-secret-key {given}: it is empty; expected the key that signs tokens");
    }
    Ok(ExecutorSecurity {
        key: Some(TokenKey::new(&key)),
        asked,
        shown_key: Some(given.clone()),
    })
}

#[cfg(test)]
#[path = "executors_tests.rs"]
mod tests;
