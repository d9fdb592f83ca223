//! https for the one client: whom it trusts, and what a failed handshake means in plain words.
//!
//! Costs nothing before the first https address: only then are root certificates read, once. TLS 1.2 and 1.3,
//! no certificate of our own. Never a way to connect without checking whom one talks to.

use std::{error::Error as StdError, io, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use rustls::{
    CertificateError, ClientConfig, InvalidMessage, RootCertStore, crypto::ring,
    pki_types::UnixTime,
};
use tokio::sync::OnceCell;

use crate::http;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Names of a certificate that an error shows; a server chooses how many it has.
const NAMES_SHOWN: usize = 5;
const MAX_NAME_CHARS: usize = 253;

/// Whose certificates an https server may show.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Those of the operating system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR` where the environment names them.
    /// Read at the first https address and kept as long as the client.
    #[default]
    System,
    /// These alone, each in DER.
    Only(Vec<Vec<u8>>),
}

/// Why there is no https connection. `host` is the server's, as the address named it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no https server can be trusted, because no root certificate was found ({reason}): install the system's \
         (Debian: the package ca-certificates), or name a PEM file in SSL_CERT_FILE, and try again"
    )]
    NoRoots { reason: String },
    #[error(
        "the certificate of {host} expired {ago}: have it renewed there; if it is newer, this machine's clock is wrong"
    )]
    Expired { host: String, ago: String },
    #[error(
        "the certificate of {host} is not valid yet: this machine's clock is behind, or the certificate was made ahead of time"
    )]
    NotValidYet { host: String },
    #[error(
        "the certificate of {host} comes from an unknown issuer: if that is meant, add the issuer's certificate to this \
         machine's roots, or to the file that SSL_CERT_FILE names, and restart the process that asked; a server must also send the \
         certificates between its own and the root"
    )]
    UnknownIssuer { host: String },
    #[error(
        "the certificate of {host} is not signed by the issuer that is known here by its name: if the issuer has a new \
         key, put its new certificate among this machine's roots, or into the file that SSL_CERT_FILE names, and restart \
         the process that asked"
    )]
    WrongIssuer { host: String },
    #[error(
        "the certificate of {host} has the wrong name, it is for {names}: ask by such a name, or have it issued for {host}"
    )]
    WrongName { host: String, names: String },
    #[error(
        "the certificate of {host} cannot be accepted ({reason}): the server needs one that is made for \
         servers and is not an authority's own"
    )]
    BadCertificate { host: String, reason: String },
    #[error(
        "{host} does not speak TLS at this port ({reason}): use http:// if that is meant, or the port for https"
    )]
    NoTls { host: String, reason: String },
    #[error(
        "{host} and this client agree on no TLS connection ({reason}): the server must speak TLS 1.2 or 1.3 and ask \
         for no client certificate"
    )]
    Handshake { host: String, reason: String },
}

pub(crate) type SecurePool = Pool<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The pool of https connections, made when it is first needed.
#[derive(Debug)]
pub(crate) struct Secure {
    roots: Roots,
    connector: HttpConnector,
    pool: OnceCell<SecurePool>,
}

impl Secure {
    pub(crate) fn new(roots: Roots, mut connector: HttpConnector) -> Self {
        // TLS comes on top of what this one connects: it must not insist on http itself.
        connector.enforce_http(false);
        Secure {
            roots,
            connector,
            pool: OnceCell::new(),
        }
    }

    /// A failure is not kept: who installs certificates need not restart for it.
    pub(crate) async fn pool(&self) -> Result<&SecurePool, Error> {
        self.pool.get_or_try_init(|| self.build()).await
    }

    async fn build(&self) -> Result<SecurePool, Error> {
        let roots = self.roots.clone();
        let roots = tokio::task::spawn_blocking(move || read(roots)).await;
        let roots = roots.unwrap_or_else(|error| Err(no_roots(error)))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(no_roots)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(self.connector.clone());
        Ok(http::pool(connector))
    }
}

/// Reads files: some hundred kilobytes.
fn read(roots: Roots) -> Result<RootCertStore, Error> {
    let (found, troubles) = match roots {
        Roots::System => {
            let read = rustls_native_certs::load_native_certs();
            (read.certs, read.errors)
        }
        Roots::Only(given) => (given.into_iter().map(Into::into).collect(), Vec::new()),
    };
    for error in &troubles {
        tracing::warn!(%error, "some root certificates could not be read");
    }
    let mut store = RootCertStore::empty();
    let (used, unusable) = store.add_parsable_certificates(found);
    if used > 0 {
        tracing::debug!(used, unusable, "root certificates read");
        return Ok(store);
    }
    Err(match troubles.first() {
        Some(error) => no_roots(error),
        None => no_roots(format_args!("{unusable} were found that cannot be used")),
    })
}

fn no_roots(reason: impl ToString) -> Error {
    Error::NoRoots {
        reason: reason.to_string(),
    }
}

/// What TLS has to say about a failed request, if it was TLS that failed.
pub(crate) fn explain(host: &str, error: &(dyn StdError + 'static)) -> Option<Error> {
    let host = host.to_owned();
    Some(match find(error)? {
        rustls::Error::InvalidCertificate(error) => explain_certificate(host, error),
        rustls::Error::NoCertificatesPresented => Error::BadCertificate {
            host,
            reason: "it shows none".to_owned(),
        },
        error @ rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Error::NoTls {
            host,
            reason: error.to_string(),
        },
        error => Error::Handshake {
            host,
            reason: error.to_string(),
        },
    })
}

fn explain_certificate(host: String, error: &CertificateError) -> Error {
    match error {
        CertificateError::ExpiredContext { time, not_after } => Error::Expired {
            host,
            ago: ago(*time, *not_after),
        },
        CertificateError::Expired => Error::Expired {
            host,
            ago: "some time ago".to_owned(),
        },
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Error::NotValidYet { host }
        }
        CertificateError::UnknownIssuer => Error::UnknownIssuer { host },
        CertificateError::BadSignature => Error::WrongIssuer { host },
        CertificateError::NotValidForNameContext { presented, .. } => Error::WrongName {
            host,
            names: names(presented),
        },
        CertificateError::NotValidForName => Error::WrongName {
            host,
            names: names(&[]),
        },
        other => Error::BadCertificate {
            host,
            reason: other.to_string(),
        },
    }
}

fn ago(now: UnixTime, then: UnixTime) -> String {
    match now.as_secs().saturating_sub(then.as_secs()) / SECONDS_PER_DAY {
        0 => "less than a day ago".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// rustls gives them as `DnsName("example.org")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| -> String {
        let bare = name.split('"').nth(1).unwrap_or(name);
        bare.chars().take(MAX_NAME_CHARS).collect()
    };
    let shown: Vec<String> = presented.iter().take(NAMES_SHOWN).map(bare).collect();
    match presented.len().checked_sub(NAMES_SHOWN) {
        _ if shown.is_empty() => "no name at all".to_owned(),
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// An `io::Error` does not give what it wraps as its source, so `source()` alone would pass over it.
fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped: Option<&'a (dyn StdError + 'static)> =
            match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
                Some(Some(wrapped)) => Some(wrapped),
                _ => None,
            };
        next = wrapped.or_else(|| error.source());
    }
    None
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
