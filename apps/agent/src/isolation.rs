//! What sets every container apart that does not ask for something else, and what it may ask for. Pure.

use std::path::PathBuf;

use tepui_containers::{LaunchSpec, Namespaces, seccomp};
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
}

impl Default for Isolation {
    /// As many processes as Docker's and systemd's defaults come to, and nothing of the rest.
    fn default() -> Self {
        Self {
            pids: false,
            ipc: false,
            no_new_privs: false,
            seccomp: false,
            max_processes: Some(4096),
            shm_mb: None,
            keep_pids: false,
            keep_ipc: false,
            made_for_volumes: Vec::new(),
        }
    }
}

impl Isolation {
    /// Completes `spec`, which is whole otherwise. `has_image`: it sees an image's files. `is_inner`: it is within another
    /// container.
    ///
    /// Errors: what the agent does not allow or know, in words for the framework.
    pub(crate) fn apply(
        &self,
        confinement: &Confinement,
        spec: &mut LaunchSpec,
        has_image: bool,
        is_inner: bool,
    ) -> Result<(), String> {
        spec.limits.processes = self.max_processes;
        spec.no_new_privs |= self.no_new_privs;
        spec.namespaces = self.namespaces(confinement, has_image, is_inner)?;
        if has_image && spec.capabilities.is_none() {
            spec.capabilities = Some(tepui_containers::Capabilities {
                bounding: OF_IMAGES,
                effective: None,
            });
        }
        let is_filtered = match &confinement.seccomp {
            None => has_image || self.seccomp,
            Some(Seccomp::All) => false,
            Some(Seccomp::Profile(name)) if name == seccomp::DEFAULT_PROFILE => true,
            Some(Seccomp::Profile(name)) => {
                return Err(format!(
                    "This agent has no Seccomp profile '{name}'; expected '{}'",
                    seccomp::DEFAULT_PROFILE
                ));
            }
        };
        if is_filtered {
            let capabilities = spec.capabilities.map_or(u64::MAX, |it| it.bounding);
            spec.seccomp = seccomp::default_profile(capabilities)?;
        }
        Ok(())
    }

    fn namespaces(
        &self,
        confinement: &Confinement,
        has_image: bool,
        is_inner: bool,
    ) -> Result<Namespaces, String> {
        // What holds containers shares the machine's, so theirs do if they share.
        let shared = |kept: bool, what: &str| match kept {
            true => Err(format!(
                "This agent does not let containers share its {what}"
            )),
            false => Ok(false),
        };
        let pids = match confinement.shares_pids {
            None => has_image || self.pids,
            Some(true) => shared(self.keep_pids, "namespace of process ids")?,
            Some(false) => true,
        };
        let (ipc, shm_mb) = match confinement.ipc {
            // A task of a group finds what the others have put there, unless its files are an image's.
            None => (has_image || (self.ipc && !is_inner), None),
            Some(Ipc::Shared) => (shared(self.keep_ipc, "IPC namespace and /dev/shm")?, None),
            Some(Ipc::Private { shm_mb }) => (true, shm_mb),
        };
        let shm_mb = shm_mb.or(self.shm_mb).filter(|_| ipc);
        Ok(Namespaces {
            pids,
            ipc,
            names: has_image || confinement.hostname.is_some(),
            machine_shm: confinement.ipc == Some(Ipc::Shared),
            shm_bytes: shm_mb.map(|it| u64::from(it) * MEGABYTE),
            hostname: confinement.hostname.as_ref().map(Into::into),
        })
    }
}

#[cfg(test)]
#[path = "isolation_tests.rs"]
mod tests;
