//! What sets every container apart that does not ask for something else, and what it may ask for. Pure.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tepui_containers::{
    Capabilities, Cgroups, LaunchSpec, Limits, Namespaces, UserRange,
    devices::{Access, DEFAULTS, Device},
    limits::Controller,
    seccomp::Profiles,
    volume_gids::GidRange,
};
use tepui_messages::containers::{Confinement, Ipc, Seccomp};

const MEGABYTE: u64 = 1 << 20;

/// The capabilities of a command with an image that does not ask for others, as bits by Linux' numbers: what Docker gives
/// (CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, AUDIT_WRITE,
/// SETFCAP), without MKNOD and NET_RAW.
const OF_IMAGES: u64 = {
    let numbers = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31];
    let (mut bits, mut at) = (0, 0);
    while at < numbers.len() {
        bits |= 1 << numbers[at];
        at += 1;
    }
    bits
};

/// The agent's own choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Containers without images too have process ids of their own (Mesos: `namespaces/pid`).
    pub pids: bool,
    /// The same of System V objects, message queues and `/dev/shm` (`namespaces/ipc`).
    pub ipc: bool,
    /// Set-user-id programs give rights to no command (`linux/nnp`).
    pub no_new_privs: bool,
    /// Containers without images too make only the calls of the default profile (`linux/seccomp`).
    pub seccomp: bool,
    /// The profiles of system calls there are (`--seccomp_config_dir`, `--seccomp_profile_name`).
    pub profiles: Arc<Profiles>,
    /// What a container begins with that asks for nothing, as bits (`--effective_capabilities`).
    pub effective: Option<u64>,
    /// What a container can ever have (`--bounding_capabilities`).
    pub bounding: Option<u64>,
    /// The optional controllers that containers join (`cgroups/devices`, `cgroups/cpuset`, `cgroups/blkio`).
    pub controllers: BTreeSet<Controller>,
    /// The usual ones that they do not join: nothing limits them then (`posix/cpu`, `posix/mem`).
    pub without: BTreeSet<Controller>,
    /// Devices that every container may have besides the usual ones (`--allowed_devices`).
    pub allowed_devices: Vec<(Device, Access)>,
    /// Containers with images find those in `/dev` (`linux/devices`).
    pub device_nodes: bool,
    /// Whole GPUs.
    pub gpus: Vec<Device>,
    /// The CPUs of a task are a hard limit too (`--cgroups_enable_cfs`).
    pub limit_cpus: bool,
    /// A limit of memory is one of memory and swap together (`--cgroups_limit_swap`).
    pub limit_swap: bool,
    /// CPUs that were only lent weigh next to nothing (`--revocable_cpu_low_priority`).
    pub lent_cpus_give_way: bool,
    /// The users of containers with images are these of the machine's; `None`: they are the machine's own.
    pub users: Option<UserRange>,
    /// Processes and threads of a container and those within it; `None`: as many as the machine takes.
    pub max_processes: Option<u64>,
    /// Where a container has a `/dev/shm` of its own and says nothing; `None`: half of the memory.
    pub shm_mb: Option<u32>,
    /// Nobody may ask for the machine's process ids, or for its IPC.
    pub keep_pids: bool,
    pub keep_ipc: bool,
    /// Directories beneath which those that volumes name are made where they are missing (Mesos:
    /// `--host_path_volume_force_creation`).
    pub made_for_volumes: Vec<PathBuf>,
    /// Nobody may name files of the machine as volumes (Mesos: without the isolator `volume/host_path`).
    pub no_host_volumes: bool,
    /// The groups by which users share volumes (`--volume_gid_range`).
    pub volume_gids: Option<GidRange>,
}

impl Default for Isolation {
    /// As many processes as Docker's and systemd's defaults come to, and nothing of the rest.
    fn default() -> Self {
        Self {
            pids: false,
            ipc: false,
            no_new_privs: false,
            seccomp: false,
            profiles: Arc::default(),
            effective: None,
            bounding: None,
            controllers: BTreeSet::new(),
            without: BTreeSet::new(),
            allowed_devices: Vec::new(),
            device_nodes: false,
            gpus: Vec::new(),
            limit_cpus: false,
            limit_swap: false,
            lent_cpus_give_way: true,
            users: None,
            max_processes: Some(4096),
            shm_mb: None,
            keep_pids: false,
            keep_ipc: false,
            made_for_volumes: Vec::new(),
            no_host_volumes: false,
            volume_gids: None,
        }
    }
}

impl Isolation {
    /// Completes `spec`, which is whole otherwise. `has_image`: it sees an image's files. `around`: the container around it.
    ///
    /// Errors: what the agent does not allow or know, in words for the framework.
    pub(crate) fn apply(
        &self,
        confinement: &Confinement,
        spec: &mut LaunchSpec,
        has_image: bool,
        around: Option<Around>,
    ) -> Result<(), String> {
        spec.limits.processes = self.max_processes;
        self.limit(&mut spec.limits);
        self.capabilities(spec, has_image)?;
        self.users(spec)?;
        spec.no_new_privs |= self.no_new_privs;
        spec.namespaces = self.namespaces(confinement, has_image, around)?;
        let profile = match &confinement.seccomp {
            None if has_image || self.seccomp => Some(None),
            None | Some(Seccomp::All) => None,
            Some(Seccomp::Profile(name)) => Some(Some(name.as_str())),
        };
        if let Some(name) = profile {
            let capabilities = spec.capabilities.map_or(u64::MAX, |it| it.bounding);
            spec.seccomp = self.profiles.filters(name, capabilities)?;
        }
        Ok(())
    }

    /// Completes the amounts of a container.
    pub(crate) fn limit(&self, limits: &mut Limits) {
        limits.limit_swap = self.limit_swap;
    }

    /// Which devices a container may have, and finds; `gpus` are those it was given.
    pub(crate) fn devices(&self, spec: &mut LaunchSpec, gpus: &[Device]) {
        let gpus = gpus.iter().map(|gpu| (gpu, Access::ALL));
        let allowed = self
            .allowed_devices
            .iter()
            .map(|(device, access)| (device, *access));
        if self.controllers.contains(&Controller::Devices) {
            let more = allowed.clone().chain(gpus.clone());
            let more = more.map(|(device, access)| device.rule(access));
            spec.devices = Some(DEFAULTS.into_iter().chain(more).collect());
        }
        let allowed = allowed.filter(|_| self.device_nodes);
        let nodes = allowed.chain(gpus);
        spec.device_nodes = nodes
            .filter_map(|(device, access)| device.node(access))
            .collect();
    }

    /// Whether this machine can do all that.
    ///
    /// Errors: what it cannot, in words for the operator.
    pub(crate) fn check(&self, cgroups: &Cgroups, is_root: bool) -> Result<(), String> {
        let needs_root = [
            (
                "--effective-capabilities and --bounding-capabilities",
                self.effective.or(self.bounding).is_some(),
            ),
            ("--user-namespace-range", self.users.is_some()),
        ];
        let mut beyond = needs_root.iter().filter(|(_, is_on)| *is_on && !is_root);
        if let Some((what, _)) = beyond.next() {
            return Err(format!("{what}: expected an agent that runs as root"));
        }
        let missing = self.controllers.iter().find(|it| !cgroups.has(**it));
        if let Some(controller) = missing {
            let name = controller.name();
            let also = match (controller, self.gpus.is_empty()) {
                (Controller::Devices, false) => ", which --gpu-devices needs too",
                _ => "",
            };
            return Err(format!(
                "--isolation cgroups/{name}{also}: this agent has no cgroup controller '{name}'; leave it out, or run as \
                 root where it is mounted (cgroup v2 has none for devices)"
            ));
        }
        if self.limit_swap && !cgroups.can_limit_swap() {
            return Err(
                "--cgroups-limit-swap: this kernel has no memory.memsw.limit_in_bytes; leave it out, or start the kernel \
                 with swapaccount=1".to_owned(),
            );
        }
        Ok(())
    }

    /// What a command can have and begins with (Mesos: `isolators/linux/capabilities.cpp`).
    fn capabilities(&self, spec: &mut LaunchSpec, has_image: bool) -> Result<(), String> {
        let asked = spec.capabilities;
        if let (Some(asked), Some(most)) = (asked, self.bounding)
            && asked.bounding & !most != 0
        {
            return Err(format!(
                "Bounding capabilities {:#x} were asked for, but this agent allows only {most:#x} (bits by Linux' numbers)",
                asked.bounding
            ));
        }
        let effective = asked.and_then(|it| it.effective).or(self.effective);
        let of_image = has_image.then_some(OF_IMAGES);
        let bounding = asked.map(|it| it.bounding).or(self.bounding);
        let Some(bounding) = bounding.or(self.effective).or(of_image) else {
            return Ok(());
        };
        // What the operator lets all begin with may be more than this one wants to have at all.
        let effective = effective.map(|it| it & bounding);
        spec.capabilities = Some(Capabilities {
            bounding,
            effective,
        });
        Ok(())
    }

    /// Users of the machine's only where it sees the machine's files.
    fn users(&self, spec: &mut LaunchSpec) -> Result<(), String> {
        spec.users = self.users.filter(|_| spec.root.is_some());
        let (Some(range), Some(owner)) = (spec.users, &spec.credentials) else {
            return Ok(());
        };
        let mut numbers = [owner.uid, owner.gid]
            .into_iter()
            .chain(owner.groups.iter().copied());
        match numbers.find(|number| *number >= range.count) {
            None => Ok(()),
            Some(number) => Err(format!(
                "The number {number} of its user or of one of his groups is beyond the {} that --user-namespace-range gives \
                 containers",
                range.count
            )),
        }
    }

    /// What holds containers has for itself, so that they share it with each other and not with the machine.
    ///
    /// Errors: as of [`Self::namespaces`].
    pub(crate) fn of_holder(&self, confinement: &Confinement) -> Result<Namespaces, String> {
        let namespaces = self.namespaces(confinement, false, None)?;
        // Its name is nobody's: each container has its own.
        Ok(Namespaces {
            names: false,
            hostname: None,
            ..namespaces
        })
    }

    /// What the container has for itself, and what it shares with the one around it: what that shares with the machine
    /// is the machine's.
    ///
    /// Errors: what the agent does not allow, in words for the framework.
    pub(crate) fn namespaces(
        &self,
        confinement: &Confinement,
        has_image: bool,
        around: Option<Around>,
    ) -> Result<Namespaces, String> {
        let outer = around.unwrap_or_default();
        let shared = |is_kept: bool, what: &str| match is_kept {
            true => Err(format!(
                "This agent does not let containers share its {what}"
            )),
            false => Ok(false),
        };
        let pids = match confinement.shares_pids {
            None => has_image || self.pids,
            Some(true) => shared(self.keep_pids && !outer.pids, "namespace of process ids")?,
            Some(false) => true,
        };
        let (ipc, shm_mb) = match confinement.ipc {
            // A task of a group finds what the others have put there, unless its files are an image's.
            None => (has_image || (self.ipc && around.is_none()), None),
            Some(Ipc::Shared) => {
                let what = "IPC namespace and /dev/shm";
                (shared(self.keep_ipc && !outer.ipc, what)?, None)
            }
            Some(Ipc::Private { shm_mb }) => (true, shm_mb),
        };
        let shm_mb = shm_mb.or(self.shm_mb).filter(|_| ipc);
        Ok(Namespaces {
            pids,
            ipc,
            outer_pids: !pids && outer.pids,
            outer_ipc: !ipc && outer.ipc,
            names: has_image || confinement.hostname.is_some(),
            machine_shm: confinement.ipc == Some(Ipc::Shared) && !outer.ipc,
            shm_bytes: shm_mb.map(|it| u64::from(it) * MEGABYTE),
            hostname: confinement.hostname.as_ref().map(Into::into),
        })
    }
}

/// What a container around another one does not share with the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Around {
    pub(crate) pids: bool,
    pub(crate) ipc: bool,
}

#[cfg(test)]
#[path = "isolation_tests.rs"]
mod tests;
