//! Brings a command's files into its sandbox before it starts: plain files, HTTP, permissions, archives.
//!
//! Owns the limits on size and time and where a file may land: only inside the sandbox. Nothing of the task runs
//! yet while it works, so a path that was checked stays what it was. URIs may carry secrets: their user part
//! and query are never shown.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{StatusCode, Uri as HttpUri, header::LOCATION};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tepui_protocol::v1::command_info;

/// Redirects that are followed for one file.
const MAX_REDIRECTS: usize = 5;
const COPY_BUFFER_BYTES: usize = 256 * 1024;

/// The limits of fetching.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Where relative paths begin; without it they are refused.
    pub frameworks_home: Option<PathBuf>,
    /// The most bytes of one file as it is fetched.
    pub max_bytes: u64,
    /// The longest silence of a server.
    pub stall_timeout: Duration,
    /// For all files of one container together.
    pub timeout: Duration,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            frameworks_home: None,
            max_bytes: 16 << 30,
            stall_timeout: Duration::from_mins(1),
            timeout: Duration::from_mins(30),
        }
    }
}

/// Where a file comes from.
enum Source {
    Path(PathBuf),
    Http(HttpUri),
}

impl Fetcher {
    /// Fetches all files, in order, into a sandbox that exists; what was made belongs to `user` then.
    ///
    /// # Errors
    /// The first file that could not be had, with the reason, in words for the framework.
    pub async fn fetch(
        &self,
        uris: &[command_info::Uri],
        sandbox: &Path,
        user: Option<&str>,
    ) -> Result<(), String> {
        let all = async {
            for uri in uris {
                let fetched = self.fetch_one(uri, sandbox).await;
                fetched.map_err(|error| format!("{}: {error}", shown(&uri.value)))?;
            }
            Ok(())
        };
        let limit = tokio::time::timeout(self.timeout, all).await;
        limit.unwrap_or_else(|_| Err(format!("not done after {} s", self.timeout.as_secs())))?;
        let Some(user) = user.map(str::to_owned) else {
            return Ok(());
        };
        let sandbox = sandbox.to_owned();
        blocking(move || give_to(&sandbox, &user)).await
    }

    async fn fetch_one(&self, uri: &command_info::Uri, sandbox: &Path) -> Result<(), String> {
        let source = self.source(&uri.value)?;
        let name = match &uri.output_file {
            Some(name) => PathBuf::from(name),
            None => PathBuf::from(base_name(&uri.value)?),
        };
        let (root, name) = (sandbox.to_owned(), name);
        let target = blocking(move || target(&root, &name)).await?;
        match source {
            Source::Path(path) => {
                let (to, max_bytes) = (target.clone(), self.max_bytes);
                blocking(move || copy(&path, &to, max_bytes)).await?;
            }
            Source::Http(address) => self.download(address, &target).await?,
        }
        let executable = uri.executable.unwrap_or(false);
        let extract = uri.extract.unwrap_or(true);
        let root = sandbox.to_owned();
        blocking(move || {
            if executable {
                return make_executable(&target).map_err(text);
            }
            if extract {
                unpack(&target, &root)
            } else {
                Ok(())
            }
        })
        .await
    }

    fn source(&self, uri: &str) -> Result<Source, String> {
        if let Some(path) = uri.strip_prefix("file://") {
            let path = path.strip_prefix("localhost").unwrap_or(path);
            return Ok(Source::Path(PathBuf::from(path)));
        }
        if uri.starts_with('/') {
            return Ok(Source::Path(PathBuf::from(uri)));
        }
        match uri.split_once("://") {
            Some(("http", _)) => {
                let address = uri
                    .parse()
                    .map_err(|_| "it is not a valid URL".to_owned())?;
                Ok(Source::Http(address))
            }
            Some((scheme, _)) => Err(format!(
                "this agent cannot fetch by '{scheme}'; use http, file or an absolute path"
            )),
            None => match &self.frameworks_home {
                Some(home) => Ok(Source::Path(home.join(uri))),
                None => Err("a relative path needs the agent's --frameworks_home".to_owned()),
            },
        }
    }

    async fn download(&self, mut address: HttpUri, target: &Path) -> Result<(), String> {
        let client =
            Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(HttpConnector::new());
        for _ in 0..=MAX_REDIRECTS {
            let asked = tokio::time::timeout(self.stall_timeout, client.get(address.clone())).await;
            let answer = asked.map_err(|_| self.stalled())?;
            let answer =
                answer.map_err(|error| format!("the server cannot be reached ({error})"))?;
            if answer.status().is_redirection() {
                let location = answer
                    .headers()
                    .get(LOCATION)
                    .and_then(|it| it.to_str().ok());
                address = redirected(&address, location)?;
                continue;
            }
            if answer.status() != StatusCode::OK {
                return Err(format!("the server answered {}", answer.status()));
            }
            return self.receive(answer.into_body(), target).await;
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }

    async fn receive(&self, mut body: hyper::body::Incoming, target: &Path) -> Result<(), String> {
        let to = target.to_owned();
        let mut file = blocking(move || create(&to).map_err(text)).await?;
        let mut left = self.max_bytes;
        loop {
            let frame = tokio::time::timeout(self.stall_timeout, body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.stalled())? else {
                return Ok(());
            };
            let frame = frame.map_err(|error| format!("the download broke off ({error})"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| too_big(self.max_bytes))?;
            file = blocking(move || {
                file.write_all(&data).map_err(text)?;
                Ok(file)
            })
            .await?;
        }
    }

    fn stalled(&self) -> String {
        format!(
            "the server was silent for {} s",
            self.stall_timeout.as_secs()
        )
    }
}

/// The file name at the end of a path or URL, without query and fragment.
fn base_name(uri: &str) -> Result<&str, String> {
    let is_url = uri.contains("://");
    let path = uri
        .split(['?', '#'])
        .next()
        .filter(|_| is_url)
        .unwrap_or(uri);
    let name = path.trim_end_matches('/').rsplit('/').next();
    let name = name.filter(|name| !name.is_empty() && *name != "." && *name != "..");
    name.ok_or_else(|| "it names no file".to_owned())
}

/// Where in the sandbox a file goes; makes the directories above it and makes way for it.
fn target(sandbox: &Path, name: &Path) -> Result<PathBuf, String> {
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.as_os_str().is_empty() {
        return Err("the output file must be a relative path without '..'".to_owned());
    }
    let root = sandbox.canonicalize().map_err(text)?;
    let path = root.join(name);
    let parent = path.parent().unwrap_or(&root);
    // An archive fetched before may have left links: no step of the way may be one.
    let mut step = root.clone();
    for part in parent
        .strip_prefix(&root)
        .map_err(|error| error.to_string())?
    {
        step.push(part);
        match fs::symlink_metadata(&step) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err("the way to the output file is not a directory".to_owned()),
            Err(_) => fs::create_dir(&step).map_err(text)?,
        }
    }
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => return Err("the output file is a directory".to_owned()),
        Ok(_) => fs::remove_file(&path).map_err(text)?,
        Err(_) => {}
    }
    Ok(path)
}

fn create(target: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    options.open(target)
}

fn copy(from: &Path, to: &Path, max_bytes: u64) -> Result<(), String> {
    let mut source = File::open(from).map_err(text)?;
    let metadata = source.metadata().map_err(text)?;
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    let mut target = create(to).map_err(text)?;
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut left = max_bytes;
    loop {
        let count = source.read(&mut buffer).map_err(text)?;
        if count == 0 {
            let mode = metadata.permissions().mode() & 0o777;
            return target
                .set_permissions(fs::Permissions::from_mode(mode | 0o600))
                .map_err(text);
        }
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| too_big(max_bytes))?;
        target.write_all(&buffer[..count]).map_err(text)?;
    }
}

fn make_executable(target: &Path) -> io::Result<()> {
    let mode = fs::metadata(target)?.permissions().mode();
    fs::set_permissions(target, fs::Permissions::from_mode(mode | 0o111))
}

/// Unpacks an archive that its name tells; anything else stays as it is.
fn unpack(target: &Path, sandbox: &Path) -> Result<(), String> {
    let name = target
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let tar = [
        ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
    ];
    if ends(&tar) {
        let mut command = Command::new("tar");
        command
            .args(["--no-same-owner", "--no-same-permissions", "-C"])
            .arg(sandbox);
        return run(command.arg("-xf").arg(target));
    }
    if ends(&[".zip"]) {
        let mut command = Command::new("unzip");
        return run(command
            .args(["-o", "-q", "-d"])
            .arg(sandbox)
            .arg("--")
            .arg(target));
    }
    let Some(plain) = name.strip_suffix(".gz").filter(|plain| !plain.is_empty()) else {
        return Ok(());
    };
    let output = target.with_file_name(plain);
    if fs::symlink_metadata(&output).is_ok() {
        fs::remove_file(&output).map_err(text)?;
    }
    let output = create(&output).map_err(text)?;
    run(Command::new("gzip").arg("-dc").arg(target).stdout(output))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command
        .spawn()
        .map_err(|error| format!("{program} cannot be run ({error})"))?;
    let done = child.wait_with_output().map_err(text)?;
    if done.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&done.stderr);
    let first = words.lines().next().unwrap_or_default();
    Err(format!("{program} failed with {} ({first})", done.status))
}

/// Gives everything in the sandbox to the user, links themselves and not what they point to.
fn give_to(sandbox: &Path, user: &str) -> Result<(), String> {
    let found = nix::unistd::User::from_name(user).map_err(|errno| errno.to_string())?;
    let found = found.ok_or_else(|| format!("the user '{user}' does not exist on this machine"))?;
    let mut directories = vec![sandbox.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(text)? {
            let entry = entry.map_err(text)?;
            let (uid, gid) = (found.uid.as_raw(), found.gid.as_raw());
            lchown(entry.path(), Some(uid), Some(gid)).map_err(text)?;
            if entry.file_type().map_err(text)?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}

fn redirected(from: &HttpUri, location: Option<&str>) -> Result<HttpUri, String> {
    let location = location.ok_or("the server redirects without saying where")?;
    let whole = if location.starts_with('/') {
        format!(
            "http://{}{location}",
            from.authority().map_or("", |it| it.as_str())
        )
    } else {
        location.to_owned()
    };
    let to: HttpUri = whole
        .parse()
        .map_err(|_| "the server redirects to no valid URL")?;
    if to.scheme_str() == Some("http") {
        return Ok(to);
    }
    Err("the server redirects to what is not http".to_owned())
}

/// A URI without what may be secret.
fn shown(uri: &str) -> String {
    let plain = uri.split(['?', '#']).next().unwrap_or(uri);
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}{path}")
        }
        None => plain.to_owned(),
    }
}

fn too_big(max_bytes: u64) -> String {
    format!("it has more than {max_bytes} bytes")
}

fn text(error: io::Error) -> String {
    error.to_string()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;
