//! What comes before a container's command: its root, its sandbox, its files. And the start itself.

use std::sync::Arc;

use tepui_messages::containers::{
    ContainerRuntime, Forked, LaunchOrder, MountSource, RunningContainer,
};
use tokio::sync::{oneshot, watch};

use crate::{effect::Launch, fetcher::Fetcher, images};

/// Why there is nothing to start.
#[derive(Debug)]
pub(crate) enum Unprepared {
    /// The executor has not so much as a directory.
    Sandbox(String),
    Failed(String),
}

impl From<String> for Unprepared {
    fn from(message: String) -> Self {
        Unprepared::Failed(message)
    }
}

/// Why there is no container whose launch was called off.
const CALLED_OFF: &str = "it was killed before it started";

/// Makes its root of an image, its sandbox, and fetches into it; the error is a text for the framework.
pub(crate) async fn prepare(
    runtime: Arc<dyn ContainerRuntime>,
    fetcher: Arc<Fetcher>,
    mut launch: Launch,
    mut off: watch::Receiver<bool>,
) -> Result<LaunchOrder, Unprepared> {
    let container_id = launch.order.container_id.clone();
    let mut mounts = launch.order.confinement.mounts.iter();
    if let Some(engine) = launch.order.engine.clone() {
        let name = engine.image.clone();
        let pulled = tokio::select! {
            biased;
            Ok(_) = off.wait_for(|off| *off) => Err(CALLED_OFF.to_owned()),
            pulled = runtime.pull(*engine) => pulled.map_err(|error| told(&name, &error)),
        };
        pulled?;
        return fill(runtime.as_ref(), &fetcher, launch, off).await;
    }
    let has_image = launch.order.image.is_some();
    if !has_image && !mounts.any(|it| matches!(it.source, MountSource::Image { .. })) {
        return fill(runtime.as_ref(), &fetcher, launch, off).await;
    }
    // An image may take half an hour to come: nobody waits for it who does not want it any more.
    let completed = tokio::select! {
        biased;
        Ok(_) = off.wait_for(|off| *off) => Err(CALLED_OFF.to_owned()),
        completed = complete(runtime.as_ref(), launch.order.clone()) => completed,
    };
    let prepared = match completed {
        Ok(order) => {
            if let Some(nested) = &mut launch.nested {
                nested.user.clone_from(&order.user);
            }
            launch.order = order;
            fill(runtime.as_ref(), &fetcher, launch, off).await
        }
        Err(error) => Err(error.into()),
    };
    if prepared.is_err() {
        runtime.unprovision(container_id).await;
    }
    prepared
}

fn told(image: &str, error: &str) -> String {
    format!("The image '{image}' cannot be had: {error}")
}

/// Makes the root and the volumes that are of images.
async fn complete(
    runtime: &dyn ContainerRuntime,
    mut order: LaunchOrder,
) -> Result<LaunchOrder, String> {
    if let Some(image) = order.image.clone() {
        let name = image.name.clone();
        let made = runtime.provision(order.container_id.clone(), image).await;
        order = images::complete(order, made.map_err(|error| told(&name, &error))?)?;
    }
    let container_id = &order.container_id;
    for (number, mount) in order.confinement.mounts.iter_mut().enumerate() {
        let MountSource::Image { name, cached } = &mount.source else {
            continue;
        };
        let (id, wanted) = (container_id.clone(), name.clone());
        let made = runtime.provision_volume(id, number, wanted, *cached).await;
        mount.source = MountSource::Root(made.map_err(|error| told(name, &error))?);
    }
    Ok(order)
}

async fn fill(
    runtime: &dyn ContainerRuntime,
    fetcher: &Fetcher,
    launch: Launch,
    off: watch::Receiver<bool>,
) -> Result<LaunchOrder, Unprepared> {
    let Launch {
        order,
        uris,
        nested,
    } = launch;
    match nested {
        Some(nested) => runtime.prepare_nested(nested).await?,
        // It uses the sandbox of the container around it.
        None if order.switchboard.is_some_and(|it| it.is_session) => {}
        None => {
            let made = runtime.prepare(order.sandbox.clone(), order.user.clone());
            made.await.map_err(Unprepared::Sandbox)?;
        }
    }
    if !order.volumes.is_empty() {
        let (sandbox, user) = (order.sandbox.clone(), order.user.clone());
        let linked = runtime.link_volumes(sandbox, user, order.volumes.clone());
        linked.await?;
    }
    if uris.is_empty() {
        fetcher.nothing_asked();
    } else {
        // Files may take half an hour to come.
        let (asked, user) = (off.clone(), order.user.as_deref());
        let fetched = fetcher.fetch_unless(called_off(off), &uris, &order.sandbox, user);
        fetched.await.map_err(|error| match *asked.borrow() {
            true => CALLED_OFF.to_owned(),
            false => format!(
                "Failed to fetch all URIs for container '{}': {error}",
                order.container_id
            ),
        })?;
    }
    Ok(order)
}

async fn called_off(mut off: watch::Receiver<bool>) {
    if off.wait_for(|off| *off).await.is_err() {
        // Nobody is left who could.
        std::future::pending().await
    }
}

/// Starts what was prepared, unless it was called off meanwhile.
pub(crate) async fn start(
    runtime: Arc<dyn ContainerRuntime>,
    order: LaunchOrder,
    off: watch::Receiver<bool>,
    forked: oneshot::Sender<Forked>,
) -> Result<RunningContainer, String> {
    if *off.borrow() {
        runtime.unprovision(order.container_id).await;
        return Err(CALLED_OFF.to_owned());
    }
    runtime.launch(order, forked).await
}
