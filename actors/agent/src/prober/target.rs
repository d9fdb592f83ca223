//! What a check by HTTP asks for, and where a redirect leads it. Pure.

use std::net::IpAddr;

use url::{Host, Position, Url};

/// What is asked for, and of whom: `http` or `https`, with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target(Url);

impl Target {
    /// `None` where that is no URL.
    pub(super) fn new(tls: bool, ip: IpAddr, port: u16, path: &str) -> Option<Self> {
        let scheme = if tls { "https" } else { "http" };
        let path = if path.starts_with('/') { path } else { "/" };
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let url = Url::parse(&format!("{scheme}://{host}:{port}{path}"));
        url.ok().map(Self)
    }

    /// Where an answer from here leads by its `Location`; `None` if that is neither http nor https.
    pub(super) fn follow(&self, location: &[u8]) -> Option<Self> {
        let url = self.0.join(&String::from_utf8_lossy(location)).ok()?;
        let is_http = matches!(url.scheme(), "http" | "https");
        (is_http && url.has_host()).then_some(Self(url))
    }

    pub(super) fn tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(super) fn host(&self) -> Host<String> {
        self.0
            .host()
            .map_or(Host::Domain(String::new()), |host| host.to_owned())
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// With the query; fit for a request's first line.
    pub(super) fn path(&self) -> &str {
        &self.0[Position::BeforePath..Position::AfterQuery]
    }

    /// As in a `Host` header: the port only where the scheme does not say it. A login is for nobody.
    pub(super) fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
