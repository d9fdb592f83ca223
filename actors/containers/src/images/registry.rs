//! Owns fetching an image from a registry (the HTTP API v2 of Docker, the distribution spec of OCI) into a directory
//! in the form of an OCI layout. Nothing there is believed: each file is kept under the digest it was checked against.

use crate::images::access::{Challenge, Logins};
use crate::images::layout::{blob_path, pairs, platform};
use crate::images::manifest::{self, ACCEPTED, Blob, Described, MAX_DESCRIPTION_BYTES, Manifest};
use crate::images::reference::{Digest, Reference, checked_registry};
use crate::images::store::{Store, equal};
use crate::images::taking::Taking;
use crate::images::{ImageError, RegistryError};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use tepui_client::Client;
use tepui_client::download::{Answer, Asking, Download};
use tokio::io::AsyncWriteExt;

/// Docker's own, where images are kept that name no registry.
const HUB: &str = "registry-1.docker.io";
/// Names people have for it.
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", HUB];
/// Images of the hub without a slash in their name.
const OFFICIAL: &str = "library";
/// The longest silence of a server.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of one layer as it comes.
const MAX_LAYER_BYTES: u64 = 16 << 30;
/// After so much of a blob the room on the disk is looked at again.
const PIECE_BYTES: u64 = 8 << 20;
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// Where images come from that name no registry, and how those that do are reached.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Client,
    default: Endpoint,
    logins: Logins,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    /// `host` or `host:port`.
    host: String,
    is_plain: bool,
}

impl Endpoint {
    /// `http` only for what does not leave the machine (Mesos: `getRegistryScheme` in `src/docker/spec.cpp`).
    fn of(host: &str) -> Self {
        let host = match HUB_NAMES.contains(&host) {
            true => HUB,
            false => host,
        };
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        };
        Self {
            host: host.to_owned(),
            is_plain: is_loopback(name) && port.is_some_and(|port| port != "443"),
        }
    }

    fn url(&self) -> String {
        let scheme = if self.is_plain { "http" } else { "https" };
        format!("{scheme}://{}/v2", self.host)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Registry {
    /// `url` as `--docker_registry` has it: `https://host[:port]`, `http://…` where the operator means it, or a host alone.
    pub fn new(client: Client, url: &str, logins: Logins) -> Result<Self, ImageError> {
        let (scheme, host) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest.trim_end_matches('/')),
            None => (None, url.trim_end_matches('/')),
        };
        let mut default = Endpoint::of(&checked_registry(host)?);
        match scheme {
            None => {}
            Some("http") => default.is_plain = true,
            Some("https") => default.is_plain = false,
            Some(_) => return Err(RegistryError::Scheme(url.to_owned()).into()),
        }
        Ok(Self {
            client,
            default,
            logins,
        })
    }

    fn endpoint(&self, reference: &Reference) -> Endpoint {
        let named = reference.registry.as_deref().map(Endpoint::of);
        // How the operator reaches it is how it is reached.
        let named = named.filter(|it| it.host != self.default.host);
        named.unwrap_or_else(|| self.default.clone())
    }

    /// Fetches what an image consists of into `dir`, but for layers that `store` has; those stay there while `taking` lives.
    pub async fn fetch(
        &self,
        reference: &Reference,
        dir: &Path,
        store: &Store,
        taking: &mut Taking,
    ) -> Result<Manifest, ImageError> {
        let endpoint = self.endpoint(reference);
        let is_official = endpoint.host == HUB && !reference.repository.contains('/');
        let repository = match is_official {
            true => format!("{OFFICIAL}/{}", reference.repository),
            false => reference.repository.clone(),
        };
        let mut session = Session {
            registry: self,
            endpoint,
            repository,
            authorization: None,
        };
        let blobs = dir.join("blobs/sha256");
        let made = tokio::fs::create_dir_all(&blobs).await;
        made.map_err(ImageError::file("make the directory", &blobs))?;
        let version = reference.version();
        let manifest = session.manifest(&version, reference.digest.as_ref());
        let manifest = manifest.await?;
        let config = session.blob(&manifest.config, MAX_DESCRIPTION_BYTES, dir, taking);
        config.await?;
        let config =
            crate::images::layout::description(dir, "configuration", &manifest.config.digest)?;
        let config = manifest::config(&config)?;
        taking.hold_later(store.holds(), &config.layers).await;
        let mut left = taking.bytes_left();
        for (digest, blob) in pairs(&config.layers, &manifest.layers)? {
            if store.layer(digest).is_none() {
                let max_bytes = MAX_LAYER_BYTES.min(left);
                left -= session.blob(blob, max_bytes, dir, taking).await?;
            }
        }
        Ok(manifest)
    }
}

/// One image of one registry.
struct Session<'a> {
    registry: &'a Registry,
    endpoint: Endpoint,
    repository: String,
    authorization: Option<String>,
}

impl Session<'_> {
    async fn manifest(
        &mut self,
        version: &str,
        digest: Option<&Digest>,
    ) -> Result<Manifest, ImageError> {
        match self.described(version, digest).await? {
            Described::Image(manifest) => Ok(manifest),
            Described::Index(choices) => {
                let chosen = manifest::for_platform(&choices, &platform())?.digest;
                match self.described(&chosen.to_string(), Some(&chosen)).await? {
                    Described::Image(manifest) => Ok(manifest),
                    Described::Index(_) => {
                        Err(manifest::ManifestError::NotThere(Vec::new()).into())
                    }
                }
            }
        }
    }

    async fn described(
        &mut self,
        version: &str,
        digest: Option<&Digest>,
    ) -> Result<Described, ImageError> {
        let path = format!("manifests/{version}");
        let body = self.ask(&path, Some(ACCEPTED.join(", "))).await?;
        let bytes = self.read("manifest", body, MAX_DESCRIPTION_BYTES).await?;
        if let Some(expected) = digest {
            let found = Digest::from_bytes(&Sha256::digest(&bytes));
            equal("manifest", expected, found)?;
        }
        Ok(manifest::described(&bytes)?)
    }

    /// Keeps a blob under the digest it must have; says how many bytes that were.
    async fn blob(
        &mut self,
        blob: &Blob,
        max_bytes: u64,
        dir: &Path,
        taking: &Taking,
    ) -> Result<u64, ImageError> {
        let path = blob_path(dir, &blob.digest);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            // A layer that an image has twice.
            return Ok(0);
        }
        let max_bytes = blob.size_bytes.min(max_bytes);
        let mut body = self.ask(&format!("blobs/{}", blob.digest), None).await?;
        let unwritable = || ImageError::file("write", &path);
        let mut file = tokio::fs::File::create_new(&path)
            .await
            .map_err(unwritable())?;
        let (mut state, mut left) = (Sha256::new(), max_bytes);
        let mut unlooked = 0;
        while let Some(data) = self.next(&mut body).await? {
            let what = "blob";
            let too_big = || ImageError::TooBig { what, max_bytes };
            left = left.checked_sub(data.len() as u64).ok_or_else(too_big)?;
            unlooked += data.len() as u64;
            if unlooked >= PIECE_BYTES {
                taking.room(&file)?;
                unlooked = 0;
            }
            state.update(&data);
            file.write_all(&data).await.map_err(unwritable())?;
        }
        file.flush().await.map_err(unwritable())?;
        equal("blob", &blob.digest, Digest::from_bytes(&state.finalize()))?;
        Ok(max_bytes - left)
    }

    /// Asks, and once more with what the registry wants to see first.
    async fn ask(&mut self, path: &str, accept: Option<String>) -> Result<Download, ImageError> {
        let url = format!("{}/{}/{path}", self.endpoint.url(), self.repository);
        let answer = self.ask_once(&url, accept.clone()).await?;
        if answer.status != 401 {
            return self.accepted(path, answer);
        }
        self.authorization = Some(self.authorize(&answer.challenges).await?);
        let answer = self.ask_once(&url, accept).await?;
        self.accepted(path, answer)
    }

    async fn ask_once(&self, url: &str, accept: Option<String>) -> Result<Answer, ImageError> {
        let asking = Asking {
            accept,
            authorization: self.authorization.clone(),
        };
        let client = &self.registry.client;
        let answer = client.ask_for(url, &asking, PATIENCE).await;
        answer.map_err(|error| self.failed(error.to_string()))
    }

    fn accepted(&self, path: &str, answer: Answer) -> Result<Download, ImageError> {
        match answer.status {
            200 => Ok(answer.body),
            404 => Err(RegistryError::NotThere {
                host: self.endpoint.host.clone(),
                repository: self.repository.clone(),
                what: path.to_owned(),
            }
            .into()),
            401 | 403 => Err(RegistryError::NotAllowed {
                host: self.endpoint.host.clone(),
                repository: self.repository.clone(),
            }
            .into()),
            status => Err(self.failed(format!("it answered {status}"))),
        }
    }

    /// The header that a registry wants, by its own words.
    async fn authorize(&self, challenges: &[String]) -> Result<String, ImageError> {
        let login = self.registry.logins.of(&self.endpoint.host);
        let login = login.map(|login| format!("Basic {login}"));
        match challenges.iter().find_map(|it| Challenge::parse(it)) {
            Some(Challenge::Basic) => login.ok_or_else(|| {
                let (host, repository) = (self.endpoint.host.clone(), self.repository.clone());
                RegistryError::NotAllowed { host, repository }.into()
            }),
            Some(Challenge::Bearer(token)) => {
                let is_plain = self.endpoint.is_plain;
                let token = token.for_repository(&self.repository);
                let url = token.url(|host| is_plain || is_loopback(host));
                let url = url.map_err(|reason| self.failed(reason))?;
                let answer = Asking {
                    accept: None,
                    authorization: login,
                };
                let client = &self.registry.client;
                let answer = client.ask_for(&url, &answer, PATIENCE).await;
                let answer = answer.map_err(|error| self.failed(error.to_string()))?;
                let body = self.accepted("token", answer)?;
                let json = self.read("token", body, MAX_TOKEN_BYTES).await?;
                let token = Challenge::token(&json).map_err(|reason| self.failed(reason))?;
                Ok(format!("Bearer {token}"))
            }
            None => {
                Err(self.failed("it wants a login of a kind that is not known here".to_owned()))
            }
        }
    }

    async fn read(
        &self,
        what: &'static str,
        mut body: Download,
        max_bytes: u64,
    ) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        while let Some(data) = self.next(&mut body).await? {
            if (bytes.len() + data.len()) as u64 > max_bytes {
                return Err(ImageError::TooBig { what, max_bytes });
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    async fn next(&self, body: &mut Download) -> Result<Option<bytes::Bytes>, ImageError> {
        let next = body.next().await;
        next.map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, reason: String) -> ImageError {
        RegistryError::Failed {
            host: self.endpoint.host.clone(),
            reason,
        }
        .into()
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
