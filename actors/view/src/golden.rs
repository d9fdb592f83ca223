//! What a real Mesos 1.11.0 answered, for tests: read from the recordings and made comparable.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tepui_protocol::{
    codec::{self, Limits},
    recordio::Decoder,
    v1::master::{Event, Response},
};

/// The body of one recorded answer, by its number: `"001"`.
pub(crate) fn body(number: &str) -> Vec<u8> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../integration/conformance/golden");
    let mut files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap());
    let file = files
        .find(|file| file.file_name().to_string_lossy().starts_with(number))
        .unwrap_or_else(|| panic!("no recording {number}"));
    let text = fs::read(file.path()).unwrap();
    let response = after(&text, b"=== RESPONSE ===\n");
    let (head, body) = response.split_at(find(response, b"\r\n\r\n").unwrap() + 4);
    let body = &body[..find(body, b"\n=== END ===").unwrap()];
    if String::from_utf8_lossy(head).contains("Transfer-Encoding: chunked") {
        return unchunked(body);
    }
    body.to_vec()
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = find(body, b"\r\n") {
        let length = std::str::from_utf8(&body[..at]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.extend_from_slice(&body[at + 2..at + 2 + length]);
        body = &body[(at + length + 4).min(body.len())..];
    }
    whole
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> &'a [u8] {
    &text[find(text, mark).unwrap() + mark.len()..]
}

/// A recorded v0 answer.
pub(crate) fn json(number: &str) -> Value {
    serde_json::from_slice(&body(number)).unwrap()
}

/// A recorded answer of the operator API, decoded.
pub(crate) fn response(number: &str) -> Response {
    codec::json::decode(&body(number), &Limits::HTTP).unwrap()
}

/// The recorded operator stream, record by record.
pub(crate) fn records(number: &str) -> Vec<Vec<u8>> {
    let records = Decoder::new(1 << 20).feed(&body(number)).unwrap();
    records.iter().map(|record| record.to_vec()).collect()
}

pub(crate) fn event(record: &[u8]) -> Event {
    codec::json::decode(record, &Limits::HTTP).unwrap()
}

/// Text with every list in one order, since Mesos prints what is in hash maps in theirs. The order of
/// keys stays, and statuses keep theirs.
pub(crate) fn text(mut value: Value) -> String {
    sort_lists(&mut value, "");
    serde_json::to_string_pretty(&value).unwrap()
}

fn sort_lists(value: &mut Value, key: &str) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| sort_lists(item, key));
            if key != "statuses" {
                items.sort_by_key(ToString::to_string);
            }
        }
        Value::Object(fields) => {
            // The schema has no such field; Mesos prints what agents of old sent.
            if key == "agent_info" {
                fields.shift_remove("checkpoint");
            }
            if ["guarantees", "limits"].contains(&key) {
                fields.sort_keys();
            }
            for (key, value) in fields.iter_mut() {
                sort_lists(value, key);
            }
        }
        _ => {}
    }
}

/// Fails with a readable difference unless `ours` is the recorded answer.
pub(crate) fn assert_same(number: &str, ours: &[u8]) {
    assert_equal(number, json(number), ours);
}

pub(crate) fn assert_equal(name: &str, theirs: Value, ours: &[u8]) {
    let ours = text(serde_json::from_slice(ours).unwrap());
    let theirs = text(theirs);
    let differ = theirs.lines().zip(ours.lines()).position(|(a, b)| a != b);
    if let Some(at) = differ {
        let part = |text: &str| {
            let lines = text.lines().skip(at.saturating_sub(4)).take(9);
            lines.collect::<Vec<_>>().join("\n")
        };
        panic!(
            "{name}, recorded:\n{}\nours:\n{}",
            part(&theirs),
            part(&ours)
        );
    }
    assert_eq!(theirs.len(), ours.len(), "{name} ends early");
}
