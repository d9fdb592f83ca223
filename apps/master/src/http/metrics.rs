//! `/metrics/snapshot`, GET_METRICS and `/metrics`: what view, master, allocator and registrar count, put together.

use tepui_allocator::Allocator;
use tepui_http::{
    Incoming, Reply, ask,
    metrics::{self, check_timeout},
};
use tepui_kit::Actor;
use tepui_master_actor::Master;
use tepui_messages::{allocator::AllocatorNumbers, registrar::RegistrarNumbers, view::Question};

use tepui_view::encoded;

use super::MasterHttp;

/// What cannot happen here. Mesos always tells it, and who reads its numbers may miss a whole family where one is gone.
const NEVER: [&str; 7] = [
    // Schedulers of the API before v1 and agents say these to Mesos over libprocess: here a scheduler deactivates by
    // ending its stream, and credentials come with each request and with the handshake of a connection.
    "master/messages_deactivate_framework",
    "master/messages_authenticate",
    // An actor has one mailbox, and all that waits in it is told as dispatches.
    "master/event_queue_messages",
    "master/event_queue_http_requests",
    // Mesos has not counted these since its agents become unreachable rather than being shut down.
    "master/slave_shutdowns_scheduled",
    "master/slave_shutdowns_completed",
    "master/slave_shutdowns_canceled",
];

impl MasterHttp {
    pub(super) async fn snapshot(&self, request: &Incoming) -> Result<Reply, Reply> {
        check_timeout(request)?;
        self.limiter.turn().await?;
        let metrics = serde_json::Value::Object(self.metrics().await?);
        Ok(Reply::json(metrics.to_string(), request.parameter("jsonp")))
    }

    /// Not a route of Mesos, which knows nothing at `/metrics` and below it but the snapshot.
    pub(super) async fn prometheus(&self, rest: Option<&str>) -> Result<Reply, Reply> {
        if rest.is_some() {
            return Err(Reply::bare(404));
        }
        let mut all = self.metrics().await?;
        let registry = (self.registry)().into_iter();
        all.extend(registry.map(|(name, value)| (name.to_owned(), value.into())));
        Ok(tepui_http::prometheus(&all, &self.directory))
    }

    /// All numbers that Mesos has too, by name.
    pub(super) async fn metrics(
        &self,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Reply> {
        let view = self.question(Question::Metrics, None).await?;
        let allocator = ask(&self.numbers, AllocatorNumbers).await?;
        let registrar = ask(&self.registrar, RegistrarNumbers).await?;
        let counted = self.traffic.tally.all().into_iter();
        let all = counted
            .chain(allocator)
            .chain(registrar)
            .chain(self.principals())
            .chain(self.requests())
            .chain(self.mailboxes())
            .chain(self.of_process())
            .chain(NEVER.map(|name| (name.to_owned(), 0.0)));
        Ok(metrics::all(&view, all))
    }

    fn principals(&self) -> impl Iterator<Item = (String, f64)> {
        let principals = self.traffic.all().into_iter();
        principals.flat_map(|(principal, received, processed)| {
            let name = |what| format!("frameworks/{principal}/messages_{what}");
            [
                (name("received"), received as f64),
                (name("processed"), processed as f64),
            ]
        })
    }

    /// Calls and operations of each framework.
    fn requests(&self) -> impl Iterator<Item = (String, f64)> {
        let frameworks = self.traffic.requests().into_iter();
        frameworks.flat_map(|(id, requests)| {
            let prefix = format!("master/frameworks/{}/{id}", encoded(&requests.name));
            let all = requests.all().into_iter();
            all.map(move |(name, value)| (format!("{prefix}/{name}"), value))
        })
    }

    /// Messages that wait for the actors, under Mesos' names for these, of which the allocator has two; and what was
    /// turned away from the master's mailbox.
    fn mailboxes(&self) -> [(String, f64); 4] {
        let (mut master, mut allocator, mut refused) = (0, 0, 0);
        for mailbox in self.directory.snapshot() {
            match mailbox.kind {
                Master::NAME => {
                    master += mailbox.depth;
                    refused += mailbox.refused;
                }
                Allocator::NAME => allocator += mailbox.depth,
                _ => {}
            }
        }
        [
            ("master/event_queue_dispatches", master),
            ("allocator/mesos/event_queue_dispatches", allocator),
            ("allocator/event_queue_dispatches", allocator),
            ("master/dropped_messages", refused),
        ]
        .map(|(name, value)| (name.to_owned(), value as f64))
    }

    fn of_process(&self) -> [(String, f64); 2] {
        // The clock was made as the process began.
        let uptime = self.directory.clock().nanos() as f64 / 1e9;
        let size = (self.registry_size)() as f64;
        [
            ("master/uptime_secs".to_owned(), uptime),
            ("registrar/registry_size_bytes".to_owned(), size),
        ]
    }
}
