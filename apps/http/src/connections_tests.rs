use std::{net::TcpListener, sync::Arc};

use actix_web::{
    HttpResponse,
    dev::ServerHandle,
    web::{self, Data},
};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::*;
use crate::server::serve_allowing;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
const STREAM: &[u8] = b"GET /stream HTTP/1.1\r\nHost: here\r\n\r\n";

struct Stage {
    port: u16,
    handle: ServerHandle,
    /// Lets the stream go on.
    go_on: Arc<Notify>,
}

impl Stage {
    fn start(open: usize) -> Self {
        let allowed = Allowed {
            head: Duration::from_millis(100),
            pause: Duration::from_millis(10),
            open,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let go_on = Arc::new(Notify::new());
        let notify = Arc::clone(&go_on);
        let server = serve_allowing(
            allowed,
            listener,
            crate::Names::default(),
            1,
            move |config: &mut web::ServiceConfig| {
                config
                    .app_data(Data::from(Arc::clone(&notify)))
                    .route("/", web::get().to(|| async { "here" }))
                    .route("/stream", web::get().to(ticks));
            },
        );
        let server = server.unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            port,
            handle,
            go_on,
        }
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        Client(stream.unwrap())
    }
}

/// One word now, and one each time it is let.
async fn ticks(go_on: Data<Notify>) -> HttpResponse {
    let words = stream::unfold(true, move |is_first| {
        let go_on = go_on.clone();
        async move {
            if !is_first {
                go_on.notified().await;
            }
            Some((
                Ok::<_, actix_web::Error>(Bytes::from_static(b"tick")),
                false,
            ))
        }
    });
    HttpResponse::Ok().streaming(Box::pin(words))
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// What is read by the time that `word` is in it.
    async fn read_until(&mut self, word: &str) -> String {
        let mut read = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if text.contains(word) {
                return text;
            }
            assert_ne!(self.0.read_buf(&mut read).await.unwrap(), 0, "{text}");
        }
    }

    async fn is_closed(&mut self) {
        let mut read = Vec::new();
        let read = self.0.read_to_end(&mut read).await;
        // One with bytes unread is reset.
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[actix_web::test]
async fn who_says_nothing_stays_and_who_ends_no_head_does_not() {
    let stage = Stage::start(100);
    let mut silent = stage.connect().await;
    let mut begins = stage.connect().await;
    begins.send(b"GET / HTTP/1.1\r\nHo").await;
    begins.is_closed().await;
    let mut begins_later = stage.connect().await;
    begins_later.send(GET).await;
    begins_later.read_until("here").await;
    begins_later.send(b"GET").await;
    begins_later.is_closed().await;
    silent.send(GET).await;
    silent.read_until("here").await;
    silent.send(GET).await;
    silent.read_until("here").await;
    stage.handle.stop(false).await;
}

#[actix_web::test]
async fn where_places_are_short_the_silent_go_first_those_that_never_asked() {
    let stage = Stage::start(2);
    let mut asked = stage.connect().await;
    asked.send(GET).await;
    asked.read_until("here").await;
    let mut never = [stage.connect().await, stage.connect().await];
    let mut newest = stage.connect().await;
    for client in &mut never {
        client.is_closed().await;
    }
    for client in [&mut asked, &mut newest] {
        client.send(GET).await;
        client.read_until("here").await;
    }
    stage.handle.stop(false).await;
}

#[actix_web::test]
async fn a_stream_is_not_silent() {
    let stage = Stage::start(1);
    let mut listens = stage.connect().await;
    listens.send(STREAM).await;
    listens.read_until("tick").await;
    let mut silent = stage.connect().await;
    silent.is_closed().await;
    stage.go_on.notify_one();
    listens.read_until("tick").await;
    stage.handle.stop(false).await;
}
