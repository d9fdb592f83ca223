//! What becomes of a container's output (Mesos' container loggers): files in its sandbox that grow with it, or that are
//! bounded. Owns the words for it, of the agent's flag and of a task's environment.

use std::fmt;

use tepui_containers::rotation::{Bound, Rotation};
use tepui_protocol::sizes;

/// Mesos' bound of one file.
const DEFAULT_BOUND: Bound = Bound {
    max_bytes: 10 << 20,
    kept: 1,
};
/// As Mesos has it: a page.
const LEAST_BYTES: u64 = 4096;
const MOST_KEPT: u8 = 100;
/// A task's variables that change the agent's settings for it alone begin so.
const PREFIX: &str = "CONTAINER_LOGGER_";
const EXPECTED: &str = "expected sandbox, or logrotate, or logrotate=max_stdout_size:10MB;max_stderr_size:10MB, with \
     logrotate_stdout_options:rotate 4 and logrotate_stderr_options:rotate 4 for more than one earlier file";

/// One of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerLogger(Option<Rotation>);

impl ContainerLogger {
    /// What `--container-logger` says: `sandbox`, or `logrotate=NAME:VALUE;…` with Mesos' names of its parameters.
    ///
    /// # Errors
    /// What is wrong with the text, what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, parameters) = text.split_once('=').unwrap_or((text, ""));
        match name {
            "sandbox" if parameters.is_empty() => Ok(Self(None)),
            "logrotate" | "org_apache_mesos_LogrotateContainerLogger" => {
                let mut rotation = Rotation {
                    stdout: DEFAULT_BOUND,
                    stderr: DEFAULT_BOUND,
                };
                for parameter in parameters.split(';').filter(|it| !it.trim().is_empty()) {
                    let pair = parameter.split_once(':');
                    let (name, value) = pair.ok_or_else(|| format!("{parameter}: {EXPECTED}"))?;
                    let known = set(&mut rotation, name.trim(), value.trim())?;
                    if !known {
                        return Err(format!("there is no parameter `{name}`; {EXPECTED}"));
                    }
                }
                Ok(Self(Some(rotation)))
            }
            _ => Err(format!("there is no container logger `{name}`; {EXPECTED}")),
        }
    }

    /// For a container with these variables.
    ///
    /// Errors: what is wrong with them, in words for the framework.
    pub(crate) fn rotation(&self, env: &[(String, String)]) -> Result<Option<Rotation>, String> {
        let Some(mut rotation) = self.0 else {
            return Ok(None);
        };
        for (name, value) in env {
            if let Some(name) = name.strip_prefix(PREFIX) {
                let set = set(&mut rotation, &name.to_ascii_lowercase(), value.trim());
                set.map_err(|error| format!("Failed to load container logger settings: {error}"))?;
            }
        }
        Ok(Some(rotation))
    }
}

impl fmt::Display for ContainerLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Rotation { stdout, stderr }) = &self.0 else {
            return f.write_str("sandbox");
        };
        write!(
            f,
            "logrotate=max_stdout_size:{};max_stderr_size:{};logrotate_stdout_options:rotate {};logrotate_stderr_options:rotate {}",
            sizes::text(stdout.max_bytes),
            sizes::text(stderr.max_bytes),
            stdout.kept,
            stderr.kept
        )
    }
}

/// Says whether there is such a parameter.
fn set(rotation: &mut Rotation, name: &str, value: &str) -> Result<bool, String> {
    let Rotation { stdout, stderr } = rotation;
    match name {
        "max_stdout_size" => stdout.max_bytes = size(name, value)?,
        "max_stderr_size" => stderr.max_bytes = size(name, value)?,
        "logrotate_stdout_options" => stdout.kept = kept(name, value)?.unwrap_or(stdout.kept),
        "logrotate_stderr_options" => stderr.kept = kept(name, value)?.unwrap_or(stderr.kept),
        _ => return Ok(false),
    }
    Ok(true)
}

fn size(name: &str, value: &str) -> Result<u64, String> {
    let size = sizes::parse(value).map_err(|error| format!("{name}: {error}"))?;
    if size < LEAST_BYTES {
        return Err(format!(
            "{name}: expected at least {LEAST_BYTES} bytes, not '{value}'"
        ));
    }
    Ok(size)
}

/// The number in `rotate N`; other words of logrotate's have no meaning here.
fn kept(name: &str, options: &str) -> Result<Option<u8>, String> {
    let mut words = options.split_ascii_whitespace();
    if !words.any(|word| word == "rotate") {
        return Ok(None);
    }
    let number = words.next().and_then(|number| number.parse().ok());
    let number = number.filter(|number| *number <= MOST_KEPT);
    number
        .map(Some)
        .ok_or_else(|| format!("{name}: expected rotate and a number up to {MOST_KEPT}"))
}

#[cfg(test)]
#[path = "logger_tests.rs"]
mod tests;
