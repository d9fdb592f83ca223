//! Owns calling a plug-in: what it is told, and how long it may take (the CNI specification, section 3).

use crate::networks::NetworkError;
use crate::whole;
use rustix::fs::FlockOperation;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// A plug-in that takes longer is killed.
const LONGEST_CALL: Duration = Duration::from_mins(1);
/// All plug-ins that run at a time.
const MAX_CALLS: usize = 64;
/// An answer that is longer is none.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// So much of what it said is told where it failed.
const MAX_TOLD_BYTES: usize = 4096;
const IDLE_PAUSE: Duration = Duration::from_millis(50);
const CALL: &str = "call";
/// Where plug-ins find their own programs (iptables) if the agent has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One call.
pub(super) struct Call<'a> {
    /// ADD or DEL.
    pub(super) command: &'static str,
    pub(super) container: &'a str,
    pub(super) network: &'a str,
    pub(super) interface: &'a str,
    pub(super) namespace: Option<PathBuf>,
    /// Its configuration.
    pub(super) plugin: &'a Map<String, Value>,
    /// What the plug-in before it answered, or at the end what the last one did.
    pub(super) previous: Option<&'a Value>,
}

impl Call<'_> {
    fn action(&self) -> &'static str {
        match self.command {
            "ADD" => "attach",
            _ => "detach",
        }
    }

    fn failed(&self, plugin: &Path, reason: String) -> NetworkError {
        NetworkError::Plugin {
            plugin: plugin.to_owned(),
            action: self.action(),
            container: self.container.to_owned(),
            network: self.network.to_owned(),
            reason,
        }
    }

    fn text(&self) -> Vec<u8> {
        let mut text = self.plugin.clone();
        if let Some(previous) = self.previous {
            text.insert("prevResult".to_owned(), previous.clone());
        }
        Value::Object(text).to_string().into_bytes()
    }
}

/// Programs of plug-ins.
#[derive(Debug)]
pub(super) struct Plugins {
    /// As `PATH` has them.
    dirs: String,
    calls: Semaphore,
}

impl Plugins {
    pub(super) fn new(dirs: String) -> Self {
        Self {
            dirs,
            calls: Semaphore::new(MAX_CALLS),
        }
    }

    /// The program of a plug-in, which lies in one of the directories itself.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let is_name =
            !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        let dirs = self
            .dirs
            .split(':')
            .filter(|dir| is_name && !dir.is_empty());
        let mut programs = dirs.map(|dir| Path::new(dir).join(name));
        programs.find(|program| {
            let found = program.metadata();
            found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }

    /// Runs a plug-in and tells what it answers. `dir`: the container's own.
    pub(super) async fn call(
        &self,
        dir: &Path,
        call: &Call<'_>,
    ) -> Result<(PathBuf, Vec<u8>), NetworkError> {
        let name = call.plugin.get("type").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let program = self.find(name).ok_or_else(|| NetworkError::NoPlugin {
            plugin: name.to_owned(),
            action: call.action(),
            container: call.container.to_owned(),
            network: call.network.to_owned(),
        })?;
        let _call = self
            .calls
            .acquire()
            .await
            .map_err(|_| NetworkError::Ending)?;
        let input = locked(dir, &call.text())?;
        let ran = run(&program, &self.environment(call), input).await;
        let (status, stdout, stderr) = ran.map_err(|reason| call.failed(&program, reason))?;
        if status.success() {
            return Ok((program, stdout));
        }
        let reason = format!("stdout='{}', stderr='{}'", told(&stdout), told(&stderr));
        Err(call.failed(&program, reason))
    }

    fn environment(&self, call: &Call<'_>) -> Vec<(&'static str, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        let namespace = call.namespace.clone().map(PathBuf::into_os_string);
        let known = [
            ("PATH", Some(path)),
            ("CNI_COMMAND", Some(call.command.into())),
            ("CNI_CONTAINERID", Some(call.container.into())),
            ("CNI_IFNAME", Some(call.interface.into())),
            ("CNI_PATH", Some(self.dirs.clone().into())),
            ("CNI_NETNS", namespace),
        ];
        let known = known.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

type Ran = (std::process::ExitStatus, Vec<u8>, Vec<u8>);

async fn run(
    program: &Path,
    environment: &[(&'static str, OsString)],
    input: File,
) -> Result<Ran, String> {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    // So that all it started can be killed with it.
    command.process_group(0);
    command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let group = child.id();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(read(stdout), read(stderr), child.wait()) };
    let ended = timeout(LONGEST_CALL, all).await;
    let Ok((stdout, stderr, status)) = ended else {
        let group = group.and_then(|pid| i32::try_from(pid).ok());
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        return Err(format!(
            "it was killed, since it had not ended after {} s",
            LONGEST_CALL.as_secs()
        ));
    };
    Ok((status.map_err(|error| error.to_string())?, stdout, stderr))
}

/// The beginning of it; the rest is read and dropped, so that nobody waits.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut bounded = stream.take(MAX_ANSWER_BYTES);
        let _ = bounded.read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut bounded.into_inner(), &mut tokio::io::sink()).await;
    }
    bytes
}

fn told(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_TOLD_BYTES)];
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A file to be read by a plug-in. Its lock lasts as long as anybody has it open: also after the agent's death.
fn locked(dir: &Path, text: &[u8]) -> Result<File, NetworkError> {
    let path = dir.join(CALL);
    let make = || {
        let fresh = dir.join("call.new");
        whole::replace(&path, &fresh, text, false)?;
        let file = File::open(&path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    make().map_err(NetworkError::file("write", &path))
}

/// Waits until no plug-in runs for a container, but not for ever.
pub(super) async fn until_idle(dir: &Path) -> Result<(), NetworkError> {
    let path = dir.join(CALL);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(NetworkError::file("read", &path))?,
    };
    let give_up = Instant::now() + LONGEST_CALL;
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= give_up {
            // Whoever holds it will hold it for ever.
            return Ok(());
        }
        sleep(IDLE_PAUSE).await;
    }
    Ok(())
}
