//! Images for containers: which are there, where others come from, and the root file systems made of them. Owns that
//! nothing is removed that somebody uses or is about to.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use tepui_client::Client;
use tepui_containers::{
    Root,
    images::{
        Backend, ImageError, Reference, Roots, RunConfig, Store, StoredImage, Taking, Waiting,
        access::Logins, folder, layout, registry::Registry, roots, store::Pruned, unpack::Bounds,
        users,
    },
};
use tepui_kit::blocking;
use tepui_messages::containers::{
    ImageOrder, ImageUser, LaunchOrder, Provisioned, RootDirectory, UserNumbers,
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{ImageGc, ImageSettings};

/// Where images come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Archives and OCI layouts.
    Folder(PathBuf),
    Registry(Box<Registry>),
}

/// For all that an image consists of together.
const FETCH_TIMEOUT: Duration = Duration::from_mins(30);
/// Images that are fetched at a time; others wait.
const MAX_PULLS: usize = 4;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Provisioner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    roots: Roots,
    source: Source,
    gc: Option<ImageGc>,
    /// What images say of how they are run is not looked at.
    ignore_runtime: bool,
    /// Has a directory for each container.
    runtime_dir: PathBuf,
    /// Those being fetched: who comes second waits for the first.
    fetching: Mutex<BTreeMap<String, Arc<Fetching>>>,
    pulls: Arc<Semaphore>,
}

/// An image that is wanted.
#[derive(Debug, Default)]
struct Fetching {
    turn: Arc<AsyncMutex<()>>,
    last: AsyncMutex<Option<Ended>>,
}

/// How the last fetch went: whoever asked while it was under way has the same answer, as in Mesos, and no other one after it.
#[derive(Debug)]
struct Ended {
    at: Instant,
    outcome: Result<(), String>,
}

/// The right to fetch an image; and to fetch at all. They belong to the work, which may go on for a moment when nobody
/// waits for it any more.
type Turn = OwnedMutexGuard<()>;
type Pull = OwnedSemaphorePermit;

/// What a container's checks begin with, as the container does.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Beginning {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) user: Option<String>,
    pub(crate) sandbox: PathBuf,
    pub(crate) working_dir: Option<PathBuf>,
}

/// The file of [`Beginning`], in a container's runtime directory.
const BEGINNING: &str = "beginning";

/// Opens or makes what images need on disk.
///
/// # Errors
/// A setting that is wrong, in one line for people.
pub(crate) fn open(
    settings: &ImageSettings,
    work_dir: &Path,
    runtime_dir: PathBuf,
) -> anyhow::Result<Provisioner> {
    let store_dir = store_dir(settings, work_dir);
    let shown = store_dir.display().to_string();
    let store = Store::open(store_dir, Bounds::default());
    let store = store.with_context(|| format!("--docker-store-dir {shown}"))?;
    let backend = settings.backend.unwrap_or_else(|| best_backend(work_dir));
    let roots = Roots::open(work_dir.join("provisioner"), backend)?;
    let source = source(settings)?;
    Ok(Provisioner(Arc::new(Inner {
        store,
        roots,
        source,
        gc: settings.gc.clone(),
        ignore_runtime: settings.ignore_runtime,
        runtime_dir,
        fetching: Mutex::default(),
        pulls: Arc::new(Semaphore::new(MAX_PULLS)),
    })))
}

fn source(settings: &ImageSettings) -> anyhow::Result<Source> {
    let given = &settings.registry;
    let path = given.strip_prefix("file://").unwrap_or(given);
    if path.starts_with('/') {
        return Ok(Source::Folder(PathBuf::from(path)));
    }
    let logins = settings.logins.as_deref().map(Logins::parse).transpose();
    let logins = logins.map_err(|reason| anyhow!("--docker-config: {reason}"))?;
    let registry = Registry::new(Client::default(), given, logins.unwrap_or_default());
    let registry = registry.with_context(|| format!("--docker-registry {given}"))?;
    Ok(Source::Registry(Box::new(registry)))
}

/// Where layers are kept.
pub(crate) fn store_dir(settings: &ImageSettings, work_dir: &Path) -> PathBuf {
    let given = settings.store_dir.clone();
    given.unwrap_or_else(|| work_dir.join("store/docker"))
}

fn best_backend(work_dir: &Path) -> Backend {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let kind = rustix::fs::statfs(work_dir).map_or(0, |found| found.f_type);
    Backend::best(&known, u64::try_from(kind).unwrap_or(0))
}

impl Provisioner {
    /// A root for one container; the error is a text for the framework.
    pub(crate) async fn provision(
        &self,
        container_id: String,
        order: ImageOrder,
    ) -> Result<Provisioned, String> {
        let (user, is_docker) = (order.user, order.command.is_docker);
        let make = move |inner: &Inner, container_id: &str, image: &StoredImage| {
            // As in Mesos only where an engine would not run it.
            let run = match inner.ignore_runtime && !is_docker {
                true => RunConfig::default(),
                false => image.run.clone(),
            };
            inner.root(container_id, image, run, &user)
        };
        self.make(container_id, &order.name, order.cached, make)
            .await
    }

    /// What a volume of a container shows; the error is a text for the framework.
    pub(crate) async fn provision_volume(
        &self,
        container_id: String,
        number: usize,
        name: String,
        cached: bool,
    ) -> Result<RootDirectory, String> {
        let make = move |inner: &Inner, container_id: &str, image: &StoredImage| {
            let layers = inner.layers(image)?;
            let made = inner.roots.make_volume(container_id, number, &layers);
            made.map(directory).map_err(told)
        };
        self.make(container_id, &name, cached, make).await
    }

    /// Makes something of an image that is kept until it is made.
    async fn make<T: Send + 'static>(
        &self,
        container_id: String,
        name: &str,
        cached: bool,
        make: impl FnOnce(&Inner, &str, &StoredImage) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let reference: Reference = name.parse().map_err(|error| format!("{error}"))?;
        let (image, taking) = self.image(&reference, cached).await?;
        let inner = Arc::clone(&self.0);
        let (tell, told) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let made = make(&inner, &container_id, &image);
            drop(taking);
            // Nobody listens where the launch was called off, and nobody else knows of it.
            if tell.send(made).is_err()
                && let Err(error) = inner.roots.remove(&container_id)
            {
                tracing::warn!(container_id, %error, "its root file system is not removed");
            }
        });
        told.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// An image, and what keeps it until a root is made of it.
    async fn image(
        &self,
        reference: &Reference,
        cached: bool,
    ) -> Result<(StoredImage, Taking), String> {
        let asked = Instant::now();
        let fetching = {
            let mut fetching = self.fetching();
            // Those whom nobody waits for any more.
            fetching.retain(|_, it| Arc::strong_count(it) > 1 || Arc::strong_count(&it.turn) > 1);
            Arc::clone(fetching.entry(reference.to_string()).or_default())
        };
        let mut last = fetching.last.lock().await;
        let shared = last.as_ref().filter(|it| it.at > asked);
        if let Some(Err(error)) = shared.map(|it| &it.outcome) {
            return Err(error.clone());
        }
        let cached = cached || shared.is_some();
        let turn = Arc::clone(&fetching.turn).lock_owned().await;
        let fetched = self.fetch(reference.clone(), cached, turn).await;
        let outcome = fetched.as_ref().map(|_| ()).map_err(String::clone);
        let at = Instant::now();
        *last = Some(Ended { at, outcome });
        fetched
    }

    async fn fetch(
        &self,
        reference: Reference,
        cached: bool,
        turn: Turn,
    ) -> Result<(StoredImage, Taking), String> {
        let (inner, name) = (Arc::clone(&self.0), reference.clone());
        let known = blocking(move || {
            let mut taking = inner.store.taking(&Waiting::default());
            let known = inner.store.image(&name, &mut taking);
            Ok(known.map(|image| (image, taking)))
        });
        if let Some(image) = known.await?.filter(|_| cached) {
            return Ok(image);
        }
        let pull = Arc::clone(&self.0.pulls).acquire_owned().await;
        let pull = pull.map_err(|error| error.to_string())?;
        // Who lets go of this future lets go of it too: the thread that unpacks ends.
        let waiting = Waiting::default();
        let taking = self.0.store.taking(&waiting);
        let taken = self.take(reference, taking, (turn, pull));
        let taken = tokio::time::timeout(FETCH_TIMEOUT, taken).await;
        drop(waiting);
        let minutes = FETCH_TIMEOUT.as_secs() / 60;
        taken.unwrap_or_else(|_| Err(format!("not fetched after {minutes} min")))
    }

    async fn take(
        &self,
        reference: Reference,
        mut taking: Taking,
        rights: (Turn, Pull),
    ) -> Result<(StoredImage, Taking), String> {
        let inner = Arc::clone(&self.0);
        match &self.0.source {
            Source::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || {
                    let taken = folder::take(&folder, &reference, &inner.store, &mut taking);
                    drop(rights);
                    Ok((taken.map_err(told)?, taking))
                })
                .await
            }
            Source::Registry(registry) => {
                let scratch = Scratch(self.0.store.scratch().map_err(told)?);
                let store = &self.0.store;
                let fetched = registry.fetch(&reference, &scratch.0, store, &mut taking);
                let manifest = fetched.await.map_err(told)?;
                blocking(move || {
                    let (store, dir) = (&inner.store, &scratch.0);
                    let taken = layout::take_blobs(dir, &reference, &manifest, store, &mut taking);
                    drop((scratch, rights));
                    Ok((taken.map_err(told)?, taking))
                })
                .await
            }
        }
    }

    /// Removes images that no container uses or is about to, but for those of these names; `None` keeps those that the
    /// agent was told to keep.
    ///
    /// # Errors
    /// It is not known what is in use, or the disk fails; a text for people.
    pub(crate) async fn prune(&self, kept: Option<BTreeSet<String>>) -> Result<Pruned, String> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let configured = inner.gc.as_ref().map(|gc| &gc.kept);
            let kept = kept.or_else(|| configured.cloned()).unwrap_or_default();
            let pruned = inner.store.prune(&kept, || inner.roots.layers_in_use());
            pruned.map_err(told)
        })
        .await
    }

    /// Removes images whenever less than the configured share of their disk is free.
    pub(crate) async fn keep_headroom(self) {
        let Some(gc) = &self.0.gc else { return };
        loop {
            tokio::time::sleep(gc.interval).await;
            match tepui_node::gc::used(self.0.store.dir()) {
                Ok(used) if used <= 1.0 - gc.headroom => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the disk of the images is not known");
                    continue;
                }
            }
            match self.prune(None).await {
                Ok(pruned) => {
                    let Pruned { images, layers } = pruned;
                    tracing::info!(images, layers, "images that no container uses are removed");
                }
                Err(error) => tracing::warn!(error, "no images are removed"),
            }
        }
    }

    /// Removes what a container had.
    pub(crate) async fn remove(&self, container_id: String) {
        let inner = Arc::clone(&self.0);
        let removed = blocking(move || inner.roots.remove(&container_id).map_err(told)).await;
        if let Err(error) = removed {
            tracing::warn!(error, "the root file system of a container is not removed");
        }
    }

    /// Takes the roots of containers that are not `known` out of the way. Blocks for a moment; their removal may take
    /// long: [`Provisioner::clear_aside`].
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn sweep(&self, known: impl Fn(&str) -> bool) -> Result<(), ImageError> {
        let containers = self.0.roots.containers()?.into_iter();
        let unknown = containers.filter(|container| !known(container));
        self.0.roots.put_aside(unknown)
    }

    /// Removes what was taken out of the way. Blocks.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn clear_aside(&self) -> Result<(), ImageError> {
        self.0.roots.clear_aside()
    }

    /// How many containers have a root file system.
    pub(crate) async fn roots(&self) -> u64 {
        let inner = Arc::clone(&self.0);
        let counted = blocking(move || inner.roots.containers().map_err(told));
        let counted = counted.await.map_or(0, |roots| roots.len());
        counted as u64
    }

    fn fetching(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Fetching>>> {
        let fetching = self.0.fetching.lock();
        fetching.unwrap_or_else(PoisonError::into_inner)
    }

    /// How a container began. Blocks for a moment.
    pub(crate) fn beginning(&self, container_id: &str) -> Result<Beginning, String> {
        read_beginning(&self.0.runtime_dir.join(container_id))
    }
}

/// The root in the shim's terms, and what its checks need to know.
pub(crate) fn root(order: &LaunchOrder, runtime_dir: &Path) -> Result<Option<Root>, String> {
    let (Some(root), Some(image)) = (&order.root, &order.image) else {
        return Ok(None);
    };
    let kept = keep_beginning(runtime_dir, order);
    kept.map_err(|error| format!("cannot keep how the container begins ({error})"))?;
    Ok(Some(Root {
        dir: root.dir.clone(),
        overlay: root.overlay.clone().map(OsString::from),
        sandbox: image.sandbox.clone(),
    }))
}

/// Keeps how a container begins, which may have secrets among its variables: on a tmpfs where possible, and for nobody
/// else. Blocks for a moment.
fn keep_beginning(runtime_dir: &Path, order: &LaunchOrder) -> io::Result<()> {
    let sandbox = order.image.as_ref().map(|image| image.sandbox.clone());
    let beginning = Beginning {
        env: order.env.clone(),
        user: order.user.clone(),
        sandbox: sandbox.unwrap_or_default(),
        working_dir: order.working_dir.clone(),
    };
    let json = serde_json::to_vec(&beginning)?;
    let mut directory = DirBuilder::new();
    directory.recursive(true).mode(0o700).create(runtime_dir)?;
    let mut file = OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600);
    file.open(runtime_dir.join(BEGINNING))?.write_all(&json)
}

fn read_beginning(runtime_dir: &Path) -> Result<Beginning, String> {
    let json = std::fs::read(runtime_dir.join(BEGINNING)).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

/// A directory that goes with whoever uses it, also where a fetch is called off.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // What it holds may be big. The next start of the agent removes what is left.
        tokio::task::spawn_blocking(move || tepui_containers::removal::remove(&path));
    }
}

impl Inner {
    fn layers(&self, image: &StoredImage) -> Result<Vec<PathBuf>, String> {
        let layers = self.store.layers_of(image);
        layers.ok_or_else(|| "a layer of it was removed meanwhile".to_owned())
    }

    fn root(
        &self,
        container_id: &str,
        image: &StoredImage,
        run: RunConfig,
        user: &ImageUser,
    ) -> Result<Provisioned, String> {
        let layers = self.layers(image)?;
        let RunConfig {
            entrypoint,
            cmd,
            env,
            working_dir,
            user: own,
        } = run;
        let wanted = match user {
            ImageUser::Task => None,
            ImageUser::Image => Some(own).filter(|own| !own.is_empty()),
            ImageUser::Named(name) => Some(name.clone()),
        };
        let user = wanted.map(|user| users::find(&user, &layers)).transpose();
        let user = user.map_err(|error| error.to_string())?;
        let made = self.roots.make(container_id, &layers).map_err(told)?;
        Ok(Provisioned {
            root: directory(made),
            entrypoint,
            cmd,
            env,
            working_dir: Some(working_dir)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from),
            user: user.map(|it| {
                let numbers = UserNumbers {
                    uid: it.uid,
                    gid: it.gid,
                    groups: it.groups,
                };
                numbers.to_string()
            }),
        })
    }
}

fn directory(made: roots::RootDirectory) -> RootDirectory {
    RootDirectory {
        dir: made.dir,
        overlay: made.overlay,
    }
}

fn told(error: ImageError) -> String {
    error.to_string()
}

#[cfg(test)]
#[path = "provisioner_tests.rs"]
mod tests;
