//! An agent's flags about its machine.

use std::{collections::BTreeSet, net::IpAddr, process::Command};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tepui_agent::MachineSettings;
use tepui_protocol::roles;

use super::{AgentFile, json_or_file, text::some_time};

const RULES: &str = r#"expected JSON such as {"disabled_endpoints": {"paths": ["/files/browse"]}}, or the path of a file that holds it"#;

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<MachineSettings> {
    let mut machine = MachineSettings {
        advertise_ip: file.advertise_ip,
        advertise_port: file.advertise_port,
        switch_user: file.switch_user.unwrap_or(true),
        runtime_dir: file.runtime_dir.clone(),
        ..MachineSettings::default()
    };
    if let Some(dir) = machine.runtime_dir.as_ref().filter(|dir| dir.is_relative()) {
        bail!("--runtime-dir {}: expected an absolute path", dir.display());
    }
    if let Some(role) = &file.default_role {
        roles::validate(role).map_err(|reason| {
            anyhow!("--default-role {role}: {reason}; expected a role such as web")
        })?;
        machine.default_role.clone_from(role);
    }
    if let Some(name) = &file.cgroups_root {
        machine.cgroups_root = cgroup(name)?;
    }
    for (flag, given, set) in [
        (
            "--cgroups-destroy-timeout",
            &file.cgroups_destroy_timeout,
            &mut machine.destroy_timeout,
        ),
        (
            "--registration-backoff-factor",
            &file.registration_backoff_factor,
            &mut machine.registration_backoff,
        ),
    ] {
        if let Some(text) = given {
            *set = some_time(flag, text)?;
        }
    }
    if let Some(given) = &file.firewall_rules {
        machine.disabled_endpoints = disabled(given)?;
    }
    Ok(machine)
}

/// A name, or several beneath each other.
fn cgroup(name: &str) -> anyhow::Result<String> {
    let trimmed = name.trim_matches('/');
    let odd = |part: &str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if trimmed.split('/').any(odd) {
        bail!("--cgroups-root {name}: expected the name of a cgroup, such as mesos");
    }
    Ok(trimmed.to_owned())
}

/// Mesos' `Firewall` (`src/messages/flags.proto`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    #[serde(default)]
    disabled_endpoints: Disabled,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disabled {
    #[serde(default)]
    paths: BTreeSet<String>,
}

fn disabled(given: &str) -> anyhow::Result<BTreeSet<String>> {
    let text = json_or_file("--firewall-rules", given, RULES)?;
    let rules: Result<Rules, _> = serde_json::from_str(&text);
    let rules = rules.map_err(|error| anyhow!("--firewall-rules: {error}; {RULES}"))?;
    let paths = rules.disabled_endpoints.paths;
    if let Some(odd) = paths.iter().find(|path| !path.starts_with('/')) {
        bail!("--firewall-rules: '{odd}' is no path; {RULES}");
    }
    let paths = paths
        .iter()
        .map(|path| path.trim_end_matches('/').to_owned());
    Ok(paths.collect())
}

/// The address to listen on: the one named, or what a command prints.
pub(super) fn ip(file: &AgentFile) -> anyhow::Result<IpAddr> {
    match (file.ip, &file.ip_discovery_command) {
        (Some(_), Some(_)) => {
            bail!("Only one of `--ip` or `--ip_discovery_command` should be specified")
        }
        (Some(ip), None) => Ok(ip),
        (None, None) => Ok(IpAddr::from([127, 0, 0, 1])),
        (None, Some(command)) => discovered(command),
    }
}

fn discovered(command: &str) -> anyhow::Result<IpAddr> {
    let expected = "expected a command that prints an address of this machine";
    let output = Command::new("/bin/sh").args(["-c", command]).output();
    let output =
        output.map_err(|error| anyhow!("--ip-discovery-command {command}: {error}; {expected}"))?;
    if !output.status.success() {
        bail!(
            "--ip-discovery-command {command}: {}; {expected}",
            output.status
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    let parsed: Option<IpAddr> = text.parse().ok();
    parsed.with_context(|| {
        format!("--ip-discovery-command {command}: it printed '{text}'; {expected}")
    })
}

/// `--gpu-devices`, also as Mesos has them: Nvidia's by number.
pub(super) fn gpus(file: &AgentFile) -> anyhow::Result<Option<String>> {
    let Some(numbers) = &file.nvidia_gpu_devices else {
        return Ok(file.gpu_devices.clone());
    };
    if file.gpu_devices.is_some() {
        bail!("Only one of --gpu-devices and --nvidia-gpu-devices should be specified");
    }
    let expected =
        "expected numbers with commas between, such as 0,1; others than Nvidia's are --gpu-devices";
    let paths = numbers.split(',').map(str::trim).map(|number| {
        let number: Option<u32> = number.parse().ok();
        number.map(|number| format!("/dev/nvidia{number}"))
    });
    let paths: Option<Vec<String>> = paths.collect();
    let paths = paths.with_context(|| format!("--nvidia-gpu-devices {numbers}: {expected}"))?;
    Ok(Some(paths.join(",")))
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
