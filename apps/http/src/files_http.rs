//! `/files/*` and the two calls that do the same.

use actix_web::web;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tepui_protocol::v1::{FileInfo, TimeInfo};

use crate::{
    files::{Entry, Files, FilesError, Part, mode_text, read_up_to},
    incoming::Incoming,
    reply::Reply,
};

/// Bytes of one step of a download.
const DOWNLOAD_STEP: u64 = 64 << 10;

impl Files {
    /// `/files/browse`: a listing as JSON, keys in alphabetical order.
    pub async fn browse(&self, request: &Incoming) -> Reply {
        match self.listing(path_of(request)).await {
            Err(refused) => refused,
            Ok(entries) => {
                let entries: Vec<_> = entries.iter().map(entry_json).collect();
                let body = serde_json::Value::from(entries).to_string();
                Reply::json(body, request.parameter("jsonp"))
            }
        }
    }

    /// `/files/read`: a part as text.
    pub async fn read_text(&self, request: &Incoming) -> Reply {
        let Some(path) = path_of(request) else {
            return no_path();
        };
        let asked = bound(request.parameter("offset"), "offset")
            .and_then(|offset| Ok((offset, bound(request.parameter("length"), "length")?)));
        let (offset, length) = match asked {
            Ok(asked) => asked,
            Err(refused) => return refused,
        };
        match self.part(path.to_string(), offset, length).await {
            Err(refused) => refused,
            Ok(part) => {
                let data = String::from_utf8_lossy(&part.data);
                let body = json!({"data": data, "offset": offset.unwrap_or(part.file_size)});
                Reply::json(body.to_string(), request.parameter("jsonp"))
            }
        }
    }

    /// `/files/download`: the bytes.
    pub async fn download(&self, request: &Incoming) -> Reply {
        let Some(path) = path_of(request).map(str::to_string) else {
            return no_path();
        };
        let name = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_string();
        let files = self.clone();
        let opened = web::block(move || files.open(&path)).await;
        let (file, size) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(FilesError::Directory)) => return line("Cannot download a directory."),
            Ok(Err(FilesError::NotFound | FilesError::Special)) => return Reply::bare(404),
            Ok(Err(FilesError::Io(error))) => return failed(&error),
            Err(error) => return failed(&error),
        };
        let file = std::sync::Arc::new(file);
        let content = stream::try_unfold(0, move |offset| {
            let file = std::sync::Arc::clone(&file);
            async move {
                let step = DOWNLOAD_STEP.min(size - offset);
                if step == 0 {
                    return Ok(None);
                }
                let read = web::block(move || {
                    let mut buffer = vec![0; usize::try_from(step).unwrap_or(0)];
                    let read = read_up_to(&file, &mut buffer, offset)?;
                    buffer.truncate(read);
                    Ok::<_, std::io::Error>(buffer)
                });
                let part = read.await.map_err(std::io::Error::other)??;
                let next = offset + part.len() as u64;
                // A file that was cut short meanwhile cannot keep its Content-Length.
                if part.is_empty() {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
                Ok::<_, std::io::Error>(Some((Bytes::from(part), next)))
            }
        });
        Reply::download(&name, size, content)
    }

    /// `/files/debug`: virtual and real paths.
    pub fn debug(&self, request: &Incoming) -> Reply {
        Reply::json(json!(self.all()).to_string(), request.parameter("jsonp"))
    }

    /// The same where there are so many that finding them takes its time.
    pub async fn debug_many(&self, request: &Incoming) -> Reply {
        let files = self.clone();
        match web::block(move || json!(files.all()).to_string()).await {
            Ok(body) => Reply::json(body, request.parameter("jsonp")),
            Err(error) => failed(&error),
        }
    }

    /// LIST_FILES.
    ///
    /// # Errors
    /// The answer to give.
    pub async fn list_call(&self, path: String) -> Result<Vec<FileInfo>, Reply> {
        let entries = self.listing(Some(&path)).await?;
        Ok(entries.into_iter().map(file_info).collect())
    }

    /// READ_FILE; an offset of -1, sent as the largest number, asks for the size alone.
    ///
    /// # Errors
    /// The answer to give.
    pub async fn read_call(
        &self,
        path: String,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Part, Reply> {
        self.part(path, Some(offset), length).await
    }

    async fn listing(&self, path: Option<&str>) -> Result<Vec<Entry>, Reply> {
        let path = path.ok_or_else(no_path)?.to_string();
        let files = self.clone();
        answer(web::block(move || files.list(&path)).await)
    }

    async fn part(
        &self,
        path: String,
        offset: Option<u64>,
        length: Option<u64>,
    ) -> Result<Part, Reply> {
        let files = self.clone();
        answer(web::block(move || files.read(&path, offset, length)).await)
    }
}

fn answer<T>(
    done: Result<Result<T, FilesError>, actix_web::error::BlockingError>,
) -> Result<T, Reply> {
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(FilesError::NotFound | FilesError::Special)) => Err(Reply::text(404, "")),
        Ok(Err(FilesError::Directory)) => Err(line("Cannot read a directory.")),
        Ok(Err(FilesError::Io(error))) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &dyn std::error::Error) -> Reply {
    Reply::text(500, format!("Failed to read the file: {error}"))
}

/// A 400 that ends its line, as those of this actor do.
fn line(text: &str) -> Reply {
    Reply::bad_request(format!("{text}\n"))
}

/// An empty one is none, as in Mesos.
fn path_of(request: &Incoming) -> Option<&str> {
    request.parameter("path").filter(|path| !path.is_empty())
}

fn no_path() -> Reply {
    line("Expecting 'path=value' in query.")
}

/// A number of bytes; absent and -1 are the same.
fn bound(text: Option<&str>, name: &str) -> Result<Option<u64>, Reply> {
    let Some(text) = text else { return Ok(None) };
    let number: i64 = text.parse().map_err(|_| {
        line(&format!(
            "Failed to parse {name}: Failed to convert '{text}' to number."
        ))
    })?;
    if number < -1 {
        return Err(line(&format!("Negative {name} provided: {number}.")));
    }
    Ok(u64::try_from(number).ok())
}

fn entry_json(entry: &Entry) -> serde_json::Value {
    json!({
        "gid": entry.group,
        "mode": mode_text(entry.mode),
        "mtime": entry.modified_secs as f64,
        "nlink": entry.links,
        "path": entry.path,
        "size": entry.size,
        "uid": entry.user,
    })
}

fn file_info(entry: Entry) -> FileInfo {
    FileInfo {
        path: entry.path,
        nlink: i32::try_from(entry.links).ok(),
        size: Some(entry.size),
        mtime: Some(TimeInfo {
            nanoseconds: entry.modified_secs.saturating_mul(1_000_000_000),
        }),
        mode: Some(entry.mode),
        uid: Some(entry.user),
        gid: Some(entry.group),
    }
}

#[cfg(test)]
#[path = "files_http_tests.rs"]
mod tests;
