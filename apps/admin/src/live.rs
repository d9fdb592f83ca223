//! Live views as Server-Sent Events. They end with the process: a graceful stop of the HTTP server needs a short limit.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Inner,
    error::Error,
    feed::{Frame, MAX_WATCHERS},
};

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    view: String,
}

pub(crate) async fn live(
    asked: web::Query<Asked>,
    inner: Data<Inner>,
) -> Result<HttpResponse, Error> {
    let inner: Arc<Inner> = inner.into_inner();
    let frames = match asked.view.as_str() {
        "overview" => inner.overview.watch(&inner, |inner| &inner.overview),
        "actors" => inner.actors.watch(&inner, |inner| &inner.actors),
        _ => return Err(Error::BadRequest("view must be 'overview' or 'actors'")),
    };
    let frames = frames.ok_or(Error::TooManyWatchers(MAX_WATCHERS))?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(events(frames)))
}

/// Ends with the feed, that is with the process.
fn events(
    frames: watch::Receiver<Option<Frame>>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((frames, true), |(mut frames, first)| async move {
        loop {
            frames.changed().await.ok()?;
            let Some(frame) = frames.borrow_and_update().clone() else {
                continue;
            };
            let bytes = if first && !frame.opening.is_empty() {
                Bytes::from([frame.opening, frame.event].concat())
            } else {
                frame.event
            };
            return Some((Ok(bytes), (frames, false)));
        }
    })
}

/// One event of a stream, `name` for the page's listener.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("a value without maps of odd keys is JSON");
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
