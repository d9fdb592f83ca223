//! An agent's flags about devices.

use std::{collections::BTreeSet, path::Path};

use anyhow::{anyhow, bail};
use tepui_agent::devices::{Access, Device};
use tepui_protocol::{
    codec::{Limits, json},
    v1::DeviceWhitelist,
};

use super::{json_or_file, one_line};

const ALLOWED: &str = r#"expected JSON such as {"allowed_devices": [{"device": {"path": "/dev/fuse"}, "access": {"read": true, "write": true}}]}, or the path of a file that holds it"#;

/// `--allowed-devices`: Mesos' `DeviceWhitelist`.
pub(super) fn allowed(given: Option<&str>) -> anyhow::Result<Vec<(Device, Access)>> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    let wrong = |reason: &str| anyhow!("--allowed-devices: {reason}; {ALLOWED}");
    let text = json_or_file("--allowed-devices", given, ALLOWED)?;
    let list: DeviceWhitelist = json::decode(text.as_bytes(), &Limits::HTTP)
        .map_err(|error| wrong(&one_line(&error.to_string())))?;
    let devices = list.allowed_devices.iter().map(|it| {
        let Some(path) = &it.device.path else {
            return Err(wrong("Whitelisted device has no device path provided"));
        };
        let access = Access {
            read: it.access.read.unwrap_or(false),
            write: it.access.write.unwrap_or(false),
            mknod: it.access.mknod.unwrap_or(false),
        };
        if access == Access::default() {
            return Err(wrong(&format!(
                "Could not whitelist device '{path}' without any access privileges"
            )));
        }
        let device = Device::at(Path::new(path)).map_err(|reason| wrong(&reason))?;
        Ok((device, access))
    });
    devices.collect()
}

/// `--gpu-devices`: paths, with commas between.
pub(super) fn gpus(given: Option<&str>) -> anyhow::Result<Vec<Device>> {
    let expected = "expected the paths of devices such as /dev/nvidia0,/dev/nvidia1, each once";
    let paths = given.unwrap_or_default().split(',').map(str::trim);
    let paths = paths.filter(|path| !path.is_empty());
    let devices = paths.map(|path| {
        if !path.starts_with("/dev/") {
            bail!("--gpu-devices: '{path}' does not lie in /dev; {expected}");
        }
        Device::at(Path::new(path)).map_err(|reason| anyhow!("--gpu-devices: {reason}; {expected}"))
    });
    let devices: Vec<Device> = devices.collect::<anyhow::Result<_>>()?;
    let numbers = devices.iter().map(|it| (it.kind, it.major, it.minor));
    if numbers.collect::<BTreeSet<_>>().len() < devices.len() {
        bail!("--gpu-devices: one device stands there twice; {expected}");
    }
    Ok(devices)
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
