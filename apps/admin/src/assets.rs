//! The page and the files it loads: inside the binary, or read from disk in a debug build.
//!
//! The content security policy lets a browser run these files and the page's import map, nothing else.

use std::fmt::Write as _;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rust_embed::{Embed, EmbeddedFile};
use sha2::{Digest, Sha256};

#[derive(Embed)]
#[folder = "web/"]
struct Web;

const PAGE: &str = "index.html";
const IMPORT_MAP: &str = "<script type=\"importmap\">";

pub(crate) async fn page(request: HttpRequest) -> HttpResponse {
    serve(&request, PAGE)
}

pub(crate) async fn file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve(&request, &path)
}

fn serve(request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(found) = Web::get(path) else {
        return HttpResponse::NotFound()
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .content_type("text/plain; charset=utf-8")
            .body("The web admin has no such file.\n");
    };
    let etag = etag(&found);
    let fresh =
        request.headers().get(header::IF_NONE_MATCH) == HeaderValue::from_str(&etag).ok().as_ref();
    let mut answer = if fresh {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if path.ends_with(".html") {
        answer.insert_header((header::CONTENT_SECURITY_POLICY, policy(&found.data)));
    }
    if fresh {
        return answer.finish();
    }
    answer
        .content_type(media_type(path))
        .body(web::Bytes::from(found.data.into_owned()))
}

fn etag(file: &EmbeddedFile) -> String {
    let mut etag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..12] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}

/// Browsers refuse modules and style sheets of any other type.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html",
        Some("css") => "text/css; charset=utf-8",
        Some("mjs" | "js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// An import map must stand in the page itself, so it is allowed by its hash.
fn policy(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let import_map = page
        .split_once(IMPORT_MAP)
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map_or("", |(import_map, _)| import_map);
    let hash = STANDARD.encode(Sha256::digest(import_map.as_bytes()));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
