//! Checks and health checks of tasks, and the status they report.

use super::{Reason, container};
use crate::v1::{self, check_info, health_check};

/// # Errors
/// A missing type or body, a path without `/`, a negative time.
pub fn health_check(check: &v1::HealthCheck) -> Reason {
    if check.r#type.is_none() {
        return Err("HealthCheck must specify 'type'".into());
    }
    match check.r#type() {
        health_check::Type::Command => {
            let command = body(&check.command, "command", "COMMAND health check")?;
            check_command(command, "Command health check")?;
            container::command(command)
                .map_err(|reason| format!("Health check's `CommandInfo` is invalid: {reason}"))?;
        }
        health_check::Type::Http => {
            let http = body(&check.http, "http", "HTTP health check")?;
            if let Some(scheme) = &http.scheme
                && scheme != "http"
                && scheme != "https"
            {
                return Err(format!("Unsupported HTTP health check scheme: '{scheme}'"));
            }
            check_path(http.path.as_deref(), "HTTP health check")?;
        }
        health_check::Type::Tcp => {
            body(&check.tcp, "tcp", "TCP health check")?;
        }
        health_check::Type::Unknown => {
            return Err("'UNKNOWN' is not a valid health check type".into());
        }
    }
    non_negative(&[
        (check.delay_seconds, "delay_seconds"),
        (check.grace_period_seconds, "grace_period_seconds"),
        (check.interval_seconds, "interval_seconds"),
        (check.timeout_seconds, "timeout_seconds"),
    ])
}

/// # Errors
/// As for health checks.
pub fn check(check: &v1::CheckInfo) -> Reason {
    if check.r#type.is_none() {
        return Err("CheckInfo must specify 'type'".into());
    }
    match check.r#type() {
        check_info::Type::Command => {
            let command = &body(&check.command, "command", "COMMAND check")?.command;
            check_command(command, "Command check")?;
            container::command(command)
                .map_err(|reason| format!("Check's `CommandInfo` is invalid: {reason}"))?;
        }
        check_info::Type::Http => {
            let http = body(&check.http, "http", "HTTP check")?;
            check_path(http.path.as_deref(), "HTTP check")?;
        }
        check_info::Type::Tcp => {
            body(&check.tcp, "tcp", "TCP check")?;
        }
        check_info::Type::Unknown => return Err("'UNKNOWN' is not a valid check type".into()),
    }
    non_negative(&[
        (check.delay_seconds, "delay_seconds"),
        (check.interval_seconds, "interval_seconds"),
        (check.timeout_seconds, "timeout_seconds"),
    ])
}

/// # Errors
/// A missing type or body.
pub fn status(status: &v1::CheckStatusInfo) -> Reason {
    if status.r#type.is_none() {
        return Err("CheckStatusInfo must specify 'type'".into());
    }
    match status.r#type() {
        check_info::Type::Command => {
            body(&status.command, "command", "COMMAND check's status").map(|_| ())
        }
        check_info::Type::Http => body(&status.http, "http", "HTTP check's status").map(|_| ()),
        check_info::Type::Tcp => body(&status.tcp, "tcp", "TCP check's status").map(|_| ()),
        check_info::Type::Unknown => Err("'UNKNOWN' is not a valid check's status type".into()),
    }
}

fn body<'a, T>(body: &'a Option<T>, field: &str, check: &str) -> Result<&'a T, String> {
    body.as_ref()
        .ok_or_else(|| format!("Expecting '{field}' to be set for {check}"))
}

fn check_command(command: &v1::CommandInfo, check: &str) -> Reason {
    if command.value.is_some() {
        return Ok(());
    }
    let wanted = if command.shell.unwrap_or(true) {
        "'shell command'"
    } else {
        "'executable path'"
    };
    Err(format!("{check} must contain {wanted}"))
}

fn check_path(path: Option<&str>, check: &str) -> Reason {
    match path {
        Some(path) if !path.starts_with('/') => {
            Err(format!("The path '{path}' of {check} must start with '/'"))
        }
        _ => Ok(()),
    }
}

fn non_negative(times: &[(Option<f64>, &str)]) -> Reason {
    match times
        .iter()
        .find(|(time, _)| time.is_some_and(|time| time < 0.0))
    {
        Some((_, field)) => Err(format!("Expecting '{field}' to be non-negative")),
        None => Ok(()),
    }
}
