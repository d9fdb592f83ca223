//! An agent's flags about images of containers.

use std::{collections::BTreeSet, time::Duration};

use anyhow::bail;
use serde::Deserialize;
use tepui_agent::{
    ImageGc, ImageSettings,
    images::{Backend, Reference},
};

use super::{AgentFile, json_or_file, one_line};

const EXPECTED_GC: &str = r#"expected JSON such as {"image_disk_headroom": 0.1, "image_disk_watch_interval": {"nanoseconds": 3600000000000}, "excluded_images": []}, or the path of a file that holds it"#;
const DEFAULT_HEADROOM: f64 = 0.1;
const DEFAULT_INTERVAL: Duration = Duration::from_hours(1);

/// Mesos' `ImageGcConfig`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GcConfig {
    image_disk_headroom: Option<f64>,
    image_disk_watch_interval: Option<Interval>,
    #[serde(default)]
    excluded_images: Vec<Image>,
}

#[derive(Deserialize)]
struct Interval {
    nanoseconds: u64,
}

#[derive(Deserialize)]
struct Image {
    docker: Option<Docker>,
}

#[derive(Deserialize)]
struct Docker {
    name: String,
}

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<ImageSettings> {
    let defaults = ImageSettings::default();
    let backend = match file.image_provisioner_backend.as_deref() {
        None => None,
        Some("overlay") => Some(Backend::Overlay),
        Some("copy") => Some(Backend::Copy),
        Some(other) => bail!(
            "--image-provisioner-backend {other}: expected overlay or copy, or nothing for what this machine does best"
        ),
    };
    let registry = file.docker_registry.clone().unwrap_or(defaults.registry);
    let store_dir = file.docker_store_dir.clone();
    if let Some(dir) = store_dir.as_ref().filter(|dir| dir.is_relative()) {
        bail!(
            "--docker-store-dir {}: expected an absolute path",
            dir.display()
        );
    }
    let sandbox_directory = file.sandbox_directory.clone();
    let sandbox_directory = sandbox_directory.unwrap_or(defaults.sandbox_directory);
    let odd = |part| {
        !matches!(
            part,
            std::path::Component::RootDir | std::path::Component::Normal(_)
        )
    };
    if sandbox_directory.is_relative()
        || sandbox_directory.parent().is_none()
        || sandbox_directory.components().any(odd)
    {
        bail!(
            "--sandbox-directory {}: expected an absolute path other than /, without '..'",
            sandbox_directory.display()
        );
    }
    let logins = file.docker_config.as_deref();
    let expected = "expected the path of Docker's config.json, or what is in it";
    let logins = logins.map(|given| json_or_file("--docker-config", given, expected));
    Ok(ImageSettings {
        logins: logins.transpose()?,
        gc: file.image_gc_config.as_deref().map(gc).transpose()?,
        registry,
        store_dir,
        backend,
        ignore_runtime: file.docker_ignore_runtime.unwrap_or(false),
        sandbox_directory,
    })
}

fn gc(given: &str) -> anyhow::Result<ImageGc> {
    let text = json_or_file("--image-gc-config", given, EXPECTED_GC)?;
    let config: GcConfig = serde_json::from_str(&text).map_err(|error| {
        let reason = one_line(&error.to_string());
        anyhow::anyhow!("--image-gc-config: {reason}; {EXPECTED_GC}")
    })?;
    let headroom = config.image_disk_headroom.unwrap_or(DEFAULT_HEADROOM);
    if !(0.0..=1.0).contains(&headroom) {
        bail!("--image-gc-config: image_disk_headroom {headroom} is not between 0 and 1");
    }
    let interval = config.image_disk_watch_interval;
    let interval = interval.map(|it| Duration::from_nanos(it.nanoseconds));
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    if interval < Duration::from_secs(1) {
        bail!("--image-gc-config: image_disk_watch_interval is below a second");
    }
    let names = config
        .excluded_images
        .iter()
        .filter_map(|it| it.docker.as_ref());
    let names = names.map(|docker| {
        let parsed: Result<Reference, _> = docker.name.parse();
        let parsed = parsed.map_err(|error| anyhow::anyhow!("--image-gc-config: {error}"));
        parsed.map(|reference| reference.to_string())
    });
    Ok(ImageGc {
        headroom,
        interval,
        kept: names.collect::<anyhow::Result<BTreeSet<_>>>()?,
    })
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
