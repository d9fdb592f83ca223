//! The files of the cache: each is fetched once, while others who want it wait, and is the agent's own, so that no task
//! changes what the next one is given. Emptied at the start, as in Mesos.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tepui_kit::blocking;
use tokio::{runtime::Handle, sync::watch};

use super::table::{Found, Key, Serial, Table};

/// Names of files begin so, and then there is a number, as in Mesos.
const PREFIX: &str = "c";
/// What of a URI's name is seen in that of its file: for people.
const MAX_NAME_CHARS: usize = 20;

#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
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
    path: PathBuf,
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
    /// Removes what an agent before has left there. Blocks for a moment.
    pub(super) fn open(directory: PathBuf, capacity: u64) -> io::Result<Arc<Self>> {
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    if is_ours(&entry.file_name().to_string_lossy()) {
                        fs::remove_file(entry.path())?;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Arc::new(Self {
            directory,
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
                    match blocking(move || Ok(intact(&kept))).await? {
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
                let path = self.directory.join(file_name(serial, name));
                inner.coming.insert(key.clone(), told);
                Look::Wanted(Filling {
                    holding: self.holding(key, serial),
                    path,
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
        if let Some(Kept { path, .. }) = kept {
            remove_later(path);
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
    path: PathBuf,
    is_whole: bool,
    /// Its end is what others wait for.
    _tell: watch::Sender<()>,
}

impl Filling {
    /// A file to be written with this many bytes; `None` if the cache has no room for it.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Option<File>, String> {
        let victims: Vec<PathBuf> = {
            let mut inner = self.holding.cache.inner();
            let Some(victims) = inner.table.reserve(&self.holding.key, bytes) else {
                return Ok(None);
            };
            let files = victims.iter().filter_map(|it| inner.files.remove(it));
            files.map(|kept| kept.path).collect()
        };
        let (directory, path) = (self.holding.cache.directory.clone(), self.path.clone());
        let made = blocking(move || {
            for victim in victims {
                remove(&victim);
            }
            match create(&directory, &path) {
                Ok(file) => Ok(Fresh(Some((file, path)))),
                Err(error) => Err(format!(
                    "the file '{}' of the cache cannot be made ({error})",
                    path.display()
                )),
            }
        });
        made.await.map(Fresh::take)
    }

    /// All of it was written.
    pub(super) async fn complete(mut self) -> Result<Held, String> {
        let path = self.path.clone();
        let opened = blocking(move || {
            let file = File::open(&path).map_err(|error| error.to_string())?;
            let mark = mark(&file).map_err(|error| error.to_string())?;
            let mark = Some(mark);
            Ok((file, Kept { path, mark }))
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
        remove_later(std::mem::take(&mut self.path));
    }
}

/// A file that was just made: on its way to whoever wanted it, and removed if nobody is there any more.
struct Fresh(Option<(File, PathBuf)>);

impl Fresh {
    fn take(mut self) -> Option<File> {
        self.0.take().map(|(file, _)| file)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.0 {
            remove(path);
        }
    }
}

/// A file as it was when it was whole, opened.
fn intact(kept: &Kept) -> Option<File> {
    let file = File::open(&kept.path).ok()?;
    let mark = mark(&file).ok()?;
    (kept.mark == Some(mark)).then_some(file)
}

fn mark(file: &File) -> io::Result<Mark> {
    let it = file.metadata()?;
    Ok((it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}

fn create(directory: &Path, path: &Path) -> io::Result<File> {
    let mut made = fs::DirBuilder::new();
    made.recursive(true).mode(0o700).create(directory)?;
    let mut options = fs::OpenOptions::new();
    // Its directory is the agent's alone; the mode is that of copies.
    options.write(true).create_new(true).mode(0o644).open(path)
}

/// One that is big takes its time.
fn remove_later(path: PathBuf) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&path))),
        Err(_) => remove(&path),
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a file of the fetcher's cache is not removed");
        }
        _ => {}
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
