//! The server around the routes: listeners, workers and every limit of a connection.

use std::{io, net::TcpListener, os::unix::net::UnixListener, sync::Arc, time::Duration};

use actix_web::{
    App, Error, HttpServer,
    body::{BoxBody, MessageBody},
    dev::{Server, Service, ServiceRequest, ServiceResponse},
    http::{ConnectionType, KeepAlive, header},
    web::ServiceConfig,
};

use futures_util::future::{Either, TryFutureExt, ready};

use crate::{
    Reply,
    audit::Refusals,
    browsers::Names,
    connections::{Allowed, Connections, UnderWay},
};

/// Connections of one daemon at a time, over all workers.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Connections the kernel holds before they are accepted.
const BACKLOG: u32 = 1024;
/// While no more are open, none is closed for being silent.
const SILENT_CONNECTIONS: usize = MAX_CONNECTIONS / 4 * 3;
/// From the first byte of a request until its head must have arrived.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at connections that are silent.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a closing connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests under way may take when the daemon ends, in seconds.
const SHUTDOWN_SECS: u64 = 1;

const ALLOWED: Allowed = Allowed {
    head: HEAD_TIMEOUT,
    pause: LOOK_PAUSE,
    open: SILENT_CONNECTIONS,
};

/// What stands before all routes. Clones share it.
#[derive(Clone, Default)]
struct Gate {
    names: Arc<Names>,
    refusals: Arc<Refusals>,
}

/// Refuses the pages of others, tells of refusals, and notes that a request is under way until its answer is sent.
fn gated<S, B>(
    gate: &Gate,
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let under_way = UnderWay::begin(request.request());
    let upgrades = request.headers().contains_key(header::UPGRADE);
    let answered = match gate.names.refusal(request.request()) {
        Some(text) => Either::Left(ready(Ok(refused(request, text)))),
        None => Either::Right(service.call(request).map_ok(|it| it.map_into_boxed_body())),
    };
    let refusals = Arc::clone(&gate.refusals);
    async move {
        let mut answer = answered.await?;
        let head = answer.response_mut().head_mut();
        // As Mesos spells them: some clients look for `Content-Type` or `Mesos-Stream-Id` in that spelling only.
        head.set_camel_case_headers(true);
        if upgrades {
            // Nobody here speaks anything else, and actix ends such a connection: its client must not use it again.
            head.set_connection_type(ConnectionType::Close);
        }
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            refusals.note(answer.request(), status);
        }
        Ok(match under_way {
            Some(under_way) => answer.map_body(|_, body| under_way.with(body)),
            None => answer,
        })
    }
}

fn refused(request: ServiceRequest, text: String) -> ServiceResponse<BoxBody> {
    let response = Reply::text(403, text).into_response(request.headers());
    request.into_response(response)
}

/// A server with every limit. A macro, since its type has no name.
macro_rules! bounded {
    ($workers:expr, $allowed:expr, $names:expr, $configure:expr) => {{
        let (workers, configure) = ($workers.max(1), $configure);
        let connections = Connections::watched($allowed);
        let gate = Gate {
            names: Arc::new($names),
            refusals: Arc::default(),
        };
        let app = move || {
            let gate = gate.clone();
            let app = App::new().wrap_fn(move |request, service| gated(&gate, request, service));
            app.configure(configure.clone())
        };
        HttpServer::new(app)
            .on_connect(move |io, extensions| connections.take_in(io, extensions))
            .workers(workers)
            .max_connections(MAX_CONNECTIONS / workers)
            .backlog(BACKLOG)
            // Actix counts it from the connection's beginning, not from the request's.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(CLOSE_TIMEOUT)
            .keep_alive(KeepAlive::Os)
            .h1_allow_half_closed(false)
            .shutdown_timeout(SHUTDOWN_SECS)
            .disable_signals()
    }};
}

/// Serves on `listener`, by these names, with `workers` threads. `configure` runs once on each worker.
///
/// A client that closes its side is gone: a subscription must not outlive its reader.
///
/// # Errors
/// If the listener cannot be watched.
pub fn serve(
    listener: TcpListener,
    names: Names,
    workers: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    serve_allowing(ALLOWED, listener, names, workers, configure)
}

pub(crate) fn serve_allowing(
    allowed: Allowed,
    listener: TcpListener,
    names: Names,
    workers: usize,
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let server = bounded!(workers, allowed, names, configure);
    Ok(server.listen(listener)?.run())
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
    let mut server = bounded!(workers, ALLOWED, Names::default(), configure);
    for listener in listeners {
        server = server.listen_uds(listener)?;
    }
    Ok(server.run())
}
