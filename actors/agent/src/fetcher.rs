//! Brings a command's files into its sandbox before it starts: plain files, http and https, permissions, archives.
//!
//! Owns the limits on size and time and where a file may land: only inside the sandbox. Nothing of the task runs
//! yet while it works, so a path that was checked stays what it was. Files are read and written with the rights
//! of the task's user, never more. URIs may carry secrets: their user part and query are never shown.

mod rights;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tepui_client::{Client, Options, download::Download};
use tepui_protocol::v1::command_info;

use self::rights::{Rights, acting};

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
    /// Asks the servers. One for all files: what https needs is read once, at the first such file.
    pub client: Client,
}

impl Default for Fetcher {
    fn default() -> Self {
        let stall_timeout = Duration::from_mins(1);
        Self {
            frameworks_home: None,
            max_bytes: 16 << 30,
            stall_timeout,
            timeout: Duration::from_mins(30),
            client: Client::new(Options {
                connect_timeout: stall_timeout,
                ..Options::default()
            }),
        }
    }
}

/// Where a file comes from.
enum Source<'a> {
    Path(PathBuf),
    Url(&'a str),
}

impl Fetcher {
    /// Fetches all files, in order, into a sandbox that exists and is `user`'s, as are the files then.
    ///
    /// # Errors
    /// The first file that could not be had, with the reason, in words for the framework.
    pub async fn fetch(
        &self,
        uris: &[command_info::Uri],
        sandbox: &Path,
        user: Option<&str>,
    ) -> Result<(), String> {
        let rights = match user.map(str::to_owned) {
            Some(user) => blocking(move || Rights::of(&user)).await?.map(Arc::new),
            None => None,
        };
        let all = async {
            for uri in uris {
                let fetched = self.fetch_one(uri, sandbox, rights.as_ref()).await;
                fetched.map_err(|error| format!("{}: {error}", shown(&uri.value)))?;
            }
            Ok(())
        };
        let limit = tokio::time::timeout(self.timeout, all).await;
        limit.unwrap_or_else(|_| Err(format!("not done after {} s", self.timeout.as_secs())))
    }

    async fn fetch_one(
        &self,
        uri: &command_info::Uri,
        sandbox: &Path,
        rights: Option<&Arc<Rights>>,
    ) -> Result<(), String> {
        // Mesos overlooks white space before a URI, too.
        let value = uri.value.trim_start();
        let source = self.source(value)?;
        let name = match &uri.output_file {
            Some(name) => PathBuf::from(name),
            None => PathBuf::from(base_name(value)?),
        };
        let (root, name) = (sandbox.to_owned(), name);
        let target = acting(rights, move || target(&root, &name)).await?;
        match source {
            Source::Path(path) => {
                let (to, max_bytes) = (target.clone(), self.max_bytes);
                acting(rights, move || copy(&path, &to, max_bytes)).await?;
            }
            Source::Url(url) => {
                let asked = self.client.download(url, self.stall_timeout).await;
                let download = asked.map_err(|error| error.to_string())?;
                let to = target.clone();
                let file = acting(rights, move || create(&to).map_err(text)).await?;
                self.receive(download, file).await?;
            }
        }
        let executable = uri.executable.unwrap_or(false);
        let extract = uri.extract.unwrap_or(true);
        let (root, lent) = (sandbox.to_owned(), rights.cloned());
        acting(rights, move || {
            if executable {
                return make_executable(&target).map_err(text);
            }
            if extract {
                unpack(&target, &root, lent.as_deref())
            } else {
                Ok(())
            }
        })
        .await
    }

    fn source<'a>(&self, uri: &'a str) -> Result<Source<'a>, String> {
        if let Some(path) = uri.strip_prefix("file://") {
            let path = path.strip_prefix("localhost").unwrap_or(path);
            return Ok(Source::Path(PathBuf::from(path)));
        }
        if uri.starts_with('/') {
            return Ok(Source::Path(PathBuf::from(uri)));
        }
        match uri.split_once("://") {
            Some(("http" | "https", _)) => Ok(Source::Url(uri)),
            Some((scheme, _)) => Err(format!(
                "this agent cannot fetch by '{scheme}'; use http, https, file or an absolute path"
            )),
            None => match &self.frameworks_home {
                Some(home) => Ok(Source::Path(home.join(uri))),
                None => Err("a relative path needs the agent's --frameworks_home".to_owned()),
            },
        }
    }

    async fn receive(&self, mut download: Download, mut file: File) -> Result<(), String> {
        let mut left = self.max_bytes;
        while let Some(data) = download.next().await.map_err(|error| error.to_string())? {
            left = left
                .checked_sub(data.len() as u64)
                .ok_or_else(|| too_big(self.max_bytes))?;
            file = blocking(move || {
                file.write_all(&data).map_err(text)?;
                Ok(file)
            })
            .await?;
        }
        Ok(())
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
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))
}

/// Unpacks into the sandbox an archive that its name tells; anything else stays as it is.
fn unpack(target: &Path, sandbox: &Path, rights: Option<&Rights>) -> Result<(), String> {
    let name = target
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let program = |name: &str| {
        let mut command = Command::new(name);
        if let Some(rights) = rights {
            rights.lend(&mut command);
        }
        command
    };
    let tar = [
        ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
    ];
    if ends(&tar) {
        let mut command = program("tar");
        command
            .args(["--no-same-owner", "--no-same-permissions", "-C"])
            .arg(sandbox);
        return run(command.arg("-xf").arg(target));
    }
    if ends(&[".zip"]) {
        let mut command = program("unzip");
        return run(command
            .args(["-o", "-q", "-d"])
            .arg(sandbox)
            .arg("--")
            .arg(target));
    }
    let Some(plain) = name.strip_suffix(".gz").filter(|plain| !plain.is_empty()) else {
        return Ok(());
    };
    let output = sandbox.join(plain);
    if fs::symlink_metadata(&output).is_ok() {
        fs::remove_file(&output).map_err(text)?;
    }
    let output = create(&output).map_err(text)?;
    run(program("gzip").arg("-dc").arg(target).stdout(output))
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

/// A URI without what may be secret.
fn shown(uri: &str) -> String {
    let uri = uri.trim_start();
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
