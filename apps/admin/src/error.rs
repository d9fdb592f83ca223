//! Why something cannot be shown, in words for the page.

use std::time::Duration;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the master's view did not answer within {} s; it may be catching up", .0.as_secs())]
    ViewLate(Duration),
    #[error("the master's view gave no answer: {0}")]
    View(String),
    #[error("there is no task '{task}' of framework '{framework}'; the master forgets old tasks")]
    NoTask { framework: String, task: String },
    #[error(
        "the agent of this task is not connected; its output can be read again when it comes back"
    )]
    NoAgent,
    #[error("the agent has no sandbox of this task; it was not started yet, or was cleaned up")]
    NoSandbox,
    #[error("the agent did not give the output: {0}")]
    Agent(String),
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("{0} pages are watching already, which is the limit; close one")]
    TooManyWatchers(usize),
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Error::ViewLate(_) | Error::TooManyWatchers(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::View(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::NoTask { .. } | Error::NoAgent | Error::NoSandbox => StatusCode::NOT_FOUND,
            Error::Agent(_) => StatusCode::BAD_GATEWAY,
            Error::BadRequest(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({ "error": self.to_string() }))
    }
}
