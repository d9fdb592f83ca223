//! Owns what registries want to see before they give: logins from a Docker configuration file, and the challenges of
//! their answers. Pure.

use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// What a token may be made of, as a header.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// Logins by the host of a registry, as `user:password` in base64. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Logins(BTreeMap<String, String>);

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    auth: String,
}

impl Logins {
    /// Reads `~/.docker/config.json`, or the older `~/.dockercfg`.
    ///
    /// Errors: what is wrong with it; never a part of it.
    pub fn parse(json: &str) -> Result<Self, String> {
        let wrong =
            || "expected JSON such as {\"auths\": {\"registry.io\": {\"auth\": \"…\"}}}".to_owned();
        let all: serde_json::Value = serde_json::from_str(json).map_err(|_| wrong())?;
        let logins = all.get("auths").unwrap_or(&all).clone();
        let logins: BTreeMap<String, Login> =
            serde_json::from_value(logins).map_err(|_| wrong())?;
        let logins = logins
            .into_iter()
            .filter(|(_, login)| !login.auth.is_empty());
        Ok(Self(
            logins
                .map(|(url, login)| (host_of(&url).to_owned(), login.auth))
                .collect(),
        ))
    }

    /// The login for a registry.
    pub(crate) fn of(&self, host: &str) -> Option<&str> {
        let found = self.0.get(host);
        // Docker keeps that of its hub under the name of an older service.
        let hub = || {
            self.0
                .get("index.docker.io")
                .or_else(|| self.0.get("docker.io"))
        };
        let found = found.or_else(|| hub().filter(|_| host == "registry-1.docker.io"));
        found.map(String::as_str)
    }
}

/// The host in `https://host:port/v1/`, or in a name without more.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// What a 401 asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer(TokenService),
}

/// Who gives tokens, and what for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenService {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// Reads a header `WWW-Authenticate`; `None`: a kind that is not known.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut given = parameters(rest);
        Some(Self::Bearer(TokenService {
            realm: given.remove("realm")?,
            service: given.remove("service"),
            scope: given.remove("scope"),
        }))
    }

    /// The token in the answer of such a service.
    pub(crate) fn token(json: &[u8]) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
        }
        let given: Result<Given, _> = serde_json::from_slice(json);
        let token = given.ok().and_then(|it| it.token.or(it.access_token));
        let fits = |token: &String| {
            (1..=MAX_TOKEN_BYTES).contains(&token.len())
                && token.bytes().all(|it| it.is_ascii_graphic())
        };
        let token = token.filter(fits);
        token.ok_or_else(|| "its token service gave no token".to_owned())
    }
}

impl TokenService {
    /// Some registries do not say what for: then it is to read this repository, as Docker and Mesos have it.
    pub(crate) fn for_repository(mut self, repository: &str) -> Self {
        let wanted = || format!("repository:{repository}:pull");
        self.scope.get_or_insert_with(wanted);
        self
    }

    /// The address to ask. `may_be_plain` says of a host whether it may be asked without encryption.
    pub(crate) fn url(&self, may_be_plain: impl Fn(&str) -> bool) -> Result<String, String> {
        let no_url = || "it names no valid address of its token service".to_owned();
        let mut url = Url::parse(&self.realm).map_err(|_| no_url())?;
        let host = url.host_str().ok_or_else(no_url)?;
        if url.scheme() != "https" && !(url.scheme() == "http" && may_be_plain(host)) {
            return Err(format!(
                "its token service {host} is not asked by https: a login would be sent in the open"
            ));
        }
        for (name, value) in [("service", &self.service), ("scope", &self.scope)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url.to_string())
    }
}

/// `name="value",name=value`.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.entry(name).or_insert_with(|| value.trim().to_owned());
        rest = next;
    }
    found
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
