//! What must be right before an agent starts: directories, the port, the texts of resources and attributes. Owns
//! the sentences that say what is not.

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::unix::{fs::DirBuilderExt, net::UnixListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use tepui_containers::{
    Cgroups, Launcher, images::Backend, limits::Controller, networks::Networks, patience::Presence,
    sandboxes::Sandboxes, volume_gids::VolumeGids,
};
use tepui_engine::{
    DamagedLog, EngineError, Lost, Options, RocksEngine, SharedEngine, keys::AGENT_FAMILIES,
};
use tepui_node::{
    config::{Enforced, NodeConfig},
    controllers::{self, QosController},
    detect,
    estimators::{self, ResourceEstimator},
    fetcher::Fetcher,
};
use tepui_protocol::{
    resources::Resources,
    roles,
    v1::{
        AgentInfo,
        resource::{ReservationInfo, reservation_info},
    },
    values::parse_attributes,
};

use crate::{
    AgentSettings, ImageSettings, Isolation, LendingSettings, engine, executor_socket, exposed,
    lacks,
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
/// Where programs are found if nobody says so (Mesos: `os::host_default_path`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of the agent's own environment its executors are given this alone, as by Mesos: the address that programs on libprocess
/// listen at, which they look up by the machine's name else.
const ADDRESS_VARIABLE: &str = "LIBPROCESS_IP";

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
        let role = settings.machine.default_role.clone();
        let mut given = resources(settings.resources.as_deref(), &role)?;
        own_gpus(&mut given, settings.isolation.gpus.len(), &role)?;
        let attributes = settings.attributes.as_deref().unwrap_or_default();
        let attributes = parse_attributes(attributes).map_err(|reason| {
            anyhow!(
                "--attributes: {reason}; expected name:value pairs, such as 'rack:r1;gen:[1-5]'"
            )
        })?;
        let (estimator, controller) = lending(&settings.lending)?;
        let configured_work_dir = std::path::absolute(&settings.work_dir);
        settings.work_dir = work_dir(&settings.work_dir)?;
        let mut reserve = Reserve::give_up(&settings.work_dir);
        let engine = open_engine(&settings.work_dir)?;
        reserve.claim(engine.as_ref());
        let listener = listen(settings.ip, settings.port)?;
        settings.port = listener.local_addr().context("the HTTP listener")?.port();
        let info = AgentInfo {
            hostname: settings.hostname.clone(),
            port: Some(i32::from(
                settings.machine.advertise_port.unwrap_or(settings.port),
            )),
            resources: offered(
                &given,
                settings.resources.as_deref(),
                &settings.work_dir,
                &role,
            ),
            attributes,
            domain: settings.domain.clone(),
            // As every agent since Mesos 1.10 says.
            checkpoint: Some(true),
            ..AgentInfo::default()
        };
        let is_root = rustix::process::geteuid().is_root();
        let ip = settings.machine.advertise_ip;
        let ip = ip.unwrap_or_else(|| advertised(settings.ip, &settings.masters));
        let ip = ip.to_string();
        let mut config = NodeConfig::new(info, ip, &settings.work_dir);
        config.ip6 = settings.ip6.map(|it| it.to_string());
        config.boot_id = detect::boot_id();
        let executors = &settings.executors;
        config.environment = environment(executors.environment.as_deref().unwrap_or_default());
        config.libprocess_ip = std::env::var(ADDRESS_VARIABLE).ok();
        config.executor_registration_timeout = executors.registration_timeout;
        config.executor_reregistration_timeout = executors.reregistration_timeout;
        config.executor_shutdown_grace = executors.shutdown_grace;
        config.recovery_timeout = executors.recovery_timeout;
        config.max_completed_executors_per_framework = executors.max_completed;
        config.token_key = settings.security.executors.key.clone();
        config.is_root = is_root;
        config.switch_user = is_root && settings.machine.switch_user;
        config.registration_backoff = settings.machine.registration_backoff;
        config.estimator = estimator;
        config.controller = controller;
        config.oversubscribed_resources_interval = settings.lending.interval;
        config.qos_correction_interval_min = settings.lending.correction_interval;
        config.recovery = settings.recovery;
        config.reconfiguration = settings.reconfiguration;
        config.disk_watch = settings.sandboxes.disk_watch;
        config.ports_watch = settings.networks.ports.clone();
        config.acls = Arc::clone(&settings.security.acls);
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        config.seed = [high, low];
        let isolation = &settings.isolation;
        let (more, without) = (&isolation.controllers, &isolation.without);
        let cgroups = Cgroups::detect_with(&settings.machine.cgroups_root, more, without);
        let checked = isolation.check(&cgroups, is_root);
        checked.map_err(anyhow::Error::msg)?;
        config.shortcoming = lacks::shown(&cgroups, is_root);
        config.limit_cpus = isolation.limit_cpus;
        config.enforced = Enforced {
            cpus: cgroups.has(Controller::Cpu),
            memory: cgroups.has(Controller::Memory),
        };
        config.machine = detect::machine();
        config.lent_cpus_give_way = isolation.lent_cpus_give_way;
        let launcher = Launcher::new(shim()?, cgroups, SPARE_SHIMS)
            .context("containers cannot be run here")?;
        let sandboxes = Sandboxes::new(settings.work_dir.join(SPARE_SANDBOXES), SPARE_SHIMS)
            .with_context(|| format!("--work-dir {}", settings.work_dir.display()))?;
        config.sandbox_directory = settings.images.sandbox_directory.clone();
        let runtime_dir =
            runtime_dir::find(&settings.work_dir, settings.machine.runtime_dir.as_deref())?;
        let presence = runtime_dir::take(&runtime_dir)?;
        let opened = engine::open(
            settings.engine.as_ref(),
            &settings.images,
            &settings.work_dir,
            &runtime_dir,
        )?;
        let (engine_config, engine_containers) = opened.unzip();
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
        let volume_gids = volume_gids(isolation, &settings.work_dir, &config.boot_id, is_root)?;
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
            configured_work_dir: configured_work_dir.unwrap_or_else(|_| settings.work_dir.clone()),
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

/// Who says what can be lent, and who must give it back.
type Lending = (
    Option<Arc<dyn ResourceEstimator>>,
    Option<Arc<dyn QosController>>,
);

fn lending(settings: &LendingSettings) -> anyhow::Result<Lending> {
    let estimator = estimators::parse(&settings.estimator)
        .map_err(|reason| anyhow!("--resource-estimator: {reason}"))?;
    let controller = controllers::parse(&settings.controller)
        .map_err(|reason| anyhow!("--qos-controller: {reason}"))?;
    Ok((estimator, controller))
}

fn resources(text: Option<&str>, role: &str) -> anyhow::Result<Vec<tepui_protocol::v1::Resource>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let parsed = Resources::parse(text, role).map_err(|error| {
        anyhow!(
            "--resources: {error}; expected text such as 'cpus:4;mem:2048;disk:10240;ports:[31000-32000]' \
             (mem and disk in MB)"
        )
    })?;
    let given = parsed.to_proto();
    for resource in &given {
        let (expected, right) = match resource.name.as_str() {
            "cpus" | "mem" | "disk" | "gpus" => ("a number", resource.scalar.is_some()),
            "ports" => ("ranges such as [31000-32000]", resource.ranges.is_some()),
            _ => continue,
        };
        if !right {
            bail!("--resources: {} is not {expected}", resource.name);
        }
    }
    Ok(given)
}

/// What is named is what it is named with, also if that is nothing and parsing leaves it out.
fn offered(
    given: &[tepui_protocol::v1::Resource],
    text: Option<&str>,
    work_dir: &Path,
    role: &str,
) -> Vec<tepui_protocol::v1::Resource> {
    let names = text.unwrap_or_default().split(';');
    let names = names.filter_map(|it| it.split([':', '(']).next());
    let names: Vec<&str> = names.map(str::trim).collect();
    let mut all = detect::resources(given, work_dir);
    for found in all.iter_mut().filter(|it| !given.contains(it)) {
        if role != roles::ANY {
            found.reservations.push(ReservationInfo {
                r#type: Some(reservation_info::Type::Static as i32),
                role: Some(role.to_owned()),
                ..ReservationInfo::default()
            });
        }
    }
    all.retain(|it| given.contains(it) || !names.contains(&it.name.as_str()));
    all
}

/// An agent offers the GPUs it has, each as a whole (Mesos: `isolators/gpu/allocator.cpp`).
fn own_gpus(
    given: &mut Vec<tepui_protocol::v1::Resource>,
    count: usize,
    role: &str,
) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let named = given.iter().filter(|it| it.name == "gpus");
    let values = named.filter_map(|it| Some(it.scalar.as_ref()?.value));
    let Some(named) = values.reduce(|a, b| a + b) else {
        let text = format!("gpus:{count}");
        given.extend(resources(Some(&text), role)?);
        return Ok(());
    };
    #[expect(clippy::cast_precision_loss, reason = "devices of one machine")]
    if named != count as f64 {
        bail!(
            "--resources: gpus are {named}, but --gpu-devices names {count}; leave them out, or name as many"
        );
    }
    Ok(())
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

/// What others reach this agent at: of "any address" the one that leads to a master.
fn advertised(ip: IpAddr, masters: &[String]) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let found = masters.iter().find_map(|master| {
        // No packet is sent: the kernel only chooses the address.
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).ok()?;
        socket.connect(master.as_str()).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    found.unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]))
}

/// What the operator gave, and where programs are found. Nothing of the agent's own environment, where secrets may be.
fn environment(given: &[(String, String)]) -> Vec<(String, String)> {
    let path = ("PATH".to_owned(), DEFAULT_PATH.to_owned());
    let has_path = given.iter().any(|(name, _)| name == "PATH");
    let own = (!has_path).then_some(path);
    own.into_iter().chain(given.iter().cloned()).collect()
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
