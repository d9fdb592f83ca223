//! How a check is tried: a command in a container within the task's, a GET and where it is redirected to, a connection.
//! Owns the sockets; decides nothing.

#[path = "prober/target.rs"]
mod target;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tepui_kit::blocking;
use tepui_messages::containers::{ContainerRuntime, LaunchOrder};
use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
        BufReader, Take,
    },
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, oneshot},
    time::timeout,
};
use url::Host;

use self::target::Target;
use crate::{
    checks::{Knock, Outcome},
    effect::{Probe, Try},
    prober_tls,
};

/// `HTTP/1.1 200`: all that is read of an answer that leads nowhere else.
const STATUS_LINE: usize = 12;
/// The most that is read of an answer, for its `Location`.
const HEAD_BYTES: u64 = 16 << 10;
/// Who is sent on more often has no answer.
const MAX_REDIRECTS: usize = 10;
/// So many addresses of a name are tried, one after the other.
const MAX_ADDRESSES: usize = 4;
/// A resolver cannot be called off: tasks that redirect to names that it is slow with do not take all of the agent's threads.
static LOOKUPS: Semaphore = Semaphore::const_new(4);
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
            let network = Network::of(runtime, container_id);
            let target = Target::new(tls, loopback(v6), port, &path);
            let code = within(time, async { status_code(&network, target?).await }).await;
            code.map_or(Outcome::Nothing, Outcome::Answered)
        }
        Try::Knock(Knock::Tcp { port, v6 }) => {
            let network = Network::of(runtime, container_id);
            let connected = within(time, network.connect(loopback(v6), port)).await;
            Outcome::Connected(connected.is_some())
        }
    }
}

fn loopback(v6: bool) -> IpAddr {
    match v6 {
        true => Ipv6Addr::LOCALHOST.into(),
        false => Ipv4Addr::LOCALHOST.into(),
    }
}

async fn within<T>(time: Option<Duration>, tried: impl Future<Output = Option<T>>) -> Option<T> {
    match time {
        Some(time) => timeout(time, tried).await.ok().flatten(),
        None => tried.await,
    }
}

/// A socket of IPv6 or IPv4, as [`ContainerRuntime::socket`] gives it.
type Sockets =
    dyn Fn(bool) -> Pin<Box<dyn Future<Output = io::Result<Option<OwnedFd>>> + Send>> + Send + Sync;

/// The network that a task has: no check reaches more than the task does.
struct Network(Box<Sockets>);

impl Network {
    fn of(runtime: Arc<dyn ContainerRuntime>, container_id: String) -> Self {
        Self(Box::new(move |v6| runtime.socket(container_id.clone(), v6)))
    }

    async fn connect(&self, ip: IpAddr, port: u16) -> Option<TcpStream> {
        let address = SocketAddr::new(ip, port);
        let stream = match (self.0)(ip.is_ipv6()).await.ok()? {
            Some(socket) => {
                let socket = TcpSocket::from_std_stream(socket.into());
                socket.connect(address).await
            }
            None => TcpStream::connect(address).await,
        };
        stream.ok()
    }

    async fn reach(&self, target: &Target) -> Option<TcpStream> {
        let addresses = match target.host() {
            Host::Ipv4(ip) => vec![ip.into()],
            Host::Ipv6(ip) => vec![ip.into()],
            Host::Domain(name) if name == "localhost" => vec![loopback(false), loopback(true)],
            Host::Domain(name) => self.resolve(name).await?,
        };
        for ip in addresses {
            if let Some(stream) = self.connect(ip, target.port()).await {
                return Some(stream);
            }
        }
        None
    }

    /// Only for the machine's network: what names mean in one of the task's own, the agent does not know.
    async fn resolve(&self, name: String) -> Option<Vec<IpAddr>> {
        if (self.0)(false).await.ok()?.is_some() {
            return None;
        }
        let permit = LOOKUPS.acquire().await.ok()?;
        let found = blocking(move || {
            let _permit = permit;
            let found = (name, 0).to_socket_addrs();
            found.map_err(|error| error.to_string())
        });
        let found = found.await.ok()?.map(|it| it.ip());
        Some(found.take(MAX_ADDRESSES).collect())
    }
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
            return Outcome::NotTried;
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

/// The status of the last of its answers, as `curl -L` has it (Mesos: `httpCheckCommand`); `None` if there is none, none of
/// HTTP, or no last one.
async fn status_code(network: &Network, mut target: Target) -> Option<u16> {
    for _ in 0..=MAX_REDIRECTS {
        let answer = get(network, &target).await?;
        match answer.location {
            Some(location) => target = target.follow(&location)?,
            None => return Some(answer.code),
        }
    }
    None
}

struct Answer {
    code: u16,
    /// Where it leads on to.
    location: Option<Vec<u8>>,
}

async fn get(network: &Network, target: &Target) -> Option<Answer> {
    let stream = network.reach(target).await?;
    match target.tls() {
        true => {
            let stream = prober_tls::within(stream, &target.host()).await?;
            answered(stream, target).await
        }
        false => answered(stream, target).await,
    }
}

async fn answered(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    target: &Target,
) -> Option<Answer> {
    let (path, host) = (target.path(), target.authority());
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tepui\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = BufReader::new(stream).take(HEAD_BYTES);
    loop {
        let code = status(&mut head).await?;
        let location = match code {
            // More is to come, but for the answer of a server that changes to another protocol.
            100 | 102..200 => {
                rest(&mut head).await?;
                continue;
            }
            300..400 => rest(&mut head).await?,
            _ => None,
        };
        return Some(Answer { code, location });
    }
}

async fn status(head: &mut (impl AsyncRead + Unpin)) -> Option<u16> {
    let mut line = [0; STATUS_LINE];
    head.read_exact(&mut line).await.ok()?;
    let line = std::str::from_utf8(&line).ok()?;
    let code = line.strip_prefix("HTTP/1.")?.get(2..)?;
    code.parse().ok()
}

/// The rest of a head: its first `Location` that says something. `None` if it has no end within what is read.
async fn rest(head: &mut Take<impl AsyncBufRead + Unpin>) -> Option<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut location = None;
    head.read_until(b'\n', &mut line).await.ok()?;
    loop {
        line.clear();
        head.read_until(b'\n', &mut line).await.ok()?;
        if head.limit() == 0 {
            return None;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            return Some(location);
        }
        if location.is_none() {
            location = location_in(text);
        }
    }
}

fn location_in(line: &[u8]) -> Option<Vec<u8>> {
    let colon = line.iter().position(|it| *it == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value[1..].trim_ascii();
    let is_one = name.eq_ignore_ascii_case(b"location") && !value.is_empty();
    is_one.then(|| value.to_owned())
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
