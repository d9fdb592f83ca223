//! What must be right before an agent starts: directories, the port, what it runs containers with. Owns the sentences
//! that say what is not.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, TcpListener},
    os::unix::{fs::DirBuilderExt, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use tepui_containers::{
    Cgroups, Launcher, images::Backend, networks::Networks, patience::Presence,
    sandboxes::Sandboxes, volume_gids::VolumeGids,
};
use tepui_engine::{
    DamagedLog, EngineError, Lost, Options, RocksEngine, SharedEngine, keys::AGENT_FAMILIES,
};
use tepui_node::{config::NodeConfig, fetcher::Fetcher};

use crate::{
    AgentSettings, ImageSettings, Isolation, engine, executor_socket, exposed,
    node_config::{Written, node_config},
    provisioner::{self, Provisioner},
    reserve::Reserve,
    runtime::engine::EngineContainers,
    runtime_dir,
};

/// The agent's memory, below the work directory.
const CHECKPOINT: &str = "checkpoint";
/// Which volumes have which groups, below the work directory.
const VOLUME_GIDS: &str = "volume-gids";
/// Another path of the shim, for tests and odd installations.
const SHIM_VARIABLE: &str = "TEPUI_SHIM";
const SHIM: &str = "tepui-shim";
/// Launches at one moment that find their shim begun. Each idle one holds a few hundred kilobytes.
const SPARE_SHIMS: usize = 4;
/// Sandboxes made ahead, below the work directory: as many as shims.
const SPARE_SANDBOXES: &str = "spare-sandboxes";
/// An agent that is ready to be wired.
pub(crate) struct Prepared {
    pub(crate) settings: AgentSettings,
    /// As the operator wrote it, perhaps with links, but absolute: clients that know it ask for files by it.
    pub(crate) configured_work_dir: PathBuf,
    pub(crate) config: NodeConfig,
    pub(crate) engine: SharedEngine,
    pub(crate) reserve: Reserve,
    pub(crate) listener: TcpListener,
    pub(crate) launcher: Launcher,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) presence: Presence,
    pub(crate) is_root: bool,
    pub(crate) engine_containers: Option<EngineContainers>,
    /// Or why there are no images.
    pub(crate) images: Result<Provisioner, String>,
    /// The same of networks.
    pub(crate) networks: Result<Networks, String>,
    pub(crate) fetcher: Fetcher,
    pub(crate) volume_gids: Option<Arc<VolumeGids>>,
    /// For executors.
    pub(crate) unix_listeners: Vec<UnixListener>,
}

impl Prepared {
    /// Checks and opens everything.
    pub(crate) fn new(mut settings: AgentSettings) -> anyhow::Result<Self> {
        let written = Written::read(&settings)?;
        let configured_work_dir = std::path::absolute(&settings.work_dir);
        settings.work_dir = work_dir(&settings.work_dir)?;
        let configured_work_dir = configured_work_dir.unwrap_or_else(|_| settings.work_dir.clone());
        let mut reserve = Reserve::give_up(&settings.work_dir);
        let engine = open_engine(&settings.work_dir)?;
        reserve.claim(engine.as_ref());
        let listener = listen(settings.ip, settings.port)?;
        settings.port = listener.local_addr().context("the HTTP listener")?.port();
        let is_root = rustix::process::geteuid().is_root();
        let cgroups = cgroups(&settings, is_root)?;
        let mut config = node_config(&settings, written, &cgroups, is_root);

        let launcher = Launcher::new(shim()?, cgroups, SPARE_SHIMS)
            .context("containers cannot be run here")?;
        let sandboxes = Sandboxes::new(settings.work_dir.join(SPARE_SANDBOXES), SPARE_SHIMS)
            .with_context(|| format!("--work-dir {}", settings.work_dir.display()))?;
        let runtime_dir =
            runtime_dir::find(&settings.work_dir, settings.machine.runtime_dir.as_deref())?;
        let presence = runtime_dir::take(&runtime_dir)?;
        let (engine_config, engine_containers) = engine::open(
            settings.engine.as_ref(),
            &settings.images,
            &settings.work_dir,
            &runtime_dir,
        )?
        .unzip();
        config.engine = engine_config;
        images_for(&settings.isolation, &mut settings.images)?;
        if is_root {
            exposed::warn(&settings.work_dir);
        }
        let images = match is_root {
            true => Ok(provisioner::open(
                &settings.images,
                &settings.work_dir,
                runtime_dir.clone(),
            )?),
            false => Err("images need an agent that runs as root".to_owned()),
        };
        let networks = match is_root {
            true => Ok(settings.networks.open(&settings.work_dir, &runtime_dir)?),
            false => Err("networks of its own need an agent that runs as root".to_owned()),
        };
        let executors = &settings.executors;
        let mut unix_listeners = Vec::new();
        if executors.domain_sockets {
            let location = executors.domain_socket.as_deref();
            let opened = executor_socket::open(location, &runtime_dir)?;
            config.domain_socket = Some(opened.told);
            unix_listeners = opened.listeners;
        }
        let fetcher = settings.fetching.fetcher(&settings.work_dir)?;
        let volume_gids = volume_gids(
            &settings.isolation,
            &settings.work_dir,
            &config.boot_id,
            is_root,
        )?;
        reserve.take();
        Ok(Self {
            reserve,
            images,
            engine_containers,
            networks,
            fetcher,
            volume_gids,
            unix_listeners,
            presence,
            configured_work_dir,
            settings,
            config,
            engine,
            listener,
            launcher,
            sandboxes,
            is_root,
        })
    }
}

/// Those of this machine that are wanted; the error says what is wanted and cannot be had.
fn cgroups(settings: &AgentSettings, is_root: bool) -> anyhow::Result<Cgroups> {
    let isolation = &settings.isolation;
    let (more, without) = (&isolation.controllers, &isolation.without);
    let cgroups = Cgroups::detect_with(&settings.machine.cgroups_root, more, without);
    let checked = isolation.check(&cgroups, is_root);
    checked.map_err(anyhow::Error::msg)?;
    Ok(cgroups)
}

fn volume_gids(
    isolation: &Isolation,
    work_dir: &Path,
    boot_id: &str,
    is_root: bool,
) -> anyhow::Result<Option<Arc<VolumeGids>>> {
    let Some(range) = isolation.volume_gids.clone() else {
        return Ok(None);
    };
    if !is_root {
        bail!(
            "--volume-gid-range {range}: Volume gid manager requires root privileges; leave it out, or run as root"
        );
    }
    let file = work_dir.join(VOLUME_GIDS);
    let opened = VolumeGids::open(range, file.clone(), boot_id.to_owned());
    let opened = opened.with_context(|| {
        format!(
            "--volume-gid-range: if {} is damaged, end what this agent runs, give its volumes to groups beyond the range, and \
             move that file away",
            file.display()
        )
    })?;
    Ok(Some(Arc::new(opened)))
}

/// An overlay cannot have other owners than its layers have.
fn images_for(isolation: &Isolation, images: &mut ImageSettings) -> anyhow::Result<()> {
    match (isolation.users, images.backend) {
        (None, _) | (Some(_), Some(Backend::Copy)) => Ok(()),
        (Some(_), None) => {
            images.backend = Some(Backend::Copy);
            Ok(())
        }
        (Some(_), Some(Backend::Overlay)) => bail!(
            "--user-namespace-range: the image backend 'overlay' cannot shift the owners of files; expected \
             --image-provisioner-backend copy, or none"
        ),
    }
}

/// Makes the directory where it is missing; the path as it is without links.
fn work_dir(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    let expected = "expected a directory that this user may write to";
    let mut directory = fs::DirBuilder::new();
    let made = directory.recursive(true).mode(0o755).create(path);
    made.map_err(|error| anyhow!("--work-dir {shown}: {error}; {expected}"))?;
    let real = path.canonicalize();
    let real = real.map_err(|error| anyhow!("--work-dir {shown}: {error}; {expected}"))?;
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(&real, access)
        .map_err(|error| anyhow!("--work-dir {shown}: {error}; {expected}"))?;
    Ok(real)
}

fn open_engine(work_dir: &Path) -> anyhow::Result<SharedEngine> {
    let shown = work_dir.display();
    let options = Options {
        damaged_log: DamagedLog::KeepBefore,
        ..Options::default()
    };
    match RocksEngine::open(&work_dir.join(CHECKPOINT), &AGENT_FAMILIES, &options) {
        Ok(engine) => {
            if let Some(Lost { written, found }) = engine.lost() {
                tracing::error!(
                    "--work-dir {shown}: the disk lost what was written there: {CHECKPOINT} had changes up to number {written}, \
                     those up to {found} can be read. This agent goes on with them: it ends tasks of which it knows nothing \
                     any more, and may tell an end again. If the machine did not go down, look at the disk (dmesg)"
                );
            }
            Ok(Arc::new(engine))
        }
        Err(EngineError::InUse { .. }) => bail!(
            "--work-dir {shown}: another agent runs on it; stop that one, or give this one a directory of its own"
        ),
        Err(EngineError::Damaged { reason }) => bail!(
            "--work-dir {shown}: what this agent remembers is damaged: {reason}; end what it ran (or restart the machine), \
             move {shown}/{CHECKPOINT} away and start again: it then registers as a new agent"
        ),
        Err(error) => Err(error).context(format!("--work-dir {shown}")),
    }
}

fn listen(ip: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((ip, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "--port {port}: another program listens on {ip}:{port}; stop it, or choose another port"
        ),
        ErrorKind::AddrNotAvailable => {
            anyhow!("--ip {ip}: this machine has no such address; expected one of its own")
        }
        _ => anyhow!("cannot listen on {ip}:{port}: {error}"),
    })
}

fn shim() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(SHIM_VARIABLE) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!(
            "{SHIM_VARIABLE}={}: there is no such program",
            path.display()
        );
    }
    let program = std::env::current_exe().context("where this program lies")?;
    let path = program.with_file_name(SHIM);
    if path.is_file() {
        return Ok(path);
    }
    // Cargo puts test programs one directory below the others.
    let of_tests = program
        .parent()
        .filter(|directory| directory.ends_with("deps"));
    if let Some(path) = of_tests
        .and_then(Path::parent)
        .map(|target| target.join(SHIM))
        && path.is_file()
    {
        return Ok(path);
    }
    bail!(
        "{} is missing: expected it beside {}, or its path in {SHIM_VARIABLE}",
        path.display(),
        program.display()
    )
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
