//! Orders become launch specs.

use std::ffi::OsString;

use tepui_containers::{
    Command, LaunchSpec, Namespaces, Patience, Rlimit, RlimitKind, networks::Joined, spec::HOLDER,
};
use tepui_kit::descriptors;
use tepui_messages::containers::{self, LaunchOrder, MountSource};

use super::{Inner, apart, volume_groups};
use crate::{confinement, numbers::limits, provisioner, streams};

impl Inner {
    pub(super) fn spec(
        &self,
        mut order: LaunchOrder,
        joined: Option<Joined>,
    ) -> Result<LaunchSpec, String> {
        let view = self.view(&mut order)?;
        let runtime_dir = self.dir(&order.container_id);
        let root = provisioner::root(&order, &runtime_dir)?;
        let holds = order.is_holder;
        let command = if holds {
            Command::Program {
                program: self.launcher.shim().into(),
                argv: vec![HOLDER.into()],
            }
        } else {
            Command::Program {
                program: order.program.into(),
                argv: order.argv.into_iter().map(OsString::from).collect(),
            }
        };
        let gpus = order.amounts.gpus;
        self.gpus()
            .assign(&order.container_id, gpus, &runtime_dir, |_| Ok(()))?;
        let mut spec = LaunchSpec::new(order.container_id, order.sandbox, runtime_dir, command);
        let rotation = self.logger.rotation(&order.env)?;
        // A holder is the agent's own program, which others may have no right to reach, and nobody's variables reach it.
        if !holds {
            let variables = order.env.into_iter();
            spec.env = variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            spec.credentials = self.users.credentials(order.user.as_deref())?;
            spec.rotation = rotation;
            let gids = self.volume_gids.as_deref();
            for volume in order.volumes {
                let source = MountSource::Persistent(volume.source);
                volume_groups::admit(gids, &mut spec, &source)?;
            }
            self.share_groups(&mut spec);
        }
        spec.limits = limits(&order.amounts);
        self.isolation.limit(&mut spec.limits);
        spec.root = root;
        spec.view = view;
        spec.working_dir = order.working_dir;
        spec.patience = order.patience.map(|it| self.until_forsaken(it));
        confinement::apply(
            &order.confinement,
            &self.host_files,
            self.volume_gids.as_deref(),
            &mut spec,
        )?;
        spec.rlimits.extend(open_files(&spec.rlimits));
        if !holds {
            let is_session = order.switchboard.is_some_and(|it| it.is_session);
            self.set_apart(&order.confinement, &mut spec, is_session, joined.as_ref())?;
            let gpus = self.gpus().of(&spec.container_id);
            self.isolation.devices(&mut spec, &gpus);
        } else {
            spec.namespaces = self.isolation.of_holder(&order.confinement)?;
            apart::check_rights(&spec)?;
            spec.network = joined.as_ref().map(Joined::namespace);
        }
        if let Some(switchboard) = order.switchboard {
            let outer = spec.container_id.rsplit_once('.').map(|(outer, _)| outer);
            if switchboard.is_session
                && spec.view.is_none()
                && outer.is_some_and(|it| self.has_root(it))
            {
                return Err("a session within a container that has an image and is no task's cannot be had: nobody kept \
                     what it is confined to"
                    .to_owned());
            }
            let outer = outer.and_then(|outer| self.handle(outer));
            let command = outer.map(|outer| outer.command());
            streams::keep(&mut spec, switchboard, command)?;
        }
        if spec.enter.is_some() || spec.view.is_some() {
            spec.namespaces = Namespaces::default();
            spec.outer = None;
            spec.network = None;
        }
        Ok(spec)
    }

    fn until_forsaken(&self, ordered: containers::Patience) -> Patience {
        Patience {
            presence: self.presence.path().to_owned(),
            timeout: ordered.timeout,
            grace: ordered.grace,
        }
    }

    /// Whether the container sees the files of an image.
    fn has_root(&self, container_id: &str) -> bool {
        let images = self.images.as_ref();
        images.is_ok_and(|images| images.beginning(container_id).is_ok())
    }
}

/// A command gets the bound on open files that the agent was started with, not the one it took for itself.
fn open_files(ordered: &[Rlimit]) -> Option<Rlimit> {
    let is_ordered = ordered.iter().any(|it| it.kind == RlimitKind::OpenFiles);
    let (soft, hard) = descriptors::before().filter(|_| !is_ordered)?;
    Some(Rlimit {
        kind: RlimitKind::OpenFiles,
        soft,
        hard,
    })
}

#[cfg(test)]
#[path = "specs_tests.rs"]
mod tests;
