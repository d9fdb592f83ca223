//! GETs a file of any size from an http or https URL, piece by piece.
//!
//! Follows redirects, a bounded number and never from https down to http. The user part of the URL becomes basic
//! authentication for its own origin and is sent nowhere else. How many bytes are too many the caller decides,
//! who sees each piece before the next is read.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE},
};
use percent_encoding::percent_decode_str;
use url::{Origin, Url};

use crate::{Client, http::root_cause, tls};

/// Redirects that are followed for one file.
const MAX_REDIRECTS: usize = 5;
const OURSELVES: &str = concat!("tepui/", env!("CARGO_PKG_VERSION"));

/// Why a file could not be had. No text shows more of an address than its host: the rest may be secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is not a valid URL ({0})")]
    NotUrl(String),
    #[error("{host} cannot be reached ({reason})")]
    Unreachable { host: String, reason: String },
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("the server was silent for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the server answered {0}")]
    Refused(StatusCode),
    #[error("the server redirects without saying where")]
    RedirectToNowhere,
    #[error("the server redirects to no valid URL ({0})")]
    RedirectToNoUrl(String),
    #[error("the server redirects to what is neither http nor https")]
    RedirectToOther,
    #[error(
        "{from} redirects from https to plain http at {to}, where anyone on the way could change the file: refused; \
         use an https address of {to}, or name the http address itself if that is meant"
    )]
    RedirectToPlain { from: String, to: String },
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    #[error("the download broke off ({0})")]
    BrokeOff(String),
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    patience: Duration,
}

impl Download {
    /// How many bytes come, where the server has told.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes, [`None`] at the end of a file that came whole.
    ///
    /// # Errors
    /// [`Error::Silent`], or [`Error::BrokeOff`] where less came than the server had announced.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| Error::Silent(self.patience))? else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| Error::BrokeOff(root_cause(&error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// What is asked of a server besides the address.
#[derive(Clone, Default)]
pub struct Asking {
    /// The media types that are understood.
    pub accept: Option<String>,
    /// The whole header, for the origin of the address alone.
    pub authorization: Option<String>,
}

/// An answer of any status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The headers `WWW-Authenticate`.
    pub challenges: Vec<String>,
    pub body: Download,
}

impl Client {
    /// Asks for what is at `url`, with what a server may want to see, and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`Error`]; not [`Error::Refused`].
    pub async fn ask_for(
        &self,
        url: &str,
        asking: &Asking,
        patience: Duration,
    ) -> Result<Answer, Error> {
        let url = web(url)?;
        let login = asking
            .authorization
            .as_ref()
            .map(|header| Login::new(&url, header));
        let login = login.transpose()?;
        let accept = asking.accept.as_deref();
        let answer = self.follow(url, login.as_ref(), accept, patience).await?;
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|it| it.to_str().ok().map(str::to_owned));
        Ok(Answer {
            status: answer.status().as_u16(),
            challenges: challenges.collect(),
            body: Download {
                body: answer.into_body(),
                patience,
            },
        })
    }

    /// Asks for the file at `url` and waits for the head of a 200. `patience` is the longest silence of a server.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn download(&self, url: &str, patience: Duration) -> Result<Download, Error> {
        let mut url = web(url)?;
        let login = Login::take(&mut url);
        let answer = self.follow(url, login.as_ref(), None, patience).await?;
        if answer.status() != StatusCode::OK {
            return Err(Error::Refused(answer.status()));
        }
        let body = answer.into_body();
        Ok(Download { body, patience })
    }

    /// The first answer that is no redirect.
    async fn follow(
        &self,
        mut url: Url,
        login: Option<&Login>,
        accept: Option<&str>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Error> {
        for _ in 0..=MAX_REDIRECTS {
            let asked = self.ask(&url, login, accept);
            let answer = tokio::time::timeout(patience, asked).await;
            let answer = answer.map_err(|_| Error::Silent(patience))??;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            url = redirected(&url, &answer)?;
        }
        Err(Error::TooManyRedirects)
    }

    async fn ask(
        &self,
        url: &Url,
        login: Option<&Login>,
        accept: Option<&str>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::get(url.as_str()).header(USER_AGENT, OURSELVES);
        if let Some(login) = login.filter(|login| login.origin == url.origin()) {
            request = request.header(AUTHORIZATION, login.header.clone());
        }
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let request = request
            .body(Full::default())
            .map_err(|error| Error::NotUrl(error.to_string()))?;
        let answer = if url.scheme() == "https" {
            self.secure().pool().await?.request(request).await
        } else {
            self.plain().request(request).await
        };
        answer.map_err(|error| match tls::explain(host(url), &error) {
            Some(tls) => tls.into(),
            None => Error::Unreachable {
                host: host(url).to_owned(),
                reason: root_cause(&error),
            },
        })
    }
}

/// The user part of a URL.
struct Login {
    origin: Origin,
    header: HeaderValue,
}

impl Login {
    fn new(url: &Url, header: &str) -> Result<Login, Error> {
        let header = HeaderValue::try_from(header);
        let mut header = header.map_err(|_| Error::NotUrl("the login is no header".to_owned()))?;
        header.set_sensitive(true);
        Ok(Login {
            origin: url.origin(),
            header,
        })
    }

    fn take(url: &mut Url) -> Option<Login> {
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let mut login = decoded(url.username());
        let password = url.password().map(decoded);
        if login.is_empty() && password.is_none() {
            return None;
        }
        login.push(b':');
        login.extend(password.unwrap_or_default());
        // Both fail only for URLs that have no host; http and https ones have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut header = HeaderValue::try_from(format!("Basic {}", BASE64.encode(login))).ok()?;
        header.set_sensitive(true);
        Some(Login {
            origin: url.origin(),
            header,
        })
    }
}

fn redirected<B>(from: &Url, answer: &Response<B>) -> Result<Url, Error> {
    let location = answer.headers().get(LOCATION);
    let location = location.ok_or(Error::RedirectToNowhere)?;
    let no_url = |reason: &dyn fmt::Display| Error::RedirectToNoUrl(reason.to_string());
    let location = location.to_str().map_err(|error| no_url(&error))?;
    let mut to = from.join(location).map_err(|error| no_url(&error))?;
    if !is_web(&to) {
        return Err(Error::RedirectToOther);
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(Error::RedirectToPlain {
            from: host(from).to_owned(),
            to: host(&to).to_owned(),
        });
    }
    // A server does not choose as whom we log in elsewhere.
    drop(Login::take(&mut to));
    Ok(to)
}

fn web(url: &str) -> Result<Url, Error> {
    let url = Url::parse(url).map_err(|error| Error::NotUrl(error.to_string()))?;
    if !is_web(&url) {
        return Err(Error::NotUrl("neither http nor https".to_owned()));
    }
    Ok(url)
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
