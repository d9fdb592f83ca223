//! Keeps the pages of others out: a browser carries their requests to every address that its user reaches, loopback too.
//!
//! Owns two rules. A request that may change something must come from a page of ours, or from no page at all; what
//! browsers say of themselves decides (as Go's `http.CrossOriginProtection`: `Sec-Fetch-Site`, else `Origin`). And where
//! nobody but this machine is meant to call, the `Host` must be one of our names: a page whose name was made to lead to
//! loopback (DNS rebinding) is the same origin for its browser. Other clients send neither header, or the address.

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{HOST, HeaderMap, HeaderName, ORIGIN},
        uri::Authority,
    },
};
use rustix::system::uname;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The names that a server goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What the operator says that people's browsers have, besides addresses and what follows.
    given: Vec<String>,
    /// Of the server and of this machine.
    own: [String; 2],
    /// Whether the host of a request must be one of them.
    is_asked: bool,
}

impl Names {
    /// Of a server that listens at `address` and calls itself `own`. Elsewhere than on loopback any name may lead to it,
    /// unless some were `given`.
    pub fn new(address: SocketAddr, own: &str, given: &[String]) -> Self {
        let machine = uname().nodename().to_string_lossy().into_owned();
        Self {
            given: given.to_vec(),
            own: [own.to_string(), machine],
            is_asked: address.ip().is_loopback() || !given.is_empty(),
        }
    }

    /// The text of the refusal of a page of somebody else.
    pub(crate) fn refusal(&self, request: &HttpRequest) -> Option<String> {
        let headers = request.headers();
        let refused_host = |host: &&str| self.is_asked && !self.is_ours(host);
        let mut hosts = headers.get_all(HOST).map(|it| it.to_str().unwrap_or("?"));
        if let Some(host) = hosts.find(refused_host) {
            return Some(format!(
                "The request is for the host '{}': expected an address, a name without dots or the name of this daemon; where \
                 people reach it by another name, give that to --http-hosts",
                shown(host)
            ));
        }
        let is_foreign = match *request.method() {
            // Another site may lead people here, and cannot read what it fetches; scripts (`?jsonp=`) it could.
            Method::GET | Method::HEAD | Method::OPTIONS => {
                text(headers, &FETCH_SITE) == Some("cross-site")
                    && text(headers, &FETCH_MODE) == Some("no-cors")
            }
            _ => !self.is_own_page(headers),
        };
        is_foreign.then(|| {
            let of = text(headers, &ORIGIN);
            format!(
                "The request comes from a page of {}, in somebody's browser: expected one from a page of this daemon, or from \
                 no browser; where that page is yours, give its host to --http-hosts",
                of.map_or_else(|| "another site".to_string(), |it| format!("'{}'", shown(it)))
            )
        })
    }

    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let origin = text(headers, &ORIGIN);
        let is_expected = match (text(headers, &FETCH_SITE), origin) {
            (Some("same-origin" | "none"), _) | (None, None) => true,
            (Some(_), _) => false,
            (None, Some(origin)) => {
                let host = text(headers, &HOST).unwrap_or_default();
                host_of(origin).is_some_and(|it| it.eq_ignore_ascii_case(host))
            }
        };
        let given = origin.and_then(host_of);
        is_expected || given.is_some_and(|host| is_one_of(&self.given, host))
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else {
            // No browser sends none; some simple clients do.
            return host.is_empty();
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        // A name without a dot is no name in the Internet, which somebody could have for his page.
        address.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || name.ends_with(".localhost")
            || is_one_of(&self.given, host)
            || is_one_of(&self.own, host)
    }
}

/// A header; one that is no text is nobody's.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|it| it.to_str().unwrap_or("?"))
}

/// `host[:port]` of an origin.
fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, host)| host)
}

/// A host without its port, in small letters.
fn name_of(host: &str) -> Option<String> {
    let authority = host.parse::<Authority>().ok()?;
    Some(authority.host().trim_end_matches('.').to_lowercase())
}

fn is_one_of(names: &[String], host: &str) -> bool {
    name_of(host).is_some_and(|host| names.iter().any(|it| it.eq_ignore_ascii_case(&host)))
}

/// As much of it as an answer repeats.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
#[path = "browsers_tests.rs"]
mod tests;
