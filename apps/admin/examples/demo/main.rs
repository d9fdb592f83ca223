//! Shows the web admin over a made-up cluster: `cargo run -p tepui-admin --example demo [PORT]`.
//! Pages are read from `web/` at each request, so a reload shows an edit.

mod fake;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use actix_web::{App, HttpServer};
use tepui_admin::AdminState;
use tepui_kit::{Actor, Context, Handler, Message, Spawn, Tell};

/// An actor that is told things.
struct Worker;

#[derive(Clone)]
struct Work;
impl Message for Work {
    type Reply = ();
}

impl Actor for Worker {
    const NAME: &'static str = "worker";
}

impl Handler<Work> for Worker {
    fn handle(&mut self, Work: Work, _: &mut Context<Self>) {}
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(5050);
    let (agent, server) = fake::start_agent()?;
    actix_web::rt::spawn(server);
    let (sources, changes) = fake::sources(Arc::new(fake::View {
        agent,
        asked: AtomicU64::new(0),
    }));
    let workers: Vec<_> = ["master", "allocator", "registrar", "view"]
        .map(|name| Spawn::new(&sources.directory).name(name).start(|| Worker))
        .into();
    actix_web::rt::spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        for number in 0_usize.. {
            ticks.tick().await;
            changes.fetch_add(1, Relaxed);
            for worker in &workers[..=number % workers.len()] {
                let _ = worker.tell(Work);
            }
        }
    });
    let admin = AdminState::new(sources);
    println!("http://127.0.0.1:{port}/");
    HttpServer::new(move || {
        let admin = admin.clone();
        App::new().configure(|cfg| tepui_admin::configure(cfg, admin))
    })
    .workers(1)
    // Live views never end by themselves.
    .shutdown_timeout(1)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
