use super::follow::Fresh;
use super::frames::{Frame, Frames, since, unix_ns};
use super::sink::Sink;
use super::*;
use crate::images::access::Logins;
use crate::rotation::{Bound, Rotation};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// An engine that answers what it is told to; `None` is no answer.
struct Fake {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answer = fn(&str) -> Option<Vec<u8>>;

impl Fake {
    fn new(answer: Answer) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let mut request = vec![0; 1 << 16];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let line = request.lines().next().unwrap_or_default();
                    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                    log.lock().expect("no panic").push(request);
                    match answer(&line) {
                        Some(bytes) => drop(stream.write_all(&bytes).await),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        Self { dir, asked }
    }

    fn engine(&self) -> Engine {
        let login = r#"{"auths": {"127.0.0.1:5000": {"auth": "dXNlcjpzZWNyZXQ="}}}"#;
        let logins = Logins::parse(login).expect("a login");
        Engine::new(self.dir.path().join("s"), logins)
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        asked
            .iter()
            .map(|it| it.split(" HTTP").next().unwrap_or_default().to_owned())
            .collect()
    }
}

fn answer(status: u16, body: &str) -> Option<Vec<u8>> {
    let length = body.len();
    Some(format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_by_its_socket() {
    let engine = Engine::new("/absent/engine.sock".into(), Logins::default());
    let error = engine.inspect("c").await.expect_err("nobody listens");
    assert!(error.is_of_engine(), "{error}");
    assert_eq!(
        error.to_string(),
        "the engine at /absent/engine.sock cannot be reached; look whether it runs"
    );
}

#[tokio::test]
async fn an_engine_that_hangs_keeps_nobody_waiting() {
    let fake = Fake::new(|_| None);
    let engine = fake.engine();
    assert!(!engine.is_silent(Duration::from_mins(1)));
    let called = engine.call(Method::GET, "/x?y=z", None, Duration::from_millis(50));
    let error = called.await.expect_err("it hangs");
    assert!(error.is_of_engine(), "{error}");
    assert!(
        error.to_string().contains("gave no answer to GET /x"),
        "{error}"
    );
    assert!(
        engine.is_silent(Duration::from_mins(1)),
        "so what is not urgent is not asked"
    );
}

#[tokio::test]
async fn what_an_engine_refuses_it_says_in_its_own_words() {
    let fake = Fake::new(|line| match line {
        "GET /containers/gone/json" => answer(404, r#"{"message": "No such container: gone"}"#),
        "GET /containers/sick/json" => answer(500, r#"{"message": "server error"}"#),
        "POST /containers/ended/kill?signal=KILL" => {
            answer(409, r#"{"message": "Container ended is not running"}"#)
        }
        "POST /containers/ended/stop?t=3" => answer(304, ""),
        _ => answer(400, "plain words"),
    });
    let engine = fake.engine();
    assert_eq!(engine.inspect("gone").await.expect("an answer"), None);
    let error = engine.inspect("sick").await.expect_err("it is");
    assert!(error.is_of_engine());
    assert_eq!(error.to_string(), "the engine says: server error");
    let killed = engine.kill("ended", "KILL").await;
    assert_eq!(killed.expect("an answer"), Done::NotThere);
    let stopped = engine.stop("ended", Duration::from_secs(3)).await;
    assert_eq!(stopped.expect("an answer"), Done::NotThere);
    let error = engine.start("c").await.expect_err("it is refused");
    assert!(!error.is_of_engine());
    assert_eq!(error.to_string(), "the engine says: plain words");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_makes_no_sense_is_no_answer() {
    let fake = Fake::new(|line| match line {
        "GET /containers/short/json" => {
            Some(b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{\"State\"".to_vec())
        }
        "GET /containers/odd/json" => answer(200, "[]"),
        "GET /containers/large/json" => answer(200, &" ".repeat((16 << 20) + 1)),
        _ => Some(b"no HTTP at all".to_vec()),
    });
    let engine = fake.engine();
    for name in ["short", "odd", "large", "none"] {
        let error = engine.inspect(name).await.expect_err("it is broken");
        assert!(matches!(error, EngineError::Broken(_)), "{name}: {error}");
        assert!(error.is_of_engine());
    }
}

#[tokio::test]
async fn an_image_is_pulled_only_where_it_is_missing_or_wanted_anew() {
    let fake = Fake::new(|line| match line {
        "GET /images/there:latest/json" => answer(200, "{}"),
        line if line.starts_with("GET /images/") => answer(404, r#"{"message": "no"}"#),
        "POST /images/create?fromImage=bad:latest" => answer(
            200,
            "{\"status\": \"Pulling\"}\n{\"error\": \"manifest unknown\"}\n",
        ),
        _ => answer(200, "{\"status\": \"Pulling\"}\n"),
    });
    let engine = fake.engine();
    engine.pull("there", false).await.expect("it is there");
    assert_eq!(fake.asked(), ["GET /images/there:latest/json"]);
    engine.pull("there", true).await.expect("it comes");
    engine
        .pull("127.0.0.1:5000/own:1", false)
        .await
        .expect("it comes");
    let last = fake.asked.lock().expect("no panic").pop();
    let last = last.expect("a pull");
    assert!(
        last.starts_with("POST /images/create?fromImage=127.0.0.1:5000/own:1 "),
        "{last}"
    );
    // {"username":"user","password":"secret"}
    let login = "eyJ1c2VybmFtZSI6InVzZXIiLCJwYXNzd29yZCI6InNlY3JldCJ9";
    assert!(last.contains(login), "{last}");
    let error = engine.pull("bad", false).await.expect_err("there is none");
    assert_eq!(error.to_string(), "the engine says: manifest unknown");
    let error = engine.pull("a b", false).await.expect_err("it is no name");
    assert!(matches!(error, EngineError::Broken(_)), "{error}");
}

/// Who waits no more drops the future, and with it the connection: an engine ends a pull that nobody reads.
#[tokio::test]
async fn a_pull_that_is_called_off_ends_its_connection() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let engine = Engine::new(socket, Logins::default());
    let pull = tokio::spawn(async move { engine.pull("box", true).await });
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).await.expect("a request") > 0);
    let head = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).await.expect("it reads");
    pull.abort();
    // Ended, or torn down.
    assert_eq!(stream.read(&mut request).await.unwrap_or(0), 0);
}

#[test]
fn where_a_container_is_in_its_life() {
    let parsed = |state: &str| {
        let body = format!(
            r#"{{"State": {state}, "HostConfig": {{"NetworkMode": "n", "Memory": 7}},
            "NetworkSettings": {{"IPAddress": "", "Networks": {{"n": {{"IPAddress": "10.0.0.2", "GlobalIPv6Address": ""}}}}}}}}"#
        );
        inspect::parse(body.as_bytes()).expect("it makes sense")
    };
    let running = parsed(r#"{"Running": true, "Pid": 12, "Status": "running"}"#);
    assert_eq!((running.state, running.pid), (State::Running, Some(12)));
    assert_eq!(
        (running.ip.as_deref(), running.ip6),
        (Some("10.0.0.2"), None)
    );
    assert_eq!(running.memory_limit_bytes, Some(7));
    assert_eq!((running.json[0], running.json.last()), (b'[', Some(&b']')));
    let created = parsed(r#"{"Running": false, "Pid": 0, "Status": "created"}"#);
    assert_eq!((created.state, created.pid), (State::Created, None));
    let ended = parsed(
        r#"{"Running": false, "ExitCode": 137, "OOMKilled": true, "Status": "exited", "FinishedAt": "1970-01-01T00:01:40.5Z"}"#,
    );
    let exited = State::Exited {
        code: 137,
        out_of_memory: true,
    };
    assert_eq!((ended.state, ended.finished_unix_s), (exited, Some(100)));
}

fn frame(is_error: bool, millis: u32, text: &str) -> Vec<u8> {
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let body = format!("2026-11-26T11:18:{seconds:02}.{millis:03}000000Z {text}");
    let length = u32::try_from(body.len()).expect("it is short");
    let mut bytes = vec![1 + u8::from(is_error), 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body.as_bytes());
    bytes
}

#[test]
fn frames_come_in_pieces_of_any_size() {
    let all = [
        frame(false, 1, "a b\n"),
        frame(true, 2, ""),
        frame(false, 3, "c"),
    ]
    .concat();
    for size in [1, 7, 40, all.len()] {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in all.chunks(size) {
            frames.feed(piece);
            while let Some(Frame { is_error, text, .. }) = frames.next().expect("they are frames") {
                found.push((is_error, String::from_utf8(text).expect("a text")));
            }
        }
        let expected = [(false, "a b\n"), (true, ""), (false, "c")];
        let expected = expected.map(|(is_error, text)| (is_error, text.to_owned()));
        assert_eq!(found, expected, "{size}");
    }
}

#[test]
fn what_is_no_frame_is_refused_before_it_is_kept() {
    for bytes in [
        &b"plain words"[..],
        &[3, 0, 0, 0, 0, 0, 0, 1, 0],
        &[1, 0, 0, 0, 255, 255, 255, 255],
        &[1, 0, 0, 0, 0, 0, 0, 4, b'o', b'd', b'd', b'!'],
    ] {
        let mut frames = Frames::default();
        frames.feed(bytes);
        assert!(frames.next().is_err(), "{bytes:?}");
    }
}

#[test]
fn a_time_is_asked_for_by_its_nanoseconds() {
    for (at, expected) in [
        ("1970-01-01T00:00:00Z", Some("0.000000000")),
        (
            "2026-11-26T11:18:15.579268680Z",
            Some("1795691895.579268680"),
        ),
        ("2026-11-26T12:18:15+01:00", Some("1795691895.000000000")),
        ("2000-02-29T23:59:59.5Z", Some("951868799.500000000")),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("2026-11-26", None),
        ("2026-11-26T11:18:15.xZ", None),
    ] {
        let asked = unix_ns(at).map(since);
        assert_eq!(asked.as_deref(), expected, "{at}");
    }
}

struct Box {
    dir: tempfile::TempDir,
}

impl Box {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("sandbox")).expect("a sandbox");
        Self { dir }
    }

    fn sandbox(&self) -> PathBuf {
        self.dir.path().join("sandbox")
    }

    fn record(&self) -> PathBuf {
        self.dir.path().join("record")
    }

    fn sink(&self, rotation: Option<Rotation>) -> Sink {
        Sink::open(&self.sandbox(), None, rotation, &self.record()).expect("a sink")
    }

    fn read(&self, name: &str) -> String {
        let path: &Path = name.as_ref();
        std::fs::read_to_string(self.sandbox().join(path)).expect("a file")
    }
}

/// A line of output, or of errors, with a time in milliseconds.
type Line = (bool, u32, &'static str);

const fn out(millis: u32, text: &'static str) -> Line {
    (false, millis, text)
}

/// The engine's whole output, from the position on; frames since its time come again.
fn brought(sink: &mut Sink, all: &[Line]) {
    let position = *sink.position();
    let mut fresh = Fresh::after(position);
    for (is_error, millis, text) in all {
        let bytes = frame(*is_error, *millis, text);
        let mut frames = Frames::default();
        frames.feed(&bytes);
        let one = frames.next().expect("a frame").expect("a whole one");
        if one.at_ns >= position.from.at_ns {
            sink.write(&fresh.feed(&bytes).expect("frames"))
                .expect("room");
        }
    }
}

fn assert_written_once(all: &[Line], expected: [&str; 2]) {
    for seen in 0..=all.len() {
        let place = Box::new();
        brought(&mut place.sink(None), &all[..seen]);
        // Written, and the agent was killed before it noted that.
        let path = place.sandbox().join("stdout");
        let torn = std::fs::read_to_string(&path).expect("a file") + "torn";
        std::fs::write(&path, torn).expect("room");
        brought(&mut place.sink(None), all);
        let found = ["stdout", "stderr"].map(|it| place.read(it));
        assert_eq!(found, expected, "{seen}");
    }
}

#[test]
fn output_is_written_once_whenever_the_agent_is_killed() {
    let lines = [
        out(1, "a\n"),
        out(2, "b\n"),
        out(2, "c\n"),
        out(2, "d\n"),
        out(3, "e\n"),
    ];
    assert_written_once(&lines, ["a\nb\nc\nd\ne\n", ""]);
}

/// Their times are of before they are put in order.
#[test]
fn lines_that_come_late_are_written_once_too() {
    let lines = [
        out(1, "a\n"),
        out(700, "b\n"),
        (true, 650, "w\n"),
        out(1_900, "c\n"),
        (true, 1_100, "x\n"),
        out(3_500, "d\n"),
        out(3_500, "e\n"),
        (true, 3_400, "y\n"),
        out(9_000, "f\n"),
        (true, 8_999, "z\n"),
    ];
    assert_written_once(&lines, ["a\nb\nc\nd\ne\nf\n", "w\nx\ny\nz\n"]);
}

/// Lines of after that are not those of the same time before.
#[test]
fn no_line_is_lost_where_the_clock_is_set_back() {
    let place = Box::new();
    let before = [out(30_000, "a\n"), out(40_000, "b\n")];
    brought(&mut place.sink(None), &before);
    let mut sink = place.sink(None);
    let mut fresh = Fresh::after(*sink.position());
    let lines = [before[0], before[1], out(1_000, "c\n"), out(1_500, "d\n")];
    for (is_error, millis, text) in lines {
        let frames = fresh.feed(&frame(is_error, millis, text)).expect("frames");
        sink.write(&frames).expect("room");
    }
    assert_eq!(place.read("stdout"), "a\nb\nc\nd\n");
    drop(sink);
    // From there it goes on.
    let lines = [out(1_000, "c\n"), out(1_500, "d\n"), out(1_600, "e\n")];
    brought(&mut place.sink(None), &lines);
    assert_eq!(place.read("stdout"), "a\nb\nc\nd\ne\n");
}

#[test]
fn a_position_of_an_earlier_version_goes_on() {
    let place = Box::new();
    std::fs::write(place.sandbox().join("stdout"), "a\nb\nc\n").expect("room");
    let noted = "2026-11-26T11:18:02.000000000Z 2 6 0";
    std::fs::write(place.record(), noted).expect("room");
    let lines = [
        out(2_000, "b\n"),
        out(2_000, "c\n"),
        out(2_000, "d\n"),
        out(3_000, "e\n"),
    ];
    brought(&mut place.sink(None), &lines);
    assert_eq!(place.read("stdout"), "a\nb\nc\nd\ne\n");
}

/// A pass that is dropped while it writes is ahead of the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_written_once_where_the_end_cuts_a_pass_short() {
    let place = Box::new();
    let fake = Fake::new(|_| {
        let body: Vec<u8> = (0..50)
            .flat_map(|it| frame(false, it, "a line\n"))
            .collect();
        let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", body.len());
        Some([head.into_bytes(), body].concat())
    });
    for round in 0..300_u64 {
        let _ = std::fs::remove_file(place.sandbox().join("stdout"));
        let _ = std::fs::remove_file(place.record());
        let (end, ended) = tokio::sync::watch::channel(false);
        let follower = Follower::new(fake.engine(), "c".to_owned(), place.sink(None), ended);
        let follower = tokio::spawn(follower.run());
        tokio::time::sleep(std::time::Duration::from_micros(round * 10)).await;
        end.send_replace(true);
        follower.await.expect("no panic").expect("its output");
        assert_eq!(place.read("stdout").lines().count(), 50, "{round}");
    }
}

/// The sandbox is the task's too.
#[test]
fn a_link_in_the_sandbox_is_not_written_through() {
    let place = Box::new();
    let outside = place.dir.path().join("outside");
    std::fs::write(&outside, "of the host").expect("room");
    std::os::unix::fs::symlink(&outside, place.sandbox().join("stdout")).expect("a link");
    std::fs::hard_link(&outside, place.sandbox().join("stderr")).expect("a link");
    brought(&mut place.sink(None), &[out(1, "a\n")]);
    assert_eq!(place.read("stdout"), "a\n");
    let host = std::fs::read_to_string(&outside).expect("a file");
    assert_eq!(host, "of the host");
}

#[test]
fn output_is_bounded_where_the_agent_bounds_it() {
    let place = Box::new();
    let bound = |max_bytes, kept| Bound { max_bytes, kept };
    let rotation = Rotation {
        stdout: bound(4, 2),
        stderr: bound(4, 0),
    };
    let all = [
        out(1, "ab\n"),
        out(2, "cd\n"),
        out(3, "ef\n"),
        out(4, "gh\n"),
    ];
    brought(&mut place.sink(Some(rotation)), &all);
    let files = ["stdout", "stdout.1", "stdout.2"].map(|name| place.read(name));
    assert_eq!(files, ["gh\n", "ef\n", "cd\n"]);
    assert!(!place.sandbox().join("stdout.3").exists());
}

#[test]
fn a_position_that_is_no_position_is_none() {
    let place = Box::new();
    std::fs::write(place.record(), "odd").expect("room");
    let sink = place.sink(None);
    assert_eq!(*sink.position(), Position::default());
}
