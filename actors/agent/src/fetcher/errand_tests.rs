use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use tepui_protocol::v1::command_info::Uri;

use super::{super::Fetcher, *};

/// Of zeros; as a file it is a hole.
const BIG: u64 = 8 << 30;

/// Calls a fetch off as soon as it writes to this file.
async fn written(file: &Path) {
    while fs::metadata(file).map_or(0, |it| it.len()) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Files below it that this process has open.
fn open_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    // Directories are opened for a moment to remove what is in them, and the cache keeps its own open.
    open.filter(|it| it.starts_with(directory) && !it.is_dir())
        .collect()
}

fn big(path: &Path) {
    File::create(path).unwrap().set_len(BIG).unwrap();
}

/// As long when it is unpacked: the same member again and again.
fn bomb(path: &Path) {
    let member: u64 = 64 << 20;
    let mut gzip = Command::new("gzip");
    let gzip = gzip.arg("-1").stdin(Stdio::piped());
    let mut gzip = gzip.stdout(Stdio::piped()).spawn().unwrap();
    let mut zeros = gzip.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        zeros
            .write_all(&vec![0; usize::try_from(member).unwrap()])
            .unwrap();
    });
    let packed = gzip.wait_with_output().unwrap().stdout;
    feeding.join().unwrap();
    let mut file = File::create(path).unwrap();
    for _ in 0..BIG / member {
        file.write_all(&packed).unwrap();
    }
}

async fn call_off(fetcher: &Fetcher, source: &Path, cached: bool, name: &str, seen: Option<&Path>) {
    let sandbox = tempfile::tempdir().unwrap();
    let uris = [Uri {
        value: source.display().to_string(),
        cache: Some(cached),
        ..Uri::default()
    }];
    let inside = sandbox.path().join(name);
    let off = written(seen.unwrap_or(&inside));
    let fetched = fetcher.fetch_unless(off, &uris, sandbox.path(), None);
    let error = fetched.await.unwrap_err();
    assert!(error.contains("called off"), "{error}");
    let report = fs::canonicalize(sandbox.path()).unwrap().join("stderr");
    let mut open = open_below(&fs::canonicalize(sandbox.path()).unwrap());
    open.retain(|it| *it != report);
    assert_eq!(open, Vec::<std::path::PathBuf>::new());
    let length = fs::metadata(&inside).map_or(0, |it| it.len());
    assert!(length < BIG, "{length}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_to_a_sandbox_whose_fetch_was_called_off() {
    let outside = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::default();
    let file = outside.path().join("big");
    big(&file);
    call_off(&fetcher, &file, false, "big", None).await;
    let archive = outside.path().join("bomb.gz");
    bomb(&archive);
    call_off(&fetcher, &archive, false, "bomb", None).await;
    assert_eq!(
        (fetcher.numbers().succeeded, fetcher.numbers().failed),
        (0, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_to_the_cache_which_keeps_nothing_of_it() {
    let outside = tempfile::tempdir().unwrap();
    let directory = outside.path().join("cache");
    let fetcher = Fetcher::default();
    let fetcher = fetcher.with_cache(&directory, 2 * BIG).unwrap();
    let file = outside.path().join("big");
    big(&file);
    let kept = directory.join("tepui/c1-big");
    call_off(&fetcher, &file, true, "big", Some(&kept)).await;
    assert_eq!(
        open_below(&fs::canonicalize(outside.path()).unwrap()),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(fetcher.numbers().cache_used_bytes, 0);
    while kept.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
