//! From settings to a running master, and its end.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tepui_http::{Names, server, version};
use tepui_kit::System;
use tepui_view::ViewConfig;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    MasterSettings, Readable,
    ground::assemble,
    http::{self, MasterFlags, Mount},
    zookeeper,
};

/// Threads that answer HTTP.
const HTTP_WORKERS: usize = 2;

/// Runs a master until SIGTERM or SIGINT. `pages` makes what is mounted beside the API, such as the web admin.
///
/// # Errors
/// One line for people: what is wrong with the settings or the machine, what was expected, what to do.
pub fn run(settings: MasterSettings, pages: impl FnOnce(Readable) -> Mount) -> anyhow::Result<()> {
    // Each subscriber and each agent takes one of them.
    if let Err(error) = tepui_kit::descriptors::raise() {
        tracing::warn!(%error, "the soft limit of open files stays as it is");
    }
    System::new().block_on(serve(settings, pages))
}

async fn serve(
    mut settings: MasterSettings,
    pages: impl FnOnce(Readable) -> Mount,
) -> anyhow::Result<()> {
    let shown = settings.work_dir.display();
    std::fs::create_dir_all(&settings.work_dir).map_err(|error| {
        anyhow!("--work-dir {shown}: {error}; expected a directory that this user may write to")
    })?;
    let log_dir = settings
        .log_file
        .as_deref()
        .and_then(Path::parent)
        .map(|path| path.display().to_string());
    let listener = listen_on(settings.ip, settings.port, "--port")?;
    // Looked at before anything is started; the bridge takes it for itself a moment later.
    drop(listen_on(
        settings.ip,
        settings.bridge_port,
        "--bridge-port",
    )?);
    let for_detectors = settings
        .zk_port
        .map(|port| listen_on(settings.ip, port, "--zk-port"))
        .transpose()?;
    settings.port = listener.local_addr().context("the HTTP listener")?.port();
    let zk_port = for_detectors.as_ref().map(TcpListener::local_addr);
    let zk_port = zk_port.transpose().context("the --zk-port listener")?;
    let flags = MasterFlags {
        hostname: settings.hostname.clone(),
        ip: settings.ip.to_string(),
        port: settings.port,
        work_dir: settings.work_dir.display().to_string(),
        cluster: settings.cluster.clone(),
        log_dir: log_dir.clone(),
        roles: settings
            .roles
            .as_ref()
            .map(|roles| roles.iter().cloned().collect::<Vec<_>>().join(",")),
        root_submissions: settings.root_submissions,
        offer_timeout: settings.offer_timeout,
        domain: settings.domain.clone(),
        require_agent_domain: settings.require_agent_domain,
        whitelist: settings
            .whitelist
            .as_ref()
            .map(|path| path.display().to_string()),
        allocation: settings.allocation.clone(),
        forgetting: settings.forgetting,
        patience: settings.patience,
        kept: settings.kept,
        hostname_lookup: settings.hostname_lookup,
        security: settings.security.clone(),
        quorum: settings.peers.len().max(1) / 2 + 1,
        zk: zk_port.map(|at| {
            format!(
                "zk://{}:{}{}",
                settings.hostname,
                at.port(),
                settings.zk_path
            )
        }),
    };
    let version = version::own();
    let view_config = ViewConfig {
        version: version.version.clone(),
        git_sha: version.git_sha.clone(),
        git_branch: version.git_branch.clone(),
        git_tag: version.git_tag.clone(),
        build_date: version.build_date.clone().unwrap_or_default(),
        build_time: version.build_time.unwrap_or_default(),
        build_user: version.build_user.clone().unwrap_or_default(),
        pid: format!("master@{}:{}", settings.ip, settings.port),
        hostname: settings.hostname.clone(),
        log_dir,
        external_log_file: None,
        flags: flags.table(),
    };
    let address = SocketAddr::new(settings.ip, settings.port);
    let names = Names::new(address, &settings.hostname, &settings.security.http_hosts);
    if !settings.ip.is_loopback() && !settings.security.is_guarded() {
        tracing::warn!(
            %address,
            "whoever reaches this master may change the cluster and run programs on it: expected --credentials with \
             --authenticate-http-readwrite and --authenticate-http-frameworks, or --ip 127.0.0.1"
        );
    }
    let zk_path = settings.zk_path.clone();
    let mut parts = assemble(settings, view_config, version).await?;
    let mount = pages(parts.readable());
    let door = parts.throne.door();
    let _for_detectors = for_detectors
        .map(|listener| {
            let door = Arc::clone(&door);
            let ground = &parts.ground;
            let group = Arc::clone(&ground.group);
            zookeeper::serve(listener, &zk_path, door, &ground.leadership, group)
        })
        .transpose()?;
    let server = server::serve(listener, names, HTTP_WORKERS, move |config| {
        http::configure(config, &door, Some(&mount))
    })
    .context("HTTP")?;
    tracing::info!(
        http = %address,
        bridge = %parts.listener.address(),
        "the master serves"
    );
    let handle = server.handle();
    let serving = tokio::task::spawn_local(server);
    let ended = tokio::select! {
        signal = end_signal() => signal,
        error = parts.throne.run() => Err(error),
    };
    tracing::info!("the master ends");
    handle.stop(false).await;
    serving.abort();
    parts.end().await;
    ended
}

fn listen_on(ip: IpAddr, port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind((ip, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("{flag} {port}: another program listens on {ip}:{port}; stop it, or choose another port")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow!("--ip {ip}: this machine has no such address; expected one of its own")
        }
        _ => anyhow!("cannot listen on {ip}:{port}: {error}"),
    })
}

async fn end_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
