use std::os::unix::fs::symlink;

use tepui_protocol::v1::command_info::Uri;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
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
        fs::read_to_string(sandbox.path().join("old")).unwrap(),
        "hello"
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
