//! What sets a container apart, as the agent orders it of whatever runs containers.

use std::path::PathBuf;

use tepui_protocol::v1::r_limit_info::RLimit;

use crate::containers::RootDirectory;

/// What sets a container apart from the rest of its machine, besides its amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Those of one process; without soft and hard the resource is unlimited.
    pub rlimits: Vec<RLimit>,
    /// `None` leaves them to the user.
    pub capabilities: Option<Capabilities>,
    /// Mounted at the launch, for this container alone.
    pub mounts: Vec<MountOrder>,
    /// Whether it sees the processes of the container around it, or of the machine; `None` is the agent's choice.
    pub shares_pids: Option<bool>,
    /// `None` is the agent's choice.
    pub ipc: Option<Ipc>,
    /// What the machine is called there; `None` leaves its name.
    pub hostname: Option<String>,
    /// `None` is the agent's choice.
    pub seccomp: Option<Seccomp>,
}

/// Whose System V objects, message queues and `/dev/shm` a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipc {
    /// Its own; `/dev/shm` has so many megabytes, or what the agent gives.
    Private { shm_mb: Option<u32> },
    /// Those of the container around it, or of the machine.
    Shared,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    All,
    /// Those of a profile.
    Profile(String),
}

/// Capabilities as bits, by Linux' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What the command and its descendants can ever have.
    pub bounding: u64,
    /// What it begins with, whoever its user is; `None` leaves that to the user.
    pub effective: Option<u64>,
}

impl Capabilities {
    /// Of these what `most` has too.
    pub fn within(self, most: Self) -> Self {
        let bounding = self.bounding & most.bounding;
        Self {
            bounding,
            effective: self.effective.map(|effective| effective & bounding),
        }
    }
}

/// What a container sees in another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOrder {
    pub source: MountSource,
    /// Where; a relative one lies in the sandbox, an absolute one must be there.
    pub container_path: PathBuf,
    pub read_only: bool,
    /// What the command mounts beneath it is seen on the machine too.
    pub propagates: bool,
}

/// What nobody is to see but whom it is for: it says nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretData(pub Vec<u8>);

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretData")
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A directory or file of the host, which must be there.
    Host(PathBuf),
    /// A directory of the agent's own that it shows by itself: nobody asks for it.
    Own(PathBuf),
    /// A directory of the sandbox, made where it is missing.
    Sandbox(PathBuf),
    /// A persistent volume's directory, which is given to the command's user.
    Persistent(PathBuf),
    /// A directory of the outer container's sandbox, made where it is missing.
    Outer { sandbox: PathBuf, path: PathBuf },
    /// The files of an image, to write on a layer of the container's own.
    Image { name: String, cached: bool },
    /// What [`crate::containers::ContainerRuntime::provision_volume`] made of them.
    Root(RootDirectory),
    /// A file that is in memory only, and the command's user's.
    Secret(SecretData),
}
