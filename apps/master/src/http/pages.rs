//! The pages for people that need no script. The web admin, where it is mounted, takes `/` itself.

use tepui_http::{Incoming, Reply};

use super::{
    access::Entrance,
    routes::{Route, TABLE},
};

/// What stands at `/` without a web admin.
pub(super) fn root() -> Reply {
    let page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tepui</title></head>\n\
        <body><h1>Tepui master</h1><p><a href=\"/admin/\">Web admin</a> · <a href=\"/help\">Endpoints</a></p></body></html>\n";
    Reply::ok("text/html", page)
}

/// `/help`, and what is below it.
pub(super) fn help(rest: Option<&str>, request: &Incoming) -> Reply {
    let is_guarded = |route: Route| route.access("GET").0 != Entrance::Open;
    tepui_http::help::help(&TABLE, is_guarded, rest, request)
}
