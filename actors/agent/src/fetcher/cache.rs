//! The files of the cache: each is fetched once, while others who want it wait, and is the agent's own, so that no task
//! changes what the next one is given. Emptied at the start, as in Mesos.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tepui_kit::blocking;
use tokio::{runtime::Handle, sync::watch};

use super::{
    keeping::Directory,
    table::{Found, Key, Serial, Table},
};

/// Names of files begin so, and then there is a number, as in Mesos.
const PREFIX: &str = "c";
/// What of a URI's name is seen in that of its file: for people.
const MAX_NAME_CHARS: usize = 20;

#[derive(Debug)]
pub(super) struct Cache {
    directory: Arc<Directory>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    /// Files as they lie on disk.
    files: BTreeMap<Serial, Kept>,
    /// Those being fetched; the channel closes when that has ended.
    coming: BTreeMap<Key, watch::Receiver<()>>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    name: String,
    /// What it was when it was whole.
    mark: Option<Mark>,
}

/// Device, number, bytes, and the time of its last change.
type Mark = (u64, u64, u64, i64, i64);

/// What asking for a file leads to.
pub(super) enum Asked {
    Held(Held),
    /// Who asked is to fetch it.
    Wanted(Filling),
    /// Somebody else tried and could not.
    Failed,
}

impl Cache {
    /// Makes a directory of its own in `directory` and removes what an agent before has left there. Blocks for a moment.
    pub(super) fn open(directory: &Path, capacity: u64) -> io::Result<Arc<Self>> {
        let directory = Directory::open(directory)?;
        for name in directory.names()? {
            if is_ours(&name) {
                directory.remove(&name);
            }
        }
        Ok(Arc::new(Self {
            directory: Arc::new(directory),
            inner: Mutex::new(Inner {
                table: Table::new(capacity),
                files: BTreeMap::new(),
                coming: BTreeMap::new(),
            }),
        }))
    }

    pub(super) fn capacity(&self) -> u64 {
        self.inner().table.capacity()
    }

    pub(super) fn used(&self) -> u64 {
        self.inner().table.used()
    }

    /// The file, or the duty to fetch it; waits for somebody else who is doing that. `name` is for people.
    pub(super) async fn ask(self: &Arc<Self>, key: &Key, name: &str) -> Result<Asked, String> {
        loop {
            let mut coming = match self.look(key, name) {
                Look::Whole(holding, kept) => {
                    let directory = Arc::clone(&self.directory);
                    match blocking(move || Ok(intact(&directory, &kept))).await? {
                        Some(file) => return Ok(Asked::Held(Held { file, holding })),
                        None => holding.forget(),
                    }
                    continue;
                }
                Look::Wanted(filling) => return Ok(Asked::Wanted(filling)),
                Look::Coming(coming) => coming,
            };
            // Nothing is ever sent: it ends.
            let _ = coming.changed().await;
            if !self.inner().table.is_whole(key) {
                return Ok(Asked::Failed);
            }
        }
    }

    fn look(self: &Arc<Self>, key: &Key, name: &str) -> Look {
        let mut inner = self.inner();
        match inner.table.find(key) {
            Found::Whole { serial } => {
                let kept = inner.files.get(&serial).cloned().unwrap_or_default();
                Look::Whole(self.holding(key, serial), kept)
            }
            Found::Wanted { serial } => {
                let (tell, told) = watch::channel(());
                inner.coming.insert(key.clone(), told);
                Look::Wanted(Filling {
                    holding: self.holding(key, serial),
                    name: file_name(serial, name),
                    made: OnceLock::new(),
                    is_whole: false,
                    _tell: tell,
                })
            }
            Found::Coming => {
                let coming = inner.coming.get(key).cloned();
                Look::Coming(coming.unwrap_or_else(|| watch::channel(()).1))
            }
        }
    }

    fn holding(self: &Arc<Self>, key: &Key, serial: Serial) -> Holding {
        Holding {
            cache: Arc::clone(self),
            key: key.clone(),
            serial,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Look {
    Whole(Holding, Kept),
    Wanted(Filling),
    Coming(watch::Receiver<()>),
}

/// Keeps a file in the cache.
pub(super) struct Holding {
    cache: Arc<Cache>,
    key: Key,
    serial: Serial,
}

impl Holding {
    /// It is not what it was: the next one fetches it again.
    pub(super) fn forget(&self) {
        let mut inner = self.cache.inner();
        inner.table.remove(&self.key, self.serial);
        let kept = inner.files.remove(&self.serial);
        drop(inner);
        if let Some(Kept { name, .. }) = kept {
            remove_later(&self.cache.directory, name);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.cache.inner().table.release(&self.key, self.serial);
    }
}

/// A file of the cache, opened for reading from its beginning.
pub(super) struct Held {
    pub(super) file: File,
    pub(super) holding: Holding,
}

/// The duty to fetch a file. Who lets go of it has failed, and those who wait hear of it.
pub(super) struct Filling {
    holding: Holding,
    name: String,
    /// The file that was made: its mark while it was empty.
    made: OnceLock<Mark>,
    is_whole: bool,
    /// Its end is what others wait for.
    _tell: watch::Sender<()>,
}

impl Filling {
    /// A file to be written with this many bytes; `None` if the cache has no room for it, or its directory
    /// is gone.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Option<File>, String> {
        let victims: Vec<String> = {
            let mut inner = self.holding.cache.inner();
            let Some(victims) = inner.table.reserve(&self.holding.key, bytes) else {
                return Ok(None);
            };
            let files = victims.iter().filter_map(|it| inner.files.remove(it));
            files.map(|kept| kept.name).collect()
        };
        let (directory, name) = (Arc::clone(&self.holding.cache.directory), self.name.clone());
        let made = blocking(move || {
            for victim in victims {
                directory.remove(&victim);
            }
            match directory
                .create(&name)
                .and_then(|file| Ok((mark(&file)?, file)))
            {
                Ok(made) => Ok(Some(Fresh {
                    made: Some(made),
                    directory,
                    name,
                })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(format!(
                    "the file '{name}' of the cache cannot be made ({error})"
                )),
            }
        });
        let Some((mark, file)) = made.await?.and_then(Fresh::take) else {
            tracing::warn!(
                name = self.name,
                "the directory of the fetcher's cache is gone"
            );
            return Ok(None);
        };
        // Asked once of each.
        let _ = self.made.set(mark);
        Ok(Some(file))
    }

    /// All of it was written.
    pub(super) async fn complete(mut self) -> Result<Held, String> {
        let (directory, name) = (Arc::clone(&self.holding.cache.directory), self.name.clone());
        let made = self.made.get().copied();
        let opened = blocking(move || {
            let file = directory.read(&name).map_err(|error| error.to_string())?;
            let mark = mark(&file).map_err(|error| error.to_string())?;
            if made.is_none_or(|made| (made.0, made.1) != (mark.0, mark.1)) {
                return Err(format!(
                    "the file '{name}' of the cache is not the one that was written; who else writes there?"
                ));
            }
            let mark = Some(mark);
            Ok((file, Kept { name, mark }))
        });
        let (file, kept) = opened.await?;
        let Holding { cache, key, serial } = &self.holding;
        let mut inner = cache.inner();
        inner.files.insert(*serial, kept);
        inner.table.complete(key);
        drop(inner);
        self.is_whole = true;
        let holding = Holding {
            cache: Arc::clone(cache),
            key: key.clone(),
            serial: *serial,
        };
        // Two hold it until the end of this function.
        cache.inner().table.hold(key, *serial);
        Ok(Held { file, holding })
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let Holding { cache, key, serial } = &self.holding;
        let mut inner = cache.inner();
        inner.coming.remove(key);
        if self.is_whole {
            return;
        }
        inner.table.remove(key, *serial);
        drop(inner);
        remove_later(&cache.directory, std::mem::take(&mut self.name));
    }
}

/// A file that was just made: on its way to whoever wanted it, and removed if nobody is there any more.
struct Fresh {
    made: Option<(Mark, File)>,
    directory: Arc<Directory>,
    name: String,
}

impl Fresh {
    fn take(mut self) -> Option<(Mark, File)> {
        self.made.take()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.made.is_some() {
            self.directory.remove(&self.name);
        }
    }
}

/// A file as it was when it was whole, opened.
fn intact(directory: &Directory, kept: &Kept) -> Option<File> {
    let file = directory.read(&kept.name).ok()?;
    let mark = mark(&file).ok()?;
    (kept.mark == Some(mark)).then_some(file)
}

fn mark(file: &File) -> io::Result<Mark> {
    let it = file.metadata()?;
    Ok((it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}

/// One that is big takes its time.
fn remove_later(directory: &Arc<Directory>, name: String) {
    match Handle::try_current() {
        Ok(runtime) => {
            let directory = Arc::clone(directory);
            drop(runtime.spawn_blocking(move || directory.remove(&name)));
        }
        Err(_) => directory.remove(&name),
    }
}

fn file_name(serial: Serial, name: &str) -> String {
    let plain = name.chars().filter(|it| !it.is_control() && *it != '/');
    let plain: Vec<char> = plain.collect();
    let from = plain.len().saturating_sub(MAX_NAME_CHARS);
    let name: String = plain[from..].iter().collect();
    format!("{PREFIX}{serial}-{name}")
}

fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|it| it.split_once('-'));
    number.is_some_and(|(number, _)| {
        !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())
    })
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
