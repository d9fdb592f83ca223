//! Clients at the standard streams of containers, against the real shim (see `launcher.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy knows only test functions as such"
)]

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::time::Duration;
use support::{Bench, bounded, text};
use tepui_containers::switchboard::{
    Decoder, Greeting, Kind, MAX_FRAME_BYTES, Switchboard, Terminal, WindowSize, frame,
};
use tepui_containers::{LaunchSpec, Recovered, Running, attach};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const MEBIBYTE: usize = 1 << 20;

fn in_terminal(mut spec: LaunchSpec, rows: u16, columns: u16) -> LaunchSpec {
    let size = Some(WindowSize { rows, columns });
    spec.switchboard = Some(Switchboard {
        terminal: Some(Terminal { size }),
        is_session: false,
    });
    spec
}

fn as_session(mut spec: LaunchSpec) -> LaunchSpec {
    spec.switchboard = Some(Switchboard {
        terminal: None,
        is_session: true,
    });
    spec
}

fn with_pipes(mut spec: LaunchSpec) -> LaunchSpec {
    spec.switchboard = Some(Switchboard::default());
    spec
}

async fn connect(bench: &Bench, container: &Running, greeting: Greeting) -> UnixStream {
    let runtime_dir = bench.runtime_dir(container.container_id());
    let connected = bounded(attach::connect(&runtime_dir, greeting)).await;
    connected.unwrap().expect("its streams are kept")
}

/// (stdout, stderr) up to the end, or up to `until` on stdout.
async fn hear(stream: &mut UnixStream, until: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; MAX_FRAME_BYTES];
    loop {
        while let Some((kind, bytes)) = decoder.take().unwrap() {
            match kind {
                Kind::Stdout => out.extend(bytes),
                Kind::Stderr => err.extend(bytes),
                other => panic!("{other:?} from a container"),
            }
        }
        let said = |text: &[u8]| out.windows(text.len()).any(|part| part == text);
        if until.is_some_and(said) {
            return (out, err);
        }
        match bounded(stream.read(&mut chunk)).await.unwrap() {
            0 => return (out, err),
            length => decoder.feed(&chunk[..length]),
        }
    }
}

async fn answer(stream: &mut UnixStream) -> Option<(Kind, Vec<u8>)> {
    let mut bytes = Vec::new();
    bounded(stream.read_to_end(&mut bytes)).await.unwrap();
    let mut decoder = Decoder::default();
    decoder.feed(&bytes);
    decoder.take().unwrap()
}

async fn give(stream: &mut UnixStream, kind: Kind, bytes: &[u8]) {
    bounded(stream.write_all(&frame(kind, bytes)))
        .await
        .unwrap();
}

/// Lines of ten bytes.
fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{number:09}\n")).collect()
}

#[tokio::test]
async fn without_clients_all_of_it_is_in_the_files_of_the_sandbox() {
    let bench = Bench::bare();
    let count = MEBIBYTE / 10;
    let command = format!("seq -f %09.0f 0 {} | tee /dev/stderr", count - 1);
    let spec = with_pipes(bench.shell(&command));
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(0));
    for file in ["stdout", "stderr"] {
        assert!(text(&sandbox.join(file)) == lines(count), "{file}");
    }
}

#[tokio::test]
async fn the_client_of_a_session_hears_both_streams_whole() {
    let bench = Bench::bare();
    let count = MEBIBYTE / 10;
    let command = format!("seq -f %09.0f 0 {} | tee /dev/stderr; exit 4", count - 1);
    let spec = as_session(bench.shell(&command));
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    let mut client = connect(&bench, &container, Greeting::Session).await;
    let (out, err) = hear(&mut client, None).await;
    assert!(out == lines(count).as_bytes() && err == out);
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(4 << 8));
    assert!(
        !sandbox.join("stdout").exists(),
        "it is told to its client alone"
    );
}

#[tokio::test]
async fn what_clients_write_comes_to_the_command_in_order() {
    let bench = Bench::bare();
    let spec = with_pipes(bench.shell("cat"));
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    let mut client = connect(&bench, &container, Greeting::Input).await;
    let data = lines(MEBIBYTE / 10);
    for part in data.as_bytes().chunks(4096) {
        give(&mut client, Kind::Stdin, part).await;
    }
    let mut other = connect(&bench, &container, Greeting::Input).await;
    assert_eq!(answer(&mut other).await, Some((Kind::Busy, Vec::new())));
    client.shutdown().await.unwrap();
    assert_eq!(answer(&mut client).await, Some((Kind::Done, Vec::new())));
    // The end of one client is not the end of the input.
    let mut next = connect(&bench, &container, Greeting::Input).await;
    give(&mut next, Kind::Stdin, b"last\n").await;
    give(&mut next, Kind::Window, &[1, 0, 1, 0]).await;
    let (kind, errno) = answer(&mut next).await.unwrap();
    assert_eq!(
        (kind, errno),
        (Kind::Unsized, 25_i32.to_le_bytes().to_vec())
    );
    let mut last = connect(&bench, &container, Greeting::Input).await;
    give(&mut last, Kind::Stdin, b"").await;
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(0));
    assert!(text(&sandbox.join("stdout")) == data + "last\n");
}

#[tokio::test]
async fn a_terminal_is_that_of_the_command_and_follows_its_size() {
    let bench = Bench::bare();
    let script = "trap 'stty size' WINCH; stty size; tty; while true; do read line && echo \"<$line>\"; done";
    let container = bench.shell(script);
    let container = bench.launch(in_terminal(container, 24, 80)).await.unwrap();
    let mut input = connect(&bench, &container, Greeting::Input).await;
    let mut output = connect(&bench, &container, Greeting::Output).await;
    give(&mut input, Kind::Stdin, b"begun\n").await;
    hear(&mut output, Some(b"<begun>")).await;
    let size = WindowSize {
        rows: 50,
        columns: 132,
    };
    give(&mut input, Kind::Window, &size.to_bytes()).await;
    hear(&mut output, Some(b"50 132")).await;
    let file = text(&bench.sandbox(container.container_id()).join("stdout"));
    // The echo of the input may have come between them.
    assert!(file.contains("24 80\r\n"), "{file}");
    assert!(file.contains("/dev/pts/"), "{file}");
    // Ctrl-\ is a signal for the command, through its terminal.
    give(&mut input, Kind::Stdin, b"\x1c").await;
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status.map(|status| status & 0x7f), Some(3));
}

#[tokio::test]
async fn clients_come_and_go_while_the_agent_does() {
    let bench = Bench::bare();
    let spec = bench.shell("while read line; do echo \"<$line>\"; done");
    let runtime_dir = spec.runtime_dir.clone();
    let container = bench.launch(in_terminal(spec, 1, 1)).await.unwrap();
    for word in ["one", "two"] {
        let mut input = connect(&bench, &container, Greeting::Input).await;
        let mut output = connect(&bench, &container, Greeting::Output).await;
        give(&mut input, Kind::Stdin, format!("{word}\n").as_bytes()).await;
        hear(&mut output, Some(format!("<{word}>").as_bytes())).await;
    }
    let id = container.container_id().to_owned();
    drop(container);
    let recovered = bench.launcher.recover(&id, &runtime_dir).await.unwrap();
    let Recovered::Running(container) = recovered else {
        panic!("it runs on")
    };
    let mut output = connect(&bench, &container, Greeting::Output).await;
    let mut input = connect(&bench, &container, Greeting::Input).await;
    give(&mut input, Kind::Stdin, b"three\n\x04").await;
    hear(&mut output, Some(b"<three>")).await;
    hear(&mut output, None).await;
    assert_eq!(bounded(container.wait()).await.unwrap().raw_status, Some(0));
    let gone = attach::connect(&runtime_dir, Greeting::Output).await;
    assert!(gone.unwrap().is_none(), "nobody keeps the streams any more");
}

#[tokio::test]
async fn a_session_ends_with_its_client_and_all_it_started() {
    let bench = Bench::bare();
    let spec =
        as_session(bench.shell("trap '' TERM HUP; (setsid sleep 1000 &) ; echo up; sleep 1000"));
    let container = bench.launch(spec).await.unwrap();
    let mut client = connect(&bench, &container, Greeting::Session).await;
    hear(&mut client, Some(b"up")).await;
    // Others who listen do not keep it up.
    let _other = connect(&bench, &container, Greeting::Output).await;
    drop(client);
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(9));
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_neither_stops_the_command_nor_the_others() {
    let bench = Bench::bare();
    // More than the sockets between take.
    let count = 8 * MEBIBYTE / 10;
    let go = bench.sandbox("c0").join("go");
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; seq -f %09.0f 0 {}",
        go.display(),
        count - 1
    );
    let container = bench
        .launch(with_pipes(bench.shell(&command)))
        .await
        .unwrap();
    let slow = connect(&bench, &container, Greeting::Output).await;
    let mut reader = connect(&bench, &container, Greeting::Output).await;
    std::fs::write(go, "").unwrap();
    let (out, _) = tokio::time::timeout(Duration::from_secs(120), hear(&mut reader, None))
        .await
        .unwrap();
    assert!(out == lines(count).as_bytes());
    assert_eq!(bounded(container.wait()).await.unwrap().raw_status, Some(0));
    drop(slow);
}

#[tokio::test]
async fn strangers_on_the_socket_harm_nobody() {
    let bench = Bench::bare();
    let container = bench.launch(with_pipes(bench.shell("cat"))).await.unwrap();
    let socket = bench.runtime_dir(container.container_id()).join("io");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    for words in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"Ixxxxxxxxx",
        b"Oxxx",
        b"S\0",
    ] {
        let mut stranger = UnixStream::connect(&socket).await.unwrap();
        stranger.write_all(words).await.unwrap();
        let mut rest = Vec::new();
        let _ = bounded(stranger.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"", "{words:?}");
    }
    // Some who say nothing at all, and leave.
    for _ in 0..40 {
        drop(UnixStream::connect(&socket).await.unwrap());
    }
    let mut input = connect(&bench, &container, Greeting::Input).await;
    give(&mut input, Kind::Stdin, b"fine").await;
    give(&mut input, Kind::Stdin, b"").await;
    assert_eq!(bounded(container.wait()).await.unwrap().raw_status, Some(0));
    let sandbox = bench.sandbox(container.container_id());
    assert_eq!(text(&sandbox.join("stdout")), "fine");
}
