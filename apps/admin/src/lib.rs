//! The web admin of a master: its pages, and what they show, live.
//!
//! Owns the page, its static files, two live views (overview and actors) and a task's life and output.
//! Each view is made once a second for all who watch it, and only while somebody does. What the pages of masters, offers
//! and `why` show, the browser asks of the API itself, `/tepui/v1/…`. It only reads:
//! no actor is asked without a deadline, and mailboxes are read from atomics. It never changes the cluster.
//!
//! | address | answer |
//! |---|---|
//! | `/` | the page |
//! | `/admin/{file}` | what the page loads, as it lies in `web/` |
//! | `/admin/live?view=overview` or `actors` | Server-Sent Events |
//! | `/admin/task/{framework}/{task}` | a task's life, JSON |
//! | `/admin/task/{framework}/{task}/{stdout or stderr}?offset=` | a piece of its output, JSON |

mod assets;
mod error;
mod feed;
mod live;
mod mailboxes;
mod overview;
mod sandbox;
mod sources;
mod task;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};

pub use sources::{AgentsMailboxes, Sources};

use crate::{feed::Feed, mailboxes::Mailboxes, overview::Overview, sandbox::Sandboxes};

/// What all workers of the HTTP server share. Made once, before the server's factory, and cloned into it.
#[derive(Clone)]
pub struct AdminState(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sources: Sources,
    pub(crate) overview: Feed<Overview>,
    pub(crate) actors: Feed<Mailboxes>,
    pub(crate) sandboxes: Sandboxes,
}

impl AdminState {
    /// A web admin that reads from `sources`; nothing is read before somebody looks.
    pub fn new(sources: Sources) -> Self {
        AdminState(Arc::new(Inner {
            sources,
            overview: Feed::default(),
            actors: Feed::default(),
            sandboxes: Sandboxes::default(),
        }))
    }
}

/// Mounts the web admin at `/` and below `/admin/`.
pub fn configure(cfg: &mut ServiceConfig, admin: AdminState) {
    cfg.app_data(web::Data::from(admin.0))
        .route("/", web::get().to(assets::page))
        .route("/admin/live", web::get().to(live::live))
        .route("/admin/task/{framework}/{task}", web::get().to(task::life))
        .route(
            "/admin/task/{framework}/{task}/{file}",
            web::get().to(sandbox::output),
        )
        .route("/admin/{file:.*}", web::get().to(assets::file));
}
