//! The HTTP servers of an agent: its port, and the sockets of executors where they are asked for.

use std::{io, net::TcpListener, os::unix::net::UnixListener};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context;
use tepui_http::{Names, server};
use tokio::task::JoinHandle;

use crate::{AgentSettings, http::Api};

const WORKERS: usize = 2;
/// Executors of one machine: fewer, and they ask little.
const SOCKET_WORKERS: usize = 1;

/// Those that run.
pub(crate) struct Servers(Vec<(ServerHandle, JoinHandle<io::Result<()>>)>);

impl Servers {
    /// `sockets` may be none.
    pub(crate) fn start(
        api: Api,
        listener: TcpListener,
        sockets: Vec<UnixListener>,
        settings: &AgentSettings,
    ) -> anyhow::Result<Servers> {
        let mut servers = Servers(Vec::new());
        if !sockets.is_empty() {
            let api = api.clone().only_executors();
            let server = server::serve_unix(sockets, SOCKET_WORKERS, api.configure());
            servers.run(server.context("domain sockets")?);
        }
        let address = listener.local_addr().context("the HTTP listener")?;
        let security = &settings.security;
        if !address.ip().is_loopback() && !security.readwrite.is_guarded() {
            tracing::warn!(
                %address,
                "whoever reaches this agent may run programs in its containers: expected --http-credentials with \
                 --authenticate-http-readwrite, or --ip 127.0.0.1"
            );
        }
        let names = Names::new(address, &settings.hostname, &security.http_hosts);
        let server = server::serve(listener, names, WORKERS, api.configure());
        servers.run(server.context("HTTP")?);
        Ok(servers)
    }

    fn run(&mut self, server: Server) {
        let handle = server.handle();
        self.0.push((handle, tokio::task::spawn_local(server)));
    }

    /// At once: who still reads is cut off.
    pub(crate) async fn stop(self) {
        for (handle, server) in self.0.into_iter().rev() {
            handle.stop(false).await;
            // An error of a server that is stopped is nobody's any more.
            let _ = server.await;
        }
    }
}
