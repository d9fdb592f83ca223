//! `tepui dev`: masters and agents as processes of this program, on loopback, ended together.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use tepui_client::{Client, Error, Masters, operator::Operator};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{cli::DevArgs, output};

/// From the start of the processes until every agent is registered.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// One question to the masters; the cluster may be coming up.
const ASK_PATIENCE: Duration = Duration::from_secs(2);
/// How long a process may take to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(8);
/// Left to the machine itself by the default resources, as Mesos leaves it (megabytes).
const MEMORY_RESERVE_MB: u64 = 1024;

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let mut cluster = Cluster::start(&args).await?;
    let ended = tokio::select! {
        result = cluster.ready() => match result {
            Ok(()) => None,
            Err(error) => Some(Err(error)),
        },
        () = end_signal() => Some(Ok(())),
    };
    let result = match ended {
        Some(early) => early,
        None => {
            let said = output::lines([format!("ready: {}", cluster.summary())]);
            match said {
                Ok(()) => tokio::select! {
                    () = end_signal() => Ok(()),
                    name = cluster.any_ends() => Err(anyhow::anyhow!("{name} has ended; see its lines above")),
                },
                Err(error) => Err(anyhow::Error::new(error).context("standard output")),
            }
        }
    };
    cluster.end().await;
    result.map(|()| ExitCode::SUCCESS)
}

/// SIGINT or SIGTERM.
pub(crate) async fn end_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The processes and where they keep things.
pub(crate) struct Cluster {
    children: Vec<(String, Child)>,
    data: PathBuf,
    /// Removed at the end.
    temporary: bool,
    /// HTTP addresses.
    pub(crate) masters: Vec<String>,
    agents: u16,
}

/// Masters of one group: an odd number has no use for one more.
const MAX_MASTERS: u16 = 7;

impl Cluster {
    pub(crate) async fn start(args: &DevArgs) -> anyhow::Result<Cluster> {
        if !(1..=MAX_MASTERS).contains(&args.masters) {
            bail!(
                "--masters {}: expected 1, 3 or 5, at most {MAX_MASTERS}",
                args.masters
            );
        }
        let daemons = args.masters.checked_add(args.agents);
        let Some(end) = daemons.and_then(|daemons| args.port.checked_add(daemons)) else {
            bail!(
                "--port {}: there is no room for {} agents on the ports after it; expected a lower port, or fewer agents",
                args.port,
                args.agents
            );
        };
        for port in args.port..end {
            check_free(port)?;
        }
        let temporary = args.data.is_none();
        let data = match &args.data {
            Some(data) => data.clone(),
            None => std::env::temp_dir().join(format!("tepui-dev-{}", uuid::Uuid::new_v4())),
        };
        std::fs::create_dir_all(&data)
            .with_context(|| format!("--data {}: cannot be created", data.display()))?;
        let ports = args.port..args.port + args.masters;
        let mut cluster = Cluster {
            children: Vec::new(),
            data,
            temporary,
            masters: ports.map(|port| format!("127.0.0.1:{port}")).collect(),
            agents: args.agents,
        };
        if let Err(error) = cluster.spawn_all(args).await {
            cluster.end().await;
            return Err(error);
        }
        Ok(cluster)
    }

    async fn spawn_all(&mut self, args: &DevArgs) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        self.spawn_masters(&program, args)?;
        self.until(|answer| answer["leader"].is_string(), "/tepui/v1/leader")
            .await?;
        let resources = args.resources.clone().unwrap_or_else(|| share(args.agents));
        for index in 0..args.agents {
            let port = (args.port + args.masters + index).to_string();
            let name = format!("agent{}", index + 1);
            let work_dir = self.data.join(&name);
            let master = self.masters.join(",");
            let flags = [
                "agent",
                "--port",
                &port,
                "--hostname",
                "localhost",
                "--master",
                &master,
                "--resources",
                &resources,
            ];
            self.spawn(&program, &name, &flags, &work_dir)?;
        }
        Ok(())
    }

    /// One, or a group whose bridges have free ports of now.
    fn spawn_masters(&mut self, program: &Path, args: &DevArgs) -> anyhow::Result<()> {
        let alone = args.masters == 1;
        let names: Vec<String> = match args.masters {
            1 => vec!["master".to_string()],
            count => (1..=count)
                .map(|number| format!("master{number}"))
                .collect(),
        };
        let bridges = if alone {
            vec![0]
        } else {
            free_ports(names.len())?
        };
        let peers: Vec<String> = names
            .iter()
            .zip(&bridges)
            .map(|(name, port)| format!("{name}=127.0.0.1:{port}"))
            .collect();
        let peers = peers.join(",");
        for (index, name) in names.iter().enumerate() {
            let (port, bridge) = (usize::from(args.port) + index, bridges[index]);
            let (port, bridge) = (port.to_string(), bridge.to_string());
            let mut flags = vec![
                "master",
                "--port",
                &port,
                "--bridge-port",
                &bridge,
                "--hostname",
                "localhost",
                "--cluster",
                "dev",
            ];
            if !alone {
                flags.extend(["--name", name, "--peers", &peers]);
            }
            let work_dir = self.data.join(name);
            self.spawn(program, name, &flags, &work_dir)?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        program: &Path,
        name: &str,
        flags: &[&str],
        work_dir: &Path,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        command
            .args(flags)
            .arg("--work-dir")
            .arg(work_dir)
            // What chooses the ports and directories of `dev` is not meant for each daemon.
            .envs(
                std::env::var_os("RUST_LOG")
                    .is_none()
                    .then_some(("RUST_LOG", "warn")),
            )
            .env_remove("TEPUI_PORT")
            .env_remove("TEPUI_RESOURCES")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        self.children.push((name.to_string(), child));
        Ok(())
    }

    /// Waits until a master leads and every agent is registered.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let agents = usize::from(self.agents);
        self.until(
            |answer| {
                answer["slaves"]
                    .as_array()
                    .is_some_and(|list| list.len() >= agents)
            },
            "/slaves",
        )
        .await
    }

    /// Asks the masters until one answers what is waited for, or a process ends.
    async fn until(
        &mut self,
        good: impl Fn(&serde_json::Value) -> bool,
        path: &str,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("{name} ended at once ({status}); see its line above");
                }
            }
            if self.ask(path).await.is_ok_and(|answer| good(&answer)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "not ready after {} s; run with RUST_LOG=info to see why",
                    READY_TIMEOUT.as_secs()
                );
            }
            sleep(READY_INTERVAL).await;
        }
    }

    async fn ask(&self, path: &str) -> Result<serde_json::Value, Error> {
        let client = Client::default();
        let masters = Masters::new(client.clone(), &self.masters).with_patience(ASK_PATIENCE);
        let ask = async |leader: &str| Operator::new(client.clone(), leader).json(path).await;
        masters.call(ask).await
    }

    pub(crate) fn summary(&self) -> String {
        let masters: Vec<String> = self
            .masters
            .iter()
            .map(|it| format!("http://{it}/"))
            .collect();
        format!(
            "web admin and API at {}, {} agent(s), data in {}",
            masters.join(" "),
            self.agents,
            self.data.display()
        )
    }

    /// The name of the first process whose end is the cluster's. A group goes on without a few of its masters.
    async fn any_ends(&mut self) -> String {
        let mut spare = self.masters.len().saturating_sub(1) / 2;
        loop {
            let mut ended = None;
            for (index, (name, child)) in self.children.iter_mut().enumerate() {
                if let Ok(Some(_)) = child.try_wait() {
                    ended = Some((index, name.clone()));
                }
            }
            match ended {
                Some((index, name)) if spare > 0 && name.starts_with("master") => {
                    spare -= 1;
                    eprintln!("tepui dev: {name} has ended; the other masters go on");
                    // No longer looked at; it is a child that has ended.
                    self.children.remove(index);
                }
                Some((_, name)) => return name,
                None => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// SIGTERM to all, SIGKILL to who stays; tasks end with their cluster.
    pub(crate) async fn end(&mut self) {
        self.end_tasks().await;
        // Agents first: none is left to look for a master that has gone.
        for (name, child) in self.children.iter_mut().rev() {
            if let Some(pid) = child.id() {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid as i32),
                    nix::sys::signal::Signal::SIGTERM,
                );
            }
            if tokio::time::timeout(END_TIMEOUT, child.wait())
                .await
                .is_err()
            {
                eprintln!(
                    "tepui dev: {name} did not end within {} s and is killed",
                    END_TIMEOUT.as_secs()
                );
                let _ = child.kill().await;
            }
        }
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.data);
        }
    }

    /// Agents leave their tasks running by design; a cluster for development leaves nothing.
    async fn end_tasks(&self) {
        use tepui_protocol::v1::{
            FrameworkId,
            master::{Call, call},
        };
        let Ok(answer) = self.ask("/frameworks").await else {
            return;
        };
        let client = Client::default();
        let masters = Masters::new(client.clone(), &self.masters).with_patience(ASK_PATIENCE);
        for framework in answer["frameworks"].as_array().into_iter().flatten() {
            let id = FrameworkId {
                value: framework["id"].as_str().unwrap_or_default().to_string(),
            };
            let call = Call {
                r#type: Some(call::Type::Teardown as i32),
                teardown: Some(call::Teardown { framework_id: id }),
                ..Default::default()
            };
            let change =
                async |leader: &str| Operator::new(client.clone(), leader).change(&call).await;
            let _ = masters.call(change).await;
        }
    }
}

/// Ports that nobody listens on at the moment.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let listeners: Result<Vec<_>, _> = (0..count)
        .map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)))
        .collect();
    let ports: Result<Vec<u16>, _> = listeners
        .iter()
        .flatten()
        .map(|it| it.local_addr().map(|address| address.port()))
        .collect();
    ports.context("no free ports for the masters' bridges")
}

/// Another cluster on the port would answer in place of the one that could not start.
fn check_free(port: u16) -> anyhow::Result<()> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => {
            bail!("port {port}: {error}; stop what listens there, or choose another --port")
        }
    }
}

/// This machine's cpus and memory in equal parts, and ports of the same range on loopback.
fn share(agents: u16) -> String {
    let agents = u64::from(agents.max(1));
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64
        / agents as f64;
    let memory_mb = nix::sys::sysinfo::sysinfo().map_or(1024, |info| info.ram_total() / (1 << 20));
    let left = memory_mb.saturating_sub(MEMORY_RESERVE_MB.min(memory_mb / 2));
    format!(
        "cpus:{cpus:.3};mem:{};disk:10240;ports:[31000-32000]",
        left / agents
    )
}
