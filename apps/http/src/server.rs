//! The server around the routes: listeners, workers and every limit of a connection.

use std::{io, net::TcpListener, os::unix::net::UnixListener, time::Duration};

use actix_web::{App, HttpServer, dev::Server, web::ServiceConfig};

/// Connections of one daemon at a time, over all workers.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Connections the kernel holds before they are accepted.
const BACKLOG: u32 = 1024;
/// Until the head of a request must have arrived.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a closing connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests under way may take when the daemon ends, in seconds.
const SHUTDOWN_SECS: u64 = 1;

/// A server with every limit. A macro, since its type has no name.
macro_rules! bounded {
    ($workers:expr, $configure:expr) => {{
        let (workers, configure) = ($workers.max(1), $configure);
        HttpServer::new(move || App::new().configure(configure.clone()))
            .workers(workers)
            .max_connections(MAX_CONNECTIONS / workers)
            .backlog(BACKLOG)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(CLOSE_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            .h1_allow_half_closed(false)
            .shutdown_timeout(SHUTDOWN_SECS)
            .disable_signals()
    }};
}

/// Serves on `listener` with `workers` threads. `configure` runs once on each worker.
///
/// A client that closes its side is gone: a subscription must not outlive its reader.
///
/// # Errors
/// If the listener cannot be watched.
pub fn serve(
    listener: TcpListener,
    workers: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    Ok(bounded!(workers, configure).listen(listener)?.run())
}

/// The same on sockets in the file system.
///
/// # Errors
/// If a listener cannot be watched.
pub fn serve_unix(
    listeners: Vec<UnixListener>,
    workers: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let mut server = bounded!(workers, configure);
    for listener in listeners {
        server = server.listen_uds(listener)?;
    }
    Ok(server.run())
}
