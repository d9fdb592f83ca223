use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use tepui_protocol::v1::command_info::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
};

use super::super::Fetcher;

use super::*;

struct Scene {
    root: tempfile::TempDir,
    fetcher: Fetcher,
}

impl Scene {
    fn new(bytes: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("cache");
        let fetcher = Fetcher::default().with_cache(&cache, bytes).unwrap();
        Self { root, fetcher }
    }

    fn source(&self, name: &str, text: &str) -> String {
        let path = self.root.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.root.path().join("cache/tepui")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Into a sandbox of its own.
    async fn fetch(&self, uris: &[Uri]) -> Result<tempfile::TempDir, String> {
        let sandbox = tempfile::tempdir().unwrap();
        self.fetcher.fetch(uris, sandbox.path(), None).await?;
        Ok(sandbox)
    }
}

fn cached(value: &str) -> Uri {
    Uri {
        value: value.to_owned(),
        cache: Some(true),
        ..Uri::default()
    }
}

fn said(sandbox: &tempfile::TempDir) -> String {
    fs::read_to_string(sandbox.path().join("stderr")).unwrap()
}

fn read(sandbox: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(sandbox.path().join(name)).unwrap()
}

#[tokio::test]
async fn a_file_is_fetched_once_and_given_to_each() {
    let scene = Scene::new(1 << 20);
    let source = scene.source("run.sh", "one");
    let run = Uri {
        executable: Some(true),
        ..cached(&source)
    };
    scene.fetch(std::slice::from_ref(&run)).await.unwrap();
    fs::write(&source, "changed").unwrap();
    let second = scene.fetch(&[run]).await.unwrap();
    assert_eq!(read(&second, "run.sh"), "one");
    let mode = fs::metadata(second.path().join("run.sh")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o755);
    let expected = format!("Fetching URI '{source}' from cache");
    assert!(said(&second).contains(&expected));
    // Another name, and in a directory, is the same file.
    let named = Uri {
        output_file: Some("sub/other".to_owned()),
        ..cached(&source)
    };
    let third = scene
        .fetch(&[named.clone(), named, cached(&source)])
        .await
        .unwrap();
    assert_eq!(read(&third, "sub/other"), "one");
    assert_eq!(read(&third, "run.sh"), "one");
    assert_eq!(scene.files().len(), 1);
    let numbers = scene.fetcher.numbers();
    assert_eq!(
        (numbers.cache_used_bytes, numbers.cache_bytes),
        (3, 1 << 20)
    );
    // Nobody else looks into it.
    let directory = fs::metadata(scene.root.path().join("cache/tepui")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn one_that_is_missing_or_damaged_is_fetched_again() {
    let scene = Scene::new(1 << 20);
    let source = scene.source("a", "one");
    for damage in [
        (|path: &Path| fs::remove_file(path).unwrap()) as fn(&Path),
        |path| fs::write(path, "evil").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::write(path, "bad").unwrap();
        },
    ] {
        scene.fetch(&[cached(&source)]).await.unwrap();
        let files = scene.files();
        assert_eq!(files.len(), 1);
        damage(&files[0]);
        let sandbox = scene.fetch(&[cached(&source)]).await.unwrap();
        assert_eq!(read(&sandbox, "a"), "one");
        assert!(!said(&sandbox).contains("directly"));
    }
    assert_eq!(scene.fetcher.numbers().cache_used_bytes, 3);
}

#[tokio::test]
async fn an_archive_is_unpacked_from_where_it_is_kept() {
    let scene = Scene::new(1 << 20);
    let made = std::process::Command::new("sh")
        .current_dir(scene.root.path())
        .args([
            "-c",
            "echo hello > inner && tar -cf a.tar inner && cp a.tar b.tar.zst",
        ])
        .status();
    assert!(made.unwrap().success());
    let path = |name: &str| scene.root.path().join(name).display().to_string();
    for _ in 0..2 {
        let sandbox = scene.fetch(&[cached(&path("a.tar"))]).await.unwrap();
        assert_eq!(read(&sandbox, "inner"), "hello\n");
        assert!(!sandbox.path().join("a.tar").exists());
    }
    // Mesos' agents do not unpack it, so it is there too.
    let sandbox = scene.fetch(&[cached(&path("b.tar.zst"))]).await.unwrap();
    assert_eq!(read(&sandbox, "inner"), "hello\n");
    assert!(sandbox.path().join("b.tar.zst").exists());
    let kept = Uri {
        extract: Some(false),
        ..cached(&path("a.tar"))
    };
    let sandbox = scene.fetch(&[kept]).await.unwrap();
    assert!(sandbox.path().join("a.tar").exists() && !sandbox.path().join("inner").exists());
}

#[tokio::test]
async fn of_a_kept_file_the_uris_name_says_whether_it_is_unpacked() {
    let scene = Scene::new(1 << 20);
    let made = std::process::Command::new("sh")
        .current_dir(scene.root.path())
        .args([
            "-c",
            "echo hello > inner && tar -cf a.tar inner && cp a.tar plain && cp a.tar b.tar.zst && gzip inner",
        ])
        .status();
    assert!(made.unwrap().success());
    let named = |name: &str, output: &str| Uri {
        output_file: Some(output.to_owned()),
        ..cached(&scene.root.path().join(name).display().to_string())
    };
    let has = |sandbox: &tempfile::TempDir, name: &str| sandbox.path().join(name).exists();
    for _ in 0..2 {
        let sandbox = scene.fetch(&[named("a.tar", "sub/x")]).await.unwrap();
        assert!(has(&sandbox, "inner") && has(&sandbox, "sub") && !has(&sandbox, "sub/x"));
        let sandbox = scene.fetch(&[named("plain", "x.tar")]).await.unwrap();
        assert!(!has(&sandbox, "inner") && has(&sandbox, "x.tar"));
        let sandbox = scene.fetch(&[named("inner.gz", "x.gz")]).await.unwrap();
        assert_eq!(read(&sandbox, "inner"), "hello\n");
        assert!(!has(&sandbox, "x.gz") && !has(&sandbox, "x"));
        let sandbox = scene.fetch(&[named("b.tar.zst", "x")]).await.unwrap();
        assert!(has(&sandbox, "inner") && has(&sandbox, "x"));
    }
    // Without the cache it is the name in the sandbox.
    let uncached = |name: &str, output: &str| Uri {
        cache: None,
        ..named(name, output)
    };
    let sandbox = scene.fetch(&[uncached("a.tar", "x")]).await.unwrap();
    assert!(!has(&sandbox, "inner") && has(&sandbox, "x"));
    let sandbox = scene.fetch(&[uncached("plain", "x.tar")]).await.unwrap();
    assert!(has(&sandbox, "inner") && has(&sandbox, "x.tar"));
}

#[tokio::test]
async fn what_is_kept_is_not_named_by_what_may_be_secret() {
    let scene = Scene::new(100);
    let source = scene.source("a?token=1", "one");
    let sandbox = scene.fetch(&[cached(&source)]).await.unwrap();
    assert_eq!(read(&sandbox, "a?token=1"), "one");
    let names: Vec<_> = scene
        .files()
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    assert!(
        names.len() == 1 && names[0].ends_with("/c1-a?..."),
        "{names:?}"
    );
}

#[tokio::test]
async fn old_ones_make_way_and_what_does_not_fit_comes_without_the_cache() {
    let scene = Scene::new(10);
    for name in ["a", "b", "c"] {
        let source = scene.source(name, "four");
        scene.fetch(&[cached(&source)]).await.unwrap();
    }
    let names: Vec<_> = scene
        .files()
        .iter()
        .map(|it| it.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["c2-b", "c3-c"]);
    let big = scene.source("big", "eleven bytes");
    let sandbox = scene.fetch(&[cached(&big)]).await.unwrap();
    assert_eq!(read(&sandbox, "big"), "eleven bytes");
    assert!(said(&sandbox).contains("Doing without the cache"));
    assert_eq!(scene.files().len(), 2);
    let empty = scene.source("empty", "");
    let sandbox = scene.fetch(&[cached(&empty)]).await.unwrap();
    assert_eq!(read(&sandbox, "empty"), "");
}

#[tokio::test]
async fn a_new_agent_begins_with_an_empty_cache_and_spares_what_is_not_its_own() {
    let scene = Scene::new(100);
    let source = scene.source("a", "one");
    scene.fetch(&[cached(&source)]).await.unwrap();
    let directory = scene.root.path().join("cache");
    // An operator's, who keeps other files there too.
    fs::write(directory.join("c1-mine"), "").unwrap();
    let own = directory.join("tepui");
    fs::write(own.join("c1ean"), "").unwrap();
    fs::write(own.join("other"), "").unwrap();
    fs::create_dir(own.join("c7-x")).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
    Fetcher::default().with_cache(&directory, 100).unwrap();
    let files = scene.files();
    let names: Vec<_> = files.iter().map(|it| it.file_name().unwrap()).collect();
    assert_eq!(names, ["c1ean", "c7-x", "other"]);
    assert!(directory.join("c1-mine").exists());
    let mode = fs::metadata(&own).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_directory_that_may_be_somebody_elses_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("c1-a"), "precious").unwrap();
    let cache = root.path().join("cache");
    fs::create_dir(&cache).unwrap();
    symlink(&elsewhere, cache.join("tepui")).unwrap();
    let refused = Fetcher::default().with_cache(&cache, 100).unwrap_err();
    let expected = "'tepui' in it is not a directory; remove it";
    assert_eq!(refused.to_string(), expected);
    assert!(elsewhere.join("c1-a").exists());
    // Only root can give one away.
    fs::remove_file(cache.join("tepui")).unwrap();
    fs::create_dir(cache.join("tepui")).unwrap();
    if std::os::unix::fs::chown(cache.join("tepui"), Some(4242), None).is_ok() {
        let refused = Fetcher::default().with_cache(&cache, 100).unwrap_err();
        assert!(refused.to_string().contains("belongs to user 4242"));
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_or_of_the_directory_is_not_followed() {
    let scene = Scene::new(1 << 20);
    let source = scene.source("a", "one");
    scene.fetch(&[cached(&source)]).await.unwrap();
    let file = scene.files().remove(0);
    let moved = scene.root.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    // The same inode by another way is not the file.
    fs::write(&source, "two").unwrap();
    let sandbox = scene.fetch(&[cached(&source)]).await.unwrap();
    assert_eq!(read(&sandbox, "a"), "two");
    // Another directory of this name is not the cache.
    let own = scene.root.path().join("cache/tepui");
    fs::rename(&own, scene.root.path().join("old")).unwrap();
    fs::create_dir(&own).unwrap();
    let second = scene.source("b", "three");
    scene.fetch(&[cached(&second)]).await.unwrap();
    assert_eq!(scene.files(), Vec::<PathBuf>::new());
    // One that is gone is done without.
    fs::remove_dir_all(scene.root.path().join("old")).unwrap();
    let third = scene.source("c", "four");
    let sandbox = scene.fetch(&[cached(&third)]).await.unwrap();
    assert_eq!(read(&sandbox, "c"), "four");
    assert!(said(&sandbox).contains("Doing without the cache"));
}

/// Answers each request when it is let to, with `/missing` being nowhere and `/endless` having no length.
async fn server(asked: Arc<AtomicUsize>, gate: Arc<Semaphore>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (asked, gate) = (Arc::clone(&asked), Arc::clone(&gate));
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let count = stream.read(&mut request).await.unwrap();
                asked.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                let line = String::from_utf8_lossy(&request[..count]).into_owned();
                let answer = if line.starts_with("GET /missing") {
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                } else if line.starts_with("GET /endless") {
                    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
                } else {
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
                };
                // Who was called off hears nothing.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (format!("http://{address}"), serve)
}

#[tokio::test]
async fn who_wants_the_same_waits_for_the_first() {
    let scene = Scene::new(100);
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (base, serve) = server(Arc::clone(&asked), Arc::clone(&gate)).await;
    let file = [cached(&format!("{base}/file"))];
    let (one, two, three, ()) = tokio::join!(
        scene.fetch(&file),
        scene.fetch(&file),
        scene.fetch(&file),
        async {
            while asked.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            gate.add_permits(1);
        }
    );
    for sandbox in [one, two, three] {
        assert_eq!(read(&sandbox.unwrap(), "file"), "hello");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    serve.abort();
}

#[tokio::test]
async fn who_waits_for_one_that_is_called_off_fetches_itself() {
    let scene = Scene::new(100);
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (base, serve) = server(Arc::clone(&asked), Arc::clone(&gate)).await;
    let file = [cached(&format!("{base}/file"))];
    let first = scene.fetch(&file);
    let arrived = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = first => panic!("nothing was answered"),
        () = arrived => {}
    }
    gate.add_permits(2);
    let sandbox = scene.fetch(&file).await.unwrap();
    assert_eq!(read(&sandbox, "file"), "hello");
    assert_eq!(scene.fetcher.numbers().cache_used_bytes, 5);
    serve.abort();
}

#[tokio::test]
async fn what_fails_or_has_no_length_is_not_kept() {
    let scene = Scene::new(100);
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(100)));
    let (base, serve) = server(Arc::clone(&asked), gate).await;
    for times in 1..3 {
        let missing = scene.fetch(&[cached(&format!("{base}/missing"))]).await;
        assert!(missing.unwrap_err().ends_with("404 Not Found"));
        assert_eq!(asked.load(Ordering::SeqCst), times);
    }
    let sandbox = scene
        .fetch(&[cached(&format!("{base}/endless"))])
        .await
        .unwrap();
    assert_eq!(read(&sandbox, "endless"), "hello");
    assert_eq!(scene.fetcher.numbers().cache_used_bytes, 0);
    // Of several files some are kept and others are not.
    let mixed = [
        cached(&format!("{base}/a")),
        Uri {
            cache: Some(false),
            ..cached(&format!("{base}/b"))
        },
        cached(&format!("  {base}/a")),
    ];
    let before = asked.load(Ordering::SeqCst);
    scene.fetch(&mixed).await.unwrap();
    scene.fetch(&mixed).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst) - before, 3);
    serve.abort();
}

#[tokio::test]
async fn a_kept_file_must_have_its_sum_too() {
    let scene = Scene::new(100);
    let source = scene.source("a", "hello");
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let good = [cached(&format!("{source}#sha256={sum}"))];
    for _ in 0..2 {
        let sandbox = scene.fetch(&good).await.unwrap();
        assert_eq!(read(&sandbox, "a"), "hello");
    }
    let wrong = [cached(&format!("{source}#sha256={}", "1".repeat(64)))];
    let error = scene.fetch(&wrong).await.unwrap_err();
    assert!(error.contains("its SHA-256 is"), "{error}");
    assert_eq!(scene.files().len(), 1);
}

#[test]
fn a_file_that_is_made_when_nobody_wants_it_any_more_is_removed() {
    // One thread for blocking work, which is busy.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut path = PathBuf::new();
    runtime.block_on(async {
        let cache = Cache::open(root.path(), 100).unwrap();
        let key = (None, "file".to_owned());
        let Ok(Asked::Wanted(filling)) = cache.ask(&key, "file").await else {
            panic!("it is not there yet");
        };
        path = root
            .path()
            .join(super::super::keeping::OWN)
            .join(&filling.name);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || gone.recv());
        let mut reserved = Box::pin(filling.reserve(10));
        let waits = std::future::poll_fn(|cx| Poll::Ready(reserved.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        drop(reserved);
        // The file that is not there is removed at once: this thread is not one of the runtime's.
        std::thread::scope(|scope| scope.spawn(|| drop(filling)).join()).unwrap();
        drop(go);
        let _ = busy.await.unwrap();
        // Comes after it.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    });
    assert!(!path.exists());
}
