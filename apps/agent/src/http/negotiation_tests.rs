use actix_web::http::header::HeaderValue;

use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let named = |(name, value): &(&'static str, &'static str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    lines.iter().map(named).collect()
}

/// As `json`, `stream of protobuf`, or the status of the refusal.
fn told(form: Result<Form, Reply>) -> String {
    let form = match form {
        Ok(form) => form,
        Err(refused) => return refused.status().to_string(),
    };
    let message = match form.message {
        MediaType::Json => "json",
        MediaType::Protobuf => "protobuf",
    };
    match form.is_stream {
        true => format!("stream of {message}"),
        false => message.to_owned(),
    }
}

#[test]
fn requests_are_whole_or_streams_and_say_of_what() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const STREAM: (&str, &str) = ("content-type", "application/recordio");
    for (lines, expected) in [
        (&[][..], "400"),
        (&[JSON], "json"),
        (&[("content-type", "application/x-protobuf")], "protobuf"),
        (&[("content-type", "text/plain")], "415"),
        (&[("content-type", "Application/JSON")], "415"),
        (&[STREAM], "400"),
        (
            &[STREAM, ("message-content-type", "application/json")],
            "stream of json",
        ),
        (
            &[STREAM, ("message-content-type", "application/x-protobuf")],
            "stream of protobuf",
        ),
        (
            &[STREAM, ("message-content-type", "application/recordio")],
            "415",
        ),
        (&[JSON, ("message-content-type", "application/json")], "415"),
    ] {
        assert_eq!(told(of_request(&headers(lines))), expected, "{lines:?}");
    }
}

#[test]
fn answers_are_what_is_admitted_first() {
    const STREAM: (&str, &str) = ("accept", "application/recordio");
    for (lines, expected) in [
        (&[][..], "json"),
        (&[("accept", "*/*")], "json"),
        (
            &[("accept", "application/x-protobuf, application/recordio")],
            "protobuf",
        ),
        (&[("accept", "text/html")], "406"),
        (&[STREAM], "stream of json"),
        (
            &[STREAM, ("message-accept", "application/x-protobuf")],
            "stream of protobuf",
        ),
        (
            &[STREAM, ("message-accept", "application/*;q=0, */*")],
            "406",
        ),
        (&[STREAM, ("message-accept", "text/html")], "406"),
        (
            &[
                ("accept", "application/json"),
                ("message-accept", "application/json"),
            ],
            "406",
        ),
    ] {
        assert_eq!(told(of_answer(&headers(lines))), expected, "{lines:?}");
    }
}

#[test]
fn only_some_calls_stream() {
    use call::Type::{
        AttachContainerInput, AttachContainerOutput, GetHealth, LaunchNestedContainerSession,
    };
    let form = |is_stream| Form {
        message: MediaType::Json,
        is_stream,
    };
    for (kind, request, answer, expected) in [
        (GetHealth, false, false, None),
        (GetHealth, true, false, Some(415)),
        (GetHealth, false, true, Some(406)),
        (AttachContainerInput, true, false, None),
        (AttachContainerInput, false, false, Some(415)),
        (AttachContainerInput, true, true, Some(406)),
        (AttachContainerOutput, false, true, None),
        (AttachContainerOutput, false, false, None),
        (LaunchNestedContainerSession, false, true, None),
        (LaunchNestedContainerSession, true, true, Some(415)),
    ] {
        let refused = check(kind, form(request), form(answer)).err();
        let status = refused.map(|refused| refused.status());
        assert_eq!(status, expected, "{kind:?} {request} {answer}");
    }
}
