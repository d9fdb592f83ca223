//! The daemon's numbers as Prometheus reads them (text format 0.0.4).
//!
//! Mesos puts roles, frameworks and principals into the names of its metrics; here they are labels, so that two of them
//! that differ only in signs are two series, and one query is for all.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tepui_kit::Directory;

use crate::reply::Reply;

/// Labels and their values, in the order they are written.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// `metrics` by Mesos' names, and the numbers of every living actor's mailbox.
pub fn prometheus(metrics: &Map<String, Value>, directory: &Directory) -> Reply {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    Reply::ok(media_type, text(metrics, directory))
}

fn text(metrics: &Map<String, Value>, directory: &Directory) -> String {
    let mut text = String::with_capacity(metrics.len() * 64);
    let mut told = BTreeSet::new();
    for (full, value) in metrics {
        let (name, mut labels) = split(full);
        let mut series = series(&format!("mesos_{name}"), &labels);
        if told.contains(&series) {
            labels.push(("name", full));
            series = self::series(&format!("mesos_{name}"), &labels);
        }
        text.push_str(&format!("{series} {value}\n"));
        told.insert(series);
    }
    // Of one name several have lived, one after another; a series must be there once.
    for mailbox in directory.snapshot().iter().filter(|it| !it.state.is_over()) {
        let Value::Object(numbers) = serde_json::to_value(mailbox).unwrap_or_default() else {
            continue;
        };
        let id = mailbox.id.to_string();
        let labels = vec![("actor", mailbox.actor.as_ref()), ("id", id.as_str())];
        for (name, value) in numbers.iter().filter(|(name, _)| *name != "id") {
            if let Some(number) = value.as_f64() {
                let series = series(&format!("tepui_mailbox_{name}"), &labels);
                text.push_str(&format!("{series} {number}\n"));
            }
        }
    }
    text
}

/// What is somebody's in a name of Mesos' becomes a label. A role may have slashes.
fn split(full: &str) -> (String, Labels<'_>) {
    let between = |start: &str, end: &str| -> Option<(&str, &str)> {
        full.strip_prefix(start)?.rsplit_once(end)
    };
    if let Some((role, rest)) = between("allocator/mesos/quota/roles/", "/resources/") {
        let name = format!("allocator/mesos/quota/roles/resources/{rest}");
        return (name, vec![("role", role)]);
    }
    for (start, end) in [
        ("allocator/mesos/offer_filters/roles/", "/active"),
        ("allocator/mesos/roles/", "/shares/dominant"),
    ] {
        if let Some((role, "")) = between(start, end) {
            return (format!("{start}{}", &end[1..]), vec![("role", role)]);
        }
    }
    if let Some(split) = full
        .strip_prefix("master/frameworks/")
        .and_then(of_framework)
    {
        return split;
    }
    if let Some((principal, rest)) = between("frameworks/", "/") {
        return (format!("frameworks/{rest}"), vec![("principal", principal)]);
    }
    (full.to_owned(), Vec::new())
}

/// `NAME/ID/…`, where the name is percent-encoded.
fn of_framework(rest: &str) -> Option<(String, Labels<'_>)> {
    let (name, rest) = rest.split_once('/')?;
    let (id, rest) = rest.split_once('/')?;
    let mut labels = vec![("framework", name), ("framework_id", id)];
    let role = rest
        .strip_prefix("roles/")
        .and_then(|it| it.rsplit_once('/'));
    let rest = match role {
        Some((role, what)) => {
            labels.push(("role", role));
            format!("roles/{what}")
        }
        None => rest.to_owned(),
    };
    Some((format!("master/frameworks/{rest}"), labels))
}

fn series(name: &str, labels: &Labels<'_>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut series: String = name.chars().map(allowed).collect();
    if labels.is_empty() {
        return series;
    }
    let quoted = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
    series.push_str(&format!("{{{}}}", quoted.collect::<Vec<_>>().join(",")));
    series
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
