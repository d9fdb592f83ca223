use std::{
    os::unix::fs::{MetadataExt, chown, symlink},
    process::Command,
};

use tepui_client::tls::Roots;
use tepui_protocol::v1::command_info::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use super::*;

fn uri(value: impl Into<String>) -> Uri {
    Uri {
        value: value.into(),
        ..Uri::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_land_in_the_sandbox_with_their_modes_and_archives_are_unpacked() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = tempfile::tempdir().unwrap();
    let script = outside.path().join("run.sh");
    fs::write(&script, "echo hello").unwrap();
    fs::write(outside.path().join("inner"), "packed").unwrap();
    let archive = outside.path().join("all.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(outside.path())
        .arg("-czf")
        .arg(&archive)
        .arg("inner");
    assert!(tar.status().unwrap().success());
    let uris = [
        Uri {
            executable: Some(true),
            ..uri(script.display().to_string())
        },
        Uri {
            output_file: Some("a/b.sh".to_owned()),
            ..uri(format!("file://{}", script.display()))
        },
        uri(archive.display().to_string()),
    ];
    Fetcher::default()
        .fetch(&uris, sandbox.path(), None)
        .await
        .unwrap();
    assert_eq!(mode(&sandbox.path().join("run.sh")) & 0o111, 0o111);
    assert_eq!(
        fs::read_to_string(sandbox.path().join("a/b.sh")).unwrap(),
        "echo hello"
    );
    assert_eq!(
        fs::read_to_string(sandbox.path().join("inner")).unwrap(),
        "packed"
    );
}

#[tokio::test]
async fn nothing_is_written_outside_the_sandbox() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = tempfile::tempdir().unwrap();
    let source = outside.path().join("file");
    fs::write(&source, "x").unwrap();
    symlink(outside.path(), sandbox.path().join("way")).unwrap();
    symlink(outside.path().join("victim"), sandbox.path().join("link")).unwrap();
    for name in ["../up", "/etc/up", "way/up", "a/../../up", ""] {
        let out = Uri {
            output_file: Some(name.to_owned()),
            ..uri(source.display().to_string())
        };
        let error = Fetcher::default().fetch(&[out], sandbox.path(), None).await;
        assert!(error.is_err(), "{name}");
    }
    let out = Uri {
        output_file: Some("link".to_owned()),
        ..uri(source.display().to_string())
    };
    Fetcher::default()
        .fetch(&[out], sandbox.path(), None)
        .await
        .unwrap();
    assert!(!outside.path().join("victim").exists() && !outside.path().join("up").exists());
}

#[tokio::test]
async fn http_is_followed_and_bounded_and_its_secrets_are_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).await.unwrap();
            let asked = String::from_utf8_lossy(&request[..count]).into_owned();
            let answer = if asked.starts_with("GET /old") {
                "HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else if asked.starts_with("GET /file") {
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
            } else {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let sandbox = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::default();
    let found = [uri(format!("http://{address}/old?token=1"))];
    fetcher.fetch(&found, sandbox.path(), None).await.unwrap();
    assert_eq!(
        fs::read_to_string(sandbox.path().join("old?token=1")).unwrap(),
        "hello"
    );
    let said = fs::read_to_string(sandbox.path().join("stderr")).unwrap();
    assert!(
        said.contains("/old?...'") && !said.contains("token"),
        "{said}"
    );
    let missing = [uri(format!("http://user:secret@{address}/none?token=1"))];
    let error = fetcher
        .fetch(&missing, sandbox.path(), None)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        format!("http://{address}/none: the server answered 404 Not Found")
    );
    let small = Fetcher {
        max_bytes: 4,
        ..Fetcher::default()
    };
    let error = small.fetch(&found, sandbox.path(), None).await.unwrap_err();
    assert!(error.ends_with("it has more than 4 bytes"), "{error}");
    let other = [uri("hdfs://host/file")];
    assert!(fetcher.fetch(&other, sandbox.path(), None).await.is_err());
    server.abort();
}

fn certified() -> (TlsAcceptor, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate.to_vec())
}

fn trusting(root: Vec<u8>) -> Fetcher {
    Fetcher {
        client: Client::new(Options {
            roots: Roots::Only(vec![root]),
            ..Options::default()
        }),
        ..Fetcher::default()
    }
}

#[tokio::test]
async fn https_files_arrive_where_the_server_is_trusted_and_only_there() {
    let (tls, root) = certified();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let file: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 249) as u8).collect();
    let sent = file.clone();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = tls.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                sent.len()
            );
            // Who has had enough hangs up.
            if stream.write_all(head.as_bytes()).await.is_ok()
                && stream.write_all(&sent).await.is_ok()
            {
                let _ = stream.shutdown().await;
            }
        }
    });
    let sandbox = tempfile::tempdir().unwrap();
    let run = [Uri {
        output_file: Some("bin/run".to_owned()),
        executable: Some(true),
        ..uri(format!("https://{address}/file?token=1"))
    }];
    trusting(root.clone())
        .fetch(&run, sandbox.path(), None)
        .await
        .unwrap();
    let arrived = sandbox.path().join("bin/run");
    assert!(fs::read(&arrived).unwrap() == file);
    assert_eq!(mode(&arrived), 0o755);
    fs::remove_file(&arrived).unwrap();

    let stranger = trusting(certified().1);
    let error = stranger.fetch(&run, sandbox.path(), None).await;
    let error = error.unwrap_err();
    let expected = format!(
        "https://{address}/file: the certificate of 127.0.0.1 is not signed by the issuer that is known here by its name: "
    );
    assert!(error.starts_with(&expected), "{error}");
    assert!(!arrived.exists());

    let small = Fetcher {
        max_bytes: 999_999,
        ..trusting(root)
    };
    let error = small.fetch(&run, sandbox.path(), None).await.unwrap_err();
    assert!(error.ends_with("it has more than 999999 bytes"), "{error}");
    server.abort();
}

#[tokio::test]
async fn details_are_as_mesos_has_them() {
    let outside = tempfile::tempdir().unwrap();
    let sandbox = tempfile::tempdir().unwrap();
    let plain = outside.path().join("plain");
    fs::write(&plain, "words").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o600)).unwrap();
    let gzip = Command::new("gzip").arg("-k").arg(&plain).status();
    assert!(gzip.unwrap().success());
    let packed = outside.path().join("plain.gz");
    let uris = [
        Uri {
            executable: Some(true),
            output_file: Some("run".to_owned()),
            ..uri(format!(" \t{}", plain.display()))
        },
        Uri {
            output_file: Some("sub/unpacked.gz".to_owned()),
            ..uri(format!("file://localhost{}", packed.display()))
        },
        Uri {
            extract: Some(false),
            ..uri(packed.display().to_string())
        },
    ];
    let fetcher = Fetcher::default();
    fetcher.fetch(&uris, sandbox.path(), None).await.unwrap();
    let at = |name: &str| sandbox.path().join(name);
    assert_eq!(mode(&at("run")), 0o755);
    assert_eq!(fs::read_to_string(at("unpacked")).unwrap(), "words");
    assert!(at("sub/unpacked.gz").exists() && at("plain.gz").exists());
    assert!(!at("plain").exists());
    let unknown = fetcher.fetch(&uris, sandbox.path(), Some("no-such-user"));
    assert_eq!(
        unknown.await.unwrap_err(),
        "the user 'no-such-user' does not exist on this machine"
    );
}

/// A directory that `nobody` can look into, and an archive there with this one entry.
fn packed(name: &str, from: &Path, entry: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let archive = directory.path().join(name);
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).arg("-C").arg(from).arg(entry);
    assert!(tar.status().unwrap().success());
    let archive = archive.display().to_string();
    (directory, archive)
}

#[tokio::test]
async fn root_fetches_with_no_more_rights_than_the_user_of_the_task_has() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("left out: only root can act for another user");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let sandbox = tempfile::tempdir().unwrap();
    chown(sandbox.path(), Some(uid), Some(gid)).unwrap();
    let fetch = async |value: &str| {
        let fetcher = Fetcher::default();
        fetcher
            .fetch(&[uri(value)], sandbox.path(), Some("nobody"))
            .await
    };

    // A link out of the sandbox, and an archive that would write through it.
    let precious = tempfile::tempdir().unwrap();
    let link = tempfile::tempdir().unwrap();
    symlink(precious.path(), link.path().join("way")).unwrap();
    let through = tempfile::tempdir().unwrap();
    fs::create_dir(through.path().join("way")).unwrap();
    fs::write(through.path().join("way/victim"), "x").unwrap();
    let (_first, first) = packed("first.tar", link.path(), "way");
    let (_second, second) = packed("second.tar", through.path(), "way/victim");
    fetch(&first).await.unwrap();
    let way = fs::symlink_metadata(sandbox.path().join("way")).unwrap();
    assert!(way.is_symlink() && way.uid() == uid && way.gid() == gid);
    let archive = fs::metadata(sandbox.path().join("first.tar")).unwrap();
    assert!(archive.uid() == uid && archive.gid() == gid);
    let error = fetch(&second).await.unwrap_err();
    assert!(
        error.contains("the archive's entry 'way/victim' cannot be made"),
        "{error}"
    );
    assert!(!precious.path().join("victim").exists());

    let secret = Path::new(&first).with_file_name("secret");
    fs::write(&secret, "root's own").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let error = fetch(&secret.display().to_string()).await.unwrap_err();
    assert!(error.contains("Permission denied"), "{error}");
    assert!(!sandbox.path().join("secret").exists());
    // The rights of one thread were changed, not the agent's.
    assert_eq!(fs::read_to_string(&secret).unwrap(), "root's own");
}

/// Made by the shell, in `from`.
fn made(from: &Path, command: &str) {
    let mut shell = Command::new("sh");
    shell.current_dir(from).args(["-c", command]);
    assert!(shell.status().unwrap().success(), "{command}");
}

#[tokio::test]
async fn one_file_may_be_fetched_several_times_and_one_that_is_not_there_is_named() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = outside.path().join("data");
    fs::write(&source, "data").unwrap();
    let named = |name: &str| Uri {
        output_file: Some(name.to_owned()),
        cache: Some(true),
        ..uri(source.display().to_string())
    };
    let fetcher = Fetcher::default();
    let uris = ["one", "two", "three"].map(named);
    fetcher.fetch(&uris, sandbox.path(), None).await.unwrap();
    for name in ["one", "two", "three"] {
        let found = fs::read_to_string(sandbox.path().join(name)).unwrap();
        assert_eq!(found, "data", "{name}");
    }
    let missing = outside.path().join("missing").display().to_string();
    let asked = [uri(missing.clone())];
    let error = fetcher.fetch(&asked, sandbox.path(), None).await;
    assert!(error.unwrap_err().starts_with(&missing));
}

#[tokio::test]
async fn what_is_neither_executable_nor_to_be_unpacked_stays_as_it_is() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(
        outside.path(),
        "echo hello > inner && tar -cf plain.tar inner && tar -cf named.tar.gz inner && rm inner",
    );
    let of = |name: &str| uri(outside.path().join(name).display().to_string());
    let kept = Uri {
        executable: Some(false),
        extract: Some(false),
        ..of("plain.tar")
    };
    let run = Uri {
        executable: Some(true),
        extract: Some(false),
        output_file: Some("run".to_owned()),
        ..of("plain.tar")
    };
    let fetcher = Fetcher::default();
    let asked = [kept, run];
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    let at = |name: &str| sandbox.path().join(name);
    assert_eq!(mode(&at("plain.tar")) & 0o111, 0);
    assert_eq!(mode(&at("run")) & 0o111, 0o111);
    assert!(!at("inner").exists());
    // Its name says that it is compressed, and it is not.
    let asked = [of("named.tar.gz")];
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    assert_eq!(fs::read_to_string(at("inner")).unwrap(), "hello\n");
    assert!(at("named.tar.gz").exists());
}

#[tokio::test]
async fn the_name_at_the_end_of_the_whole_uri_says_whether_it_is_unpacked() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(
        outside.path(),
        "echo hello > inner && tar -cf 'a.tar?x' inner && cp 'a.tar?x' 'b?x=.tar' \
         && gzip -c inner > 'c?token=1.gz' && cp 'c?token=1.gz' 'd?token=2.gz' && rm inner",
    );
    let of = |name: &str| [uri(outside.path().join(name).display().to_string())];
    let fetcher = Fetcher::default();
    let at = |name: &str| sandbox.path().join(name);
    let asked = of("a.tar?x");
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    assert!(at("a.tar?x").exists() && !at("inner").exists());
    let asked = of("b?x=.tar");
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    assert!(at("b?x=.tar").exists() && at("inner").exists());
    let asked = of("c?token=1.gz");
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    assert_eq!(fs::read_to_string(at("c?token=1")).unwrap(), "hello\n");
    // A directory is in the way of what is unpacked.
    fs::create_dir(at("d?token=2")).unwrap();
    let asked = of("d?token=2.gz");
    let refused = fetcher.fetch(&asked, sandbox.path(), None);
    let error = refused.await.unwrap_err();
    assert!(error.contains("entry 'd?...'"), "{error}");
    let said = fs::read_to_string(at("stderr")).unwrap();
    assert!(
        said.contains("Extracted 'c?...'") && !said.contains("token"),
        "{said}"
    );
}

#[tokio::test]
async fn the_sandbox_hears_what_was_done_and_what_was_not() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(outside.path(), "echo hello > inner && tar -cf a.tar inner");
    let said = || fs::read_to_string(sandbox.path().join("stderr")).unwrap();
    fs::write(sandbox.path().join("stderr"), "before\n").unwrap();
    let fetcher = Fetcher::default();
    let archive = outside.path().join("a.tar").display().to_string();
    let good = [uri(archive.clone())];
    fetcher.fetch(&good, sandbox.path(), None).await.unwrap();
    let shown = sandbox.path().display();
    let expected = format!(
        "before\n\
         Fetcher: Fetching '{archive}' directly into the sandbox directory\n\
         Fetcher: Extracted 'a.tar' into '{shown}'\n\
         Fetcher: Fetched '{archive}' to '{shown}/a.tar'\n\
         Fetcher: Successfully fetched all URIs into '{shown}'\n"
    );
    assert_eq!(said(), expected);
    let missing = [uri("file:///no/such/file?token=1\u{1b}[2J")];
    assert!(fetcher.fetch(&missing, sandbox.path(), None).await.is_err());
    let last = said().lines().last().unwrap().to_owned();
    let expected =
        "Fetcher: Failed to fetch file:///no/such/file: No such file or directory (os error 2)";
    assert_eq!(last, expected);
    let numbers = fetcher.numbers();
    assert_eq!((numbers.succeeded, numbers.failed), (1, 1));
}

#[tokio::test]
async fn relative_paths_begin_at_the_frameworks_home() {
    let (home, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    made(home.path(), "mkdir bin && echo run > bin/run");
    let asked = [uri("bin/run")];
    let error = Fetcher::default().fetch(&asked, sandbox.path(), None).await;
    let expected = "bin/run: a relative path needs the agent's --frameworks_home";
    assert_eq!(error.unwrap_err(), expected);
    let fetcher = Fetcher {
        frameworks_home: Some(home.path().to_owned()),
        ..Fetcher::default()
    };
    fetcher.fetch(&asked, sandbox.path(), None).await.unwrap();
    assert!(sandbox.path().join("run").exists());
}

#[tokio::test]
async fn zips_and_what_is_wrong_with_them() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let make = |name: &str, data: &[u8]| {
        let path = outside.path().join(name);
        fs::write(&path, data).unwrap();
        [uri(path.display().to_string())]
    };
    let fetcher = Fetcher::default();
    // One file, "hello", stored: as in Mesos' tests.
    let mut zip = vec![];
    zip.extend(b"PK\x03\x04\x0a\0\0\0\0\0\x10\x51\x73\x48\x2d\x3b\x08\xaf\x0c\0\0\0\x0c\0\0\0\x05\0\0\0hello");
    zip.extend(b"hello world\n");
    let table = zip.len() as u32;
    zip.extend(b"PK\x01\x02\x1e\x03\x0a\0\0\0\0\0\x10\x51\x73\x48\x2d\x3b\x08\xaf\x0c\0\0\0\x0c\0\0\0\x05\0\0\0\0\0\0\0\x01\0\0\0\xa4\x81\0\0\0\0hello");
    let length = zip.len() as u32 - table;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(length.to_le_bytes());
    zip.extend(table.to_le_bytes());
    zip.extend(b"\0\0");
    let good = make("good.zip", &zip);
    fetcher.fetch(&good, sandbox.path(), None).await.unwrap();
    let hello = fs::read_to_string(sandbox.path().join("hello")).unwrap();
    assert_eq!(hello, "hello world\n");
    let at = zip.windows(5).position(|it| it == b"world").unwrap();
    zip[at] = b'W';
    let wrong = make("wrong.zip", &zip);
    let error = fetcher.fetch(&wrong, sandbox.path(), None).await;
    assert!(error.unwrap_err().contains("the archive cannot be read"));
}

#[tokio::test]
async fn a_file_that_is_not_the_promised_one_is_refused() {
    let (outside, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = outside.path().join("run.gz");
    fs::write(&path, "hello").unwrap();
    let with = |sum: &str| Uri {
        extract: Some(false),
        ..uri(format!("{}#sha256={sum}", path.display()))
    };
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let fetcher = Fetcher::default();
    fetcher
        .fetch(&[with(sum)], sandbox.path(), None)
        .await
        .unwrap();
    assert_eq!(fs::read(sandbox.path().join("run.gz")).unwrap(), b"hello");
    let other = with(&"0".repeat(64));
    let error = fetcher.fetch(&[other], sandbox.path(), None).await;
    let error = error.unwrap_err();
    let expected = format!("its SHA-256 is {sum}; expected {}", "0".repeat(64));
    assert!(error.ends_with(&expected), "{error}");
}
