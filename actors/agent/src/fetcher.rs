//! Brings a command's files into its sandbox before it starts: plain files, http and https, permissions, archives, and a
//! cache of those that are wanted again.
//!
//! Owns the limits on size and time and where a file may land: only inside the sandbox. Files are read and written with
//! the rights of the task's user, never more. URIs may carry secrets: their user part and query are never shown, although
//! a file can be called by its query, as in Mesos.

mod cache;
mod errand;
mod intake;
mod keeping;
mod place;
mod report;
mod rights;
mod source;
mod table;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::fs::{Mode, OFlags};
use tepui_archives::{ArchiveError, Bounds, Kind};
use tepui_client::{Client, Options};
use tepui_kit::blocking;
use tepui_protocol::v1::command_info;

use self::{
    cache::{Asked, Cache, Filling, Held},
    errand::{Errand, Part},
    intake::{Opened, text},
    place::Place,
    report::Report,
    rights::{Rights, acting},
    source::{Source, shown},
};

/// How Mesos' agents have it where they are not told.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// The size of the cache where it is not told, in bytes.
pub const DEFAULT_CACHE_BYTES: u64 = 2 << 30;

/// The limits of fetching.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Where relative paths begin; without it they are refused.
    pub frameworks_home: Option<PathBuf>,
    /// The most bytes of one file as it is fetched.
    pub max_bytes: u64,
    /// What an archive may unpack to.
    pub bounds: Bounds,
    /// The longest silence of a server.
    pub stall_timeout: Duration,
    /// For all files of one container together.
    pub timeout: Duration,
    /// Asks the servers. One for all files: what https needs is read once, at the first such file.
    pub client: Client,
    cache: Option<Arc<Cache>>,
    counts: Arc<Counts>,
}

/// What came of all that was asked of a fetcher (Mesos: `containerizer/fetcher/…`).
#[derive(Debug, Default)]
struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// Numbers of a fetcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetcherNumbers {
    /// Containers that got all their files.
    pub succeeded: u64,
    /// Containers that did not.
    pub failed: u64,
    pub cache_bytes: u64,
    /// Reserved ones among them.
    pub cache_used_bytes: u64,
}

impl Default for Fetcher {
    /// Without a cache.
    fn default() -> Self {
        Self::new(DEFAULT_STALL_TIMEOUT)
    }
}

/// Whose file is wanted, and for which sandbox.
struct Order<'a> {
    sandbox: &'a Path,
    user: Option<&'a str>,
    rights: Option<&'a Arc<Rights>>,
    report: &'a Report,
    errand: &'a Errand,
}

impl Order<'_> {
    /// Does blocking work on files with the user's rights.
    async fn acting<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Part) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let part = self.errand.part();
        acting(self.rights, move || work(&part)).await
    }
}

impl Fetcher {
    /// One without a cache.
    pub fn new(stall_timeout: Duration) -> Self {
        Self {
            frameworks_home: None,
            max_bytes: 16 << 30,
            bounds: Bounds::default(),
            stall_timeout,
            timeout: Duration::from_mins(30),
            client: Client::new(Options {
                connect_timeout: stall_timeout,
                ..Options::default()
            }),
            cache: None,
            counts: Arc::default(),
        }
    }

    /// Keeps up to `bytes` of files in a directory of its own in `directory`, where the files of an earlier cache are removed. Blocks for a moment.
    ///
    /// # Errors
    /// They cannot be.
    pub fn with_cache(mut self, directory: &Path, bytes: u64) -> io::Result<Self> {
        self.cache = Some(Cache::open(directory, bytes)?);
        Ok(self)
    }

    /// Its numbers at the moment.
    pub fn numbers(&self) -> FetcherNumbers {
        let cache = self.cache.as_ref();
        FetcherNumbers {
            succeeded: self.counts.succeeded.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
            cache_bytes: cache.map_or(0, |it| it.capacity()),
            cache_used_bytes: cache.map_or(0, |it| it.used()),
        }
    }

    /// Counts a container that asks for no files, as Mesos does.
    pub(crate) fn nothing_asked(&self) {
        self.counts.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    /// Fetches all files, in order, into a sandbox that exists and is `user`'s, as are the files then. What is done is said
    /// in the sandbox's `stderr`.
    ///
    /// # Errors
    /// The first file that could not be had, with the reason, in words for the framework.
    pub async fn fetch(
        &self,
        uris: &[command_info::Uri],
        sandbox: &Path,
        user: Option<&str>,
    ) -> Result<(), String> {
        let never = std::future::pending();
        self.fetch_unless(never, uris, sandbox, user).await
    }

    /// [`Self::fetch`], until `called_off` is done: then the sandbox is written to no more when this returns.
    ///
    /// # Errors
    /// As there; and that it was called off.
    pub async fn fetch_unless(
        &self,
        called_off: impl Future<Output = ()>,
        uris: &[command_info::Uri],
        sandbox: &Path,
        user: Option<&str>,
    ) -> Result<(), String> {
        let fetched = self.fetch_all(called_off, uris, sandbox, user).await;
        let counter = match &fetched {
            Ok(()) => &self.counts.succeeded,
            Err(_) => &self.counts.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        fetched
    }

    async fn fetch_all(
        &self,
        called_off: impl Future<Output = ()>,
        uris: &[command_info::Uri],
        sandbox: &Path,
        user: Option<&str>,
    ) -> Result<(), String> {
        let rights = match user.map(str::to_owned) {
            Some(user) => blocking(move || Rights::of(&user)).await?.map(Arc::new),
            None => None,
        };
        let report = Report::open(sandbox, rights.as_ref()).await;
        let errand = Errand::new();
        let order = Order {
            sandbox,
            user,
            rights: rights.as_ref(),
            report: &report,
            errand: &errand,
        };
        let all = async {
            for uri in uris {
                let shown = shown(&uri.value);
                let fetched = self.fetch_one(uri, &order).await;
                let to = fetched.map_err(|error| format!("{shown}: {error}"))?;
                let said = format!("Fetched '{shown}' to '{}'", to.display());
                report.say(said).await;
            }
            Ok(())
        };
        let late = || Err(format!("not done after {} s", self.timeout.as_secs()));
        let fetched = tokio::select! {
            biased;
            () = called_off => Err("what was called off".to_owned()),
            limit = tokio::time::timeout(self.timeout, all) => limit.unwrap_or_else(|_| late()),
        };
        // Whatever it was at when it was given up: nobody writes any more to what others may remove now.
        errand.end().await;
        let said = match &fetched {
            Ok(()) => format!("Successfully fetched all URIs into '{}'", sandbox.display()),
            Err(error) => format!("Failed to fetch {error}"),
        };
        report.say(said).await;
        fetched
    }

    /// Says where it is then: the file, or the sandbox it was unpacked into.
    async fn fetch_one(
        &self,
        uri: &command_info::Uri,
        order: &Order<'_>,
    ) -> Result<PathBuf, String> {
        let asked = source::parse(&uri.value, self.frameworks_home.as_deref())?;
        let name = uri.output_file.as_deref().unwrap_or(asked.name);
        let is_cached = uri.cache.unwrap_or(false);
        let mut opened = None;
        if let Some(cache) = self.cache.as_ref().filter(|_| is_cached) {
            let key = (order.user.map(str::to_owned), uri.value.trim().to_owned());
            let found = match cache.ask(&key, &source::shown_name(asked.name)).await? {
                Asked::Held(held) => Some(held),
                Asked::Wanted(filling) => match self.fill(filling, &asked, order).await? {
                    Filled::Held(held) => Some(held),
                    Filled::Not(source) => {
                        opened = Some(source);
                        None
                    }
                },
                Asked::Failed => None,
            };
            match found {
                Some(held) => return self.take(held, uri, &asked, order).await,
                None => {
                    let shown = shown(&uri.value);
                    let line = format!("Doing without the cache for '{shown}'");
                    order.report.say(line).await;
                }
            }
        }
        let shown = shown(&uri.value);
        let line = format!("Fetching '{shown}' directly into the sandbox directory");
        order.report.say(line).await;
        let source = match opened {
            Some(source) => source,
            None => self.open(&asked.source, order).await?,
        };
        let place = self.place(name, order).await?;
        let (file, place) = order.acting(|_| Ok((place.create()?, place))).await?;
        let part = order.errand.part();
        source
            .write_to(file, self.max_bytes, asked.checksum, part)
            .await?;
        let kind = unpacks(uri, &place.name());
        self.finish(place, uri, kind, order).await?;
        Ok(order.sandbox.join(shown_output(uri, &asked)))
    }

    async fn place(&self, name: &str, order: &Order<'_>) -> Result<Place, String> {
        let (sandbox, name) = (order.sandbox.to_owned(), PathBuf::from(name));
        order.acting(move |_| Place::find(&sandbox, &name)).await
    }

    async fn open(&self, source: &Source<'_>, order: &Order<'_>) -> Result<Opened, String> {
        match source {
            Source::Path(path) => {
                let path = path.clone();
                let opened = order.acting(move |_| open_plain(&path)).await;
                opened.map(Opened::File)
            }
            Source::Url(url) => {
                let asked = self.client.download(url, self.stall_timeout).await;
                asked
                    .map(Opened::Download)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// Fetches into the cache, if it has room for it.
    async fn fill(
        &self,
        filling: Filling,
        asked: &source::Asked<'_>,
        order: &Order<'_>,
    ) -> Result<Filled, String> {
        let source = self.open(&asked.source, order).await?;
        // What has no length, or is longer than a file may be, is not kept; nor is nothing, as in Mesos.
        let length = source
            .length()
            .filter(|it| (1..=self.max_bytes).contains(it));
        let Some(length) = length else {
            return Ok(Filled::Not(source));
        };
        let Some(file) = filling.reserve(length).await? else {
            return Ok(Filled::Not(source));
        };
        let part = order.errand.part();
        let count = source.write_to(file, length, asked.checksum, part).await?;
        if count != length {
            return Err(format!(
                "it had {length} bytes, and then {count}: it changed meanwhile"
            ));
        }
        Ok(Filled::Held(filling.complete().await?))
    }

    /// Gives the sandbox what the cache has. As in Mesos, what is done with it then depends on the URI's name, whatever the
    /// `output_file` is called.
    async fn take(
        &self,
        held: Held,
        uri: &command_info::Uri,
        asked: &source::Asked<'_>,
        order: &Order<'_>,
    ) -> Result<PathBuf, String> {
        let shown = shown(&uri.value);
        let line = format!("Fetching URI '{shown}' from cache");
        order.report.say(line).await;
        let Held { mut file, holding } = held;
        if let Some(checksum) = asked.checksum {
            let part = order.errand.part();
            let checked =
                blocking(move || intake::check(&mut file, checksum, &part).map(|()| file));
            file = checked.await.inspect_err(|_| holding.forget())?;
        }
        let kind = unpacks(uri, asked.name);
        // Mesos would not unpack it: whoever does it himself must find it.
        let is_mesos_kind = !tepui_archives::is_zstd(asked.name);
        if let Some(kind) = kind.filter(|_| is_mesos_kind) {
            if let Some(name) = uri.output_file.clone() {
                let sandbox = order.sandbox.to_owned();
                let made = order.acting(move |_| Place::above(&sandbox, Path::new(&name)));
                made.await?;
            }
            self.unpack(file, kind, asked.name.to_owned(), order)
                .await?;
            return Ok(order.sandbox.to_owned());
        }
        let name = uri.output_file.as_deref().unwrap_or(asked.name);
        let place = self.place(name, order).await?;
        let (to, place) = order.acting(|_| Ok((place.create()?, place))).await?;
        Opened::File(file)
            .write_to(to, self.max_bytes, None, order.errand.part())
            .await?;
        drop(holding);
        self.finish(place, uri, kind, order).await?;
        Ok(order.sandbox.join(shown_output(uri, asked)))
    }

    /// What is done with a file that is in the sandbox.
    async fn finish(
        &self,
        place: Place,
        uri: &command_info::Uri,
        kind: Option<Kind>,
        order: &Order<'_>,
    ) -> Result<(), String> {
        let is_executable = uri.executable.unwrap_or(false);
        let name = place.name();
        if !is_executable && kind.is_none() {
            return Ok(());
        }
        let file = order.acting(move |_| {
            let file = place.open()?;
            if is_executable {
                let mode = fs::Permissions::from_mode(0o755);
                file.set_permissions(mode).map_err(text)?;
            }
            Ok(file)
        });
        let file = file.await?;
        match kind {
            Some(kind) => self.unpack(file, kind, name, order).await,
            None => Ok(()),
        }
    }

    async fn unpack(
        &self,
        archive: File,
        kind: Kind,
        name: String,
        order: &Order<'_>,
    ) -> Result<(), String> {
        let (sandbox, bounds) = (order.sandbox.to_owned(), self.bounds);
        let said = source::shown_name(&name);
        let unpacked = order.acting(move |part| {
            let is_wanted = || part.is_wanted();
            let directory = place::open(rustix::fs::CWD, &sandbox).map_err(place::text)?;
            let done = tepui_archives::unpack(kind, archive, &name, directory, bounds, &is_wanted);
            done.map_err(|error| shown_error(&error, &name))
        });
        unpacked.await?;
        let line = format!("Extracted '{said}' into '{}'", order.sandbox.display());
        order.report.say(line).await;
        Ok(())
    }
}

enum Filled {
    Held(Held),
    /// It is not kept, but can be read.
    Not(Opened),
}

/// As which archive a file is to be unpacked.
fn unpacks(uri: &command_info::Uri, name: &str) -> Option<Kind> {
    let wanted = uri.extract.unwrap_or(true) && !uri.executable.unwrap_or(false);
    Kind::of(name).filter(|_| wanted)
}

/// What a file is called in the sandbox, for people.
fn shown_output(uri: &command_info::Uri, asked: &source::Asked<'_>) -> String {
    let output = uri.output_file.clone();
    output.unwrap_or_else(|| source::shown_name(asked.name))
}

/// What is unpacked of a single file has its name.
fn shown_error(error: &ArchiveError, name: &str) -> String {
    let unpacked = name.strip_suffix(".gz").unwrap_or(name);
    let shown = source::shown_name(unpacked);
    error.to_string().replace(unpacked, &shown)
}

/// Nothing that a reader would have to wait for.
fn open_plain(path: &Path) -> Result<File, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(place::text)?;
    let file = File::from(file);
    match file.metadata().map_err(text)?.is_file() {
        true => Ok(file),
        false => Err("it is not a plain file".to_owned()),
    }
}

#[cfg(test)]
#[path = "fetcher_tests.rs"]
mod tests;
