//! `tepui dev`: masters and agents as processes of this program, on loopback, ended together.

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use tepui_client::{Client, operator::Operator};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::cli::DevArgs;

/// From the start of the processes until every agent is registered.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_INTERVAL: Duration = Duration::from_millis(50);
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
            println!("ready: {}", cluster.summary());
            tokio::select! {
                () = end_signal() => Ok(()),
                name = cluster.any_ends() => Err(anyhow::anyhow!("{name} has ended; see its lines above")),
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
    pub(crate) master: String,
    agents: u16,
}

impl Cluster {
    pub(crate) async fn start(args: &DevArgs) -> anyhow::Result<Cluster> {
        if args.masters != 1 {
            bail!(
                "--masters {}: groups of several masters are not supported by this version of Tepui; expected 1",
                args.masters
            );
        }
        if args.port.checked_add(args.masters + args.agents).is_none() {
            bail!(
                "--port {}: there is no room for {} agents on the ports after it; expected a lower port",
                args.port,
                args.agents
            );
        }
        for port in args.port..args.port + args.masters + args.agents {
            check_free(port)?;
        }
        let temporary = args.data.is_none();
        let data = match &args.data {
            Some(data) => data.clone(),
            None => std::env::temp_dir().join(format!("tepui-dev-{}", uuid::Uuid::new_v4())),
        };
        std::fs::create_dir_all(&data)
            .with_context(|| format!("--data {}: cannot be created", data.display()))?;
        let master = format!("127.0.0.1:{}", args.port);
        let mut cluster = Cluster {
            children: Vec::new(),
            data,
            temporary,
            master,
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
        let work_dir = self.data.join("master");
        let port = args.port.to_string();
        let flags = [
            "master",
            "--port",
            &port,
            "--bridge-port",
            "0",
            "--hostname",
            "localhost",
            "--cluster",
            "dev",
        ];
        self.spawn(&program, "master", &flags, &work_dir)?;
        self.until(|answer| answer["leader"].is_string(), "/tepui/v1/leader")
            .await?;
        let resources = args.resources.clone().unwrap_or_else(|| share(args.agents));
        for index in 0..args.agents {
            let port = (args.port + args.masters + index).to_string();
            let name = format!("agent{}", index + 1);
            let work_dir = self.data.join(&name);
            let master = self.master.clone();
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

    /// Waits until the master leads and every agent is registered.
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

    /// Asks the master until it answers what is waited for, or a process ends.
    async fn until(
        &mut self,
        good: impl Fn(&serde_json::Value) -> bool,
        path: &str,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let operator = Operator::new(Client::default(), &self.master);
        loop {
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("{name} ended at once ({status}); see its line above");
                }
            }
            if operator.json(path).await.is_ok_and(|answer| good(&answer)) {
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

    pub(crate) fn summary(&self) -> String {
        format!(
            "web admin and API at http://{}/, {} agent(s), data in {}",
            self.master,
            self.agents,
            self.data.display()
        )
    }

    /// The name of the first process that ends.
    async fn any_ends(&mut self) -> String {
        loop {
            for (name, child) in &mut self.children {
                if let Ok(Some(_)) = child.try_wait() {
                    return name.clone();
                }
            }
            sleep(Duration::from_millis(200)).await;
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
        let operator = Operator::new(Client::default(), &self.master);
        let Ok(answer) = operator.json("/frameworks").await else {
            return;
        };
        for framework in answer["frameworks"].as_array().into_iter().flatten() {
            let id = FrameworkId {
                value: framework["id"].as_str().unwrap_or_default().to_string(),
            };
            let call = Call {
                r#type: Some(call::Type::Teardown as i32),
                teardown: Some(call::Teardown { framework_id: id }),
                ..Default::default()
            };
            let _ = operator.change(&call).await;
        }
    }
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
