use super::*;
use crate::attach;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

/// A session that is served: its command's ends, and where its clients come to.
struct Stage {
    dir: tempfile::TempDir,
    says: DuplexStream,
    hears: DuplexStream,
    served: JoinHandle<SessionEnd>,
}

fn stage() -> Stage {
    let dir = tempfile::tempdir().expect("a directory");
    let listener = attach::listen(dir.path()).expect("a socket");
    let (says, output) = duplex(1 << 16);
    let (hears, input) = duplex(1 << 16);
    let pipes = Pipes {
        output,
        input,
        parts: Parts::new(false),
        terminal: None,
    };
    let served = tokio::spawn(serve(listener, pipes, std::future::pending()));
    Stage {
        dir,
        says,
        hears,
        served,
    }
}

impl Stage {
    async fn client(&self, greeting: Greeting) -> UnixStream {
        let connected = attach::connect(self.dir.path(), greeting).await;
        connected.expect("an answer").expect("a socket")
    }

    async fn say(&mut self, stream: u8, text: &[u8]) {
        let length = u32::try_from(text.len()).expect("short").to_be_bytes();
        let mut said = vec![stream, 0, 0, 0];
        said.extend(length);
        said.extend(text);
        self.says.write_all(&said).await.expect("it is read");
    }
}

async fn heard(client: &mut UnixStream) -> Option<(Kind, Vec<u8>)> {
    let mut head = [0; 5];
    client.read_exact(&mut head).await.ok()?;
    let [_, length @ ..] = head;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    client.read_exact(&mut bytes).await.ok()?;
    let mut decoder = Decoder::default();
    decoder.feed(&head);
    decoder.feed(&bytes);
    decoder.take().expect("a frame")
}

#[tokio::test]
async fn what_a_command_says_waits_for_the_client_it_is_for_and_reaches_all() {
    let mut stage = stage();
    stage.say(1, b"out").await;
    let mut other = stage.client(Greeting::Output).await;
    // It is there first, and hears nothing before the other one has come.
    let mut owner = stage.client(Greeting::Session).await;
    assert_eq!(
        heard(&mut owner).await,
        Some((Kind::Stdout, b"out".to_vec()))
    );
    stage.say(2, b"err").await;
    assert_eq!(
        heard(&mut owner).await,
        Some((Kind::Stderr, b"err".to_vec()))
    );
    drop(stage.says);
    assert_eq!(heard(&mut owner).await, None, "it has ended");
    while heard(&mut other).await.is_some() {}
    assert_eq!(stage.served.await.expect("no panic"), SessionEnd::Over);
}

#[tokio::test]
async fn a_session_ends_with_its_client_and_with_no_other() {
    let mut stage = stage();
    let mut owner = stage.client(Greeting::Session).await;
    drop(stage.client(Greeting::Output).await);
    stage.say(1, b"on").await;
    assert_eq!(
        heard(&mut owner).await,
        Some((Kind::Stdout, b"on".to_vec()))
    );
    drop(owner);
    assert_eq!(stage.served.await.expect("no panic"), SessionEnd::Left);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_does_not_come_ends() {
    let mut stage = stage();
    stage.say(1, b"to nobody").await;
    assert_eq!(stage.served.await.expect("no panic"), SessionEnd::Left);
}

#[tokio::test]
async fn one_client_at_a_time_writes_and_is_told_what_became_of_it() {
    let mut stage = stage();
    let owner = stage.client(Greeting::Session).await;
    let mut writer = stage.client(Greeting::Input).await;
    let given = frame(Kind::Stdin, b"words");
    writer.write_all(&given).await.expect("it is taken");
    let mut words = [0; 5];
    stage.hears.read_exact(&mut words).await.expect("words");
    assert_eq!(&words, b"words");
    let mut second = stage.client(Greeting::Input).await;
    assert_eq!(heard(&mut second).await, Some((Kind::Busy, Vec::new())));
    let end = frame(Kind::Stdin, &[]);
    writer.write_all(&end).await.expect("it is taken");
    assert_eq!(stage.hears.read(&mut words).await.expect("an end"), 0);
    writer.write_all(&given).await.expect("it is taken");
    let broken = Errno::PIPE.raw_os_error().to_le_bytes().to_vec();
    assert_eq!(heard(&mut writer).await, Some((Kind::Broken, broken)));
    let mut third = stage.client(Greeting::Input).await;
    let size = frame(Kind::Window, &[1, 0, 1, 0]);
    third.write_all(&size).await.expect("it is taken");
    let none = Errno::NOTTY.raw_os_error().to_le_bytes().to_vec();
    assert_eq!(heard(&mut third).await, Some((Kind::Unsized, none)));
    drop(owner);
    assert_eq!(stage.served.await.expect("no panic"), SessionEnd::Left);
}

#[tokio::test]
async fn who_still_writes_when_the_command_ends_is_told() {
    let stage = stage();
    let _owner = stage.client(Greeting::Session).await;
    let mut writer = stage.client(Greeting::Input).await;
    writer
        .write_all(&frame(Kind::Stdin, b"x"))
        .await
        .expect("it is taken");
    let mut hears = stage.hears;
    hears.read_exact(&mut [0]).await.expect("it was taken up");
    drop(stage.says);
    assert_eq!(heard(&mut writer).await, Some((Kind::Done, Vec::new())));
    assert_eq!(stage.served.await.expect("no panic"), SessionEnd::Over);
}
