//! The two pages for people that need no script. The web admin, where it is mounted, takes `/` itself.

use tepui_http::Reply;

use super::routes::TABLE;

/// What stands at `/` without a web admin.
pub(super) fn root() -> Reply {
    let page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tepui</title></head>\n\
        <body><h1>Tepui master</h1><p><a href=\"/admin/\">Web admin</a> · <a href=\"/help\">Endpoints</a></p></body></html>\n";
    Reply::ok("text/html", page)
}

/// `/help`: the routes.
pub(super) fn help() -> Reply {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Help</title></head>\n<body><h1>Endpoints</h1>\n<ul>\n",
    );
    let names = TABLE.own.iter().chain(TABLE.others).map(|(name, _)| name);
    for name in names {
        page.push_str(&format!("<li><code>/{name}</code></li>\n"));
    }
    page.push_str("</ul></body></html>\n");
    Reply::ok("text/html", page)
}
