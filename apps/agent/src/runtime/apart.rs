//! What a container shares with another one: what its checks and sessions see, and what it is set apart from.

use std::collections::BTreeMap;

use tepui_containers::{LaunchSpec, Namespaces, ProcessId, View, networks::Joined};
use tepui_messages::containers::{Confinement, LaunchOrder};

use super::{Inner, leftovers::is_check, network};
use crate::isolation::Around;

impl Inner {
    /// What the container shares with its machine, and with the container around it.
    pub(super) fn set_apart(
        &self,
        confinement: &Confinement,
        spec: &mut LaunchSpec,
        is_session: bool,
        joined: Option<&Joined>,
    ) -> Result<(), String> {
        let outer = spec.container_id.rsplit_once('.').map(|(outer, _)| outer);
        let enters_image = outer.filter(|_| is_session).is_some_and(|outer| {
            let images = self.images.as_ref();
            images.is_ok_and(|images| images.beginning(outer).is_ok())
        });
        let has_image = spec.root.is_some() || spec.view.is_some() || enters_image;
        let outer = outer.map(|outer| {
            self.handle(outer)
                .ok_or("the container around it has ended")
        });
        let outer = outer.transpose()?.map(|outer| outer.command());
        let around = outer.map(around).transpose()?;
        self.isolation.apply(confinement, spec, has_image, around)?;
        spec.outer = outer.filter(|_| spec.namespaces.shares_outer());
        if let Some(joined) = joined {
            network::show(joined, spec);
        }
        let is_apart = spec.namespaces != Namespaces::default();
        let is_root = rustix::process::geteuid().is_root();
        // Without root the kernel takes a filter only from who gives up what rights he could gain.
        spec.no_new_privs |= !spec.seccomp.is_empty() && !is_root;
        check_rights(spec)?;
        // A check is where the container is that it asks after.
        if is_check(&spec.container_id) && is_apart && spec.view.is_none() {
            spec.enter = outer;
            spec.mounts.clear();
            spec.secrets.clear();
        }
        Ok(())
    }

    /// What the command of a check sees, and what it begins with.
    pub(super) fn view(&self, order: &mut LaunchOrder) -> Result<Option<View>, String> {
        let Some(outer) = &order.view_of else {
            return Ok(None);
        };
        let images = self.images.as_ref().map_err(Clone::clone)?;
        let running = self.handle(outer);
        let running = running.ok_or_else(|| format!("the container {outer} does not run"))?;
        let beginning = images.beginning(outer)?;
        let mut env: BTreeMap<String, String> = beginning.env.into_iter().collect();
        env.extend(std::mem::take(&mut order.env));
        order.env = env.into_iter().collect();
        order.working_dir = beginning.working_dir;
        order.user = order.user.take().or(beginning.user);
        // They are where the container has them.
        order.confinement.mounts.clear();
        Ok(Some(View {
            of: running.command(),
            sandbox: beginning.sandbox,
        }))
    }
}

/// Errors: namespaces, and an agent that can make none.
pub(super) fn check_rights(spec: &LaunchSpec) -> Result<(), String> {
    let is_apart = spec.namespaces != Namespaces::default();
    match is_apart && !rustix::process::geteuid().is_root() {
        true => Err("Namespaces of its own need an agent that runs as root".to_owned()),
        false => Ok(()),
    }
}

/// What a container, by its command, does not share with the machine.
///
/// Errors: it has ended.
fn around(command: ProcessId) -> Result<Around, String> {
    let is_apart = |name: &str| -> std::io::Result<bool> {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{name}"));
        Ok(of(&command.pid.to_string())? != of("self")?)
    };
    let ended = |_| "the container around it has ended".to_owned();
    Ok(Around {
        pids: is_apart("pid").map_err(ended)?,
        ipc: is_apart("ipc").map_err(ended)?,
    })
}
