//! How a check is tried: a command in a container within the task's, a GET, a connection. Owns the sockets; decides
//! nothing.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tepui_messages::containers::{ContainerRuntime, LaunchOrder};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::{
    checks::{Knock, Outcome},
    effect::{Probe, Try},
    prober_tls,
};

/// `HTTP/1.1 200`: all that is read of an answer.
const STATUS_LINE: usize = 12;
/// A command that is over its time is killed; who waits for the kernel longer than this learns nothing more.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// Makes one try.
pub(crate) async fn probe(runtime: Arc<dyn ContainerRuntime>, probe: Probe) -> Outcome {
    let Probe {
        container_id,
        what,
        timeout: time,
        ..
    } = probe;
    match what {
        Try::Command(order) => command(runtime, *order, time).await,
        Try::Knock(Knock::Http {
            port,
            path,
            v6,
            tls,
        }) => {
            let code = within(time, async {
                let (stream, address) = connect(runtime, container_id, port, v6).await?;
                status_code(stream, address, &path, tls).await
            });
            code.await.map_or(Outcome::Nothing, Outcome::Answered)
        }
        Try::Knock(Knock::Tcp { port, v6 }) => {
            let connected = within(time, connect(runtime, container_id, port, v6));
            Outcome::Connected(connected.await.is_some())
        }
    }
}

async fn within<T>(time: Option<Duration>, tried: impl Future<Output = Option<T>>) -> Option<T> {
    match time {
        Some(time) => timeout(time, tried).await.ok().flatten(),
        None => tried.await,
    }
}

/// A connection to the loopback of the network that a task has.
async fn connect(
    runtime: Arc<dyn ContainerRuntime>,
    container_id: String,
    port: u16,
    v6: bool,
) -> Option<(TcpStream, SocketAddr)> {
    let ip: IpAddr = if v6 {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    let address = SocketAddr::new(ip, port);
    let stream = match runtime.socket(container_id, v6).await.ok()? {
        Some(socket) => {
            let socket = TcpSocket::from_std_stream(socket.into());
            socket.connect(address).await
        }
        None => TcpStream::connect(address).await,
    };
    Some((stream.ok()?, address))
}

async fn command(
    runtime: Arc<dyn ContainerRuntime>,
    order: LaunchOrder,
    time: Option<Duration>,
) -> Outcome {
    let id = order.container_id.clone();
    let running = match runtime.launch(order, oneshot::channel().0).await {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!(container_id = id, error, "a check could not be started");
            runtime.forget(id).await;
            return Outcome::Nothing;
        }
    };
    let mut exited = running.exited;
    let in_time = within(time, async { Some((&mut exited).await) }).await;
    let outcome = in_time.and_then(|exit| exit.status);
    if outcome.is_none() {
        if let Err(error) = runtime.destroy(id.clone()).await {
            tracing::warn!(container_id = id, error, "a check could not be ended");
        }
        // Only the end is waited for: what it was is too late.
        let _ = timeout(KILL_WAIT, exited).await;
    }
    runtime.forget(id).await;
    outcome.map_or(Outcome::Nothing, Outcome::Exited)
}

/// The status of a GET; `None` if there is no answer, or none of HTTP. Redirects are answers like others.
async fn status_code(stream: TcpStream, address: SocketAddr, path: &str, tls: bool) -> Option<u16> {
    if tls {
        let stream = prober_tls::within(stream, address).await?;
        return answered(stream, address, path).await;
    }
    answered(stream, address, path).await
}

async fn answered(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    path: &str,
) -> Option<u16> {
    let path = if path.starts_with('/') { path } else { "/" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: tepui\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut line = [0; STATUS_LINE];
    stream.read_exact(&mut line).await.ok()?;
    let line = std::str::from_utf8(&line).ok()?;
    let code = line.strip_prefix("HTTP/1.")?.get(2..)?;
    code.parse().ok()
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
