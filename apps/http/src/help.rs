//! `/help`, `/help/<process>` and `/help/<process>/<name>`: which endpoints there are, made of the table of routes.
//! Markdown for the tools of a shell, a page for browsers, and all of it as JSON by `/help?format=json`.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use crate::{incoming::Incoming, reply::Reply, routes::Table};

/// Those that libprocess gives no help for.
const WITHOUT: [&str; 2] = ["help", "__processes__"];
/// Tools that show what they get as it is.
const SHELL_TOOLS: [&str; 2] = ["curl", "HTTPie"];

/// By process and name; names begin with a slash.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// `rest` is what follows `/help/`; `is_guarded` tells whether a route asks for credentials where it may.
pub fn help<R: Copy>(
    table: &Table<R>,
    is_guarded: impl Fn(R) -> bool,
    rest: Option<&str>,
    request: &Incoming,
) -> Reply {
    let texts = texts(table, is_guarded);
    let rest = rest.unwrap_or_default().trim_start_matches('/');
    let (process, name) = rest.split_once('/').unwrap_or((rest, ""));
    let name = name.trim_start_matches('/');
    let document = match (process, name) {
        ("", _) if request.parameter("format") == Some("json") => return json(&texts),
        ("", _) => Some(index(&texts)),
        (process, "") => texts.get(process).map(|names| contents(process, names)),
        (process, name) => texts
            .get(process)
            .and_then(|names| names.get(&format!("/{name}")))
            .map(|text| format!("{text}\n")),
    };
    match document {
        Some(document) => shown(&document, request),
        None if name.is_empty() => {
            Reply::bad_request(format!("No help available for '/{process}'.\n"))
        }
        None => Reply::bad_request(format!("No help available for '/{process}/{name}'.\n")),
    }
}

fn texts<R: Copy>(table: &Table<R>, is_guarded: impl Fn(R) -> bool) -> Texts {
    let mut texts = Texts::new();
    let mut put = |process: &str, name: String, text: String| {
        let names = texts.entry(process.to_string()).or_default();
        names.insert(name, text);
    };
    for (name, route) in table.own {
        let usage = [format!("/{name}"), format!("/{}/{name}", table.process)];
        put(
            table.process,
            format!("/{name}"),
            text(&usage, is_guarded(*route)),
        );
    }
    for (path, route) in table.others {
        let (process, name) = path.split_once('/').unwrap_or((path, ""));
        if WITHOUT.contains(&process) {
            continue;
        }
        let usage = [format!("/{path}")];
        put(
            process,
            format!("/{name}"),
            text(&usage, is_guarded(*route)),
        );
    }
    texts
}

/// One endpoint, with all paths it answers at.
fn text(usage: &[String], guarded: bool) -> String {
    let usage: String = usage.iter().map(|it| format!(">        {it}\n")).collect();
    let authentication = if guarded {
        "This endpoint requires authentication where the daemon has it switched on."
    } else {
        "This endpoint asks nobody who they are."
    };
    format!("### USAGE ###\n{usage}\n### AUTHENTICATION ###\n{authentication}\n")
}

fn index(texts: &Texts) -> String {
    let ids: Vec<&str> = texts.keys().map(String::as_str).collect();
    linked("## HELP\n", &ids, "help/")
}

fn contents(process: &str, names: &BTreeMap<String, String>) -> String {
    let paths = names.keys();
    let paths: Vec<String> = paths
        .map(|name| format!("{process}{}", name.trim_end_matches('/')))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    linked(&format!("## `/{process}` ##\n"), &paths, "")
}

/// A list of links, and where they lead.
fn linked(title: &str, names: &[&str], before: &str) -> String {
    let mut document = title.to_string();
    for name in names {
        let _ = writeln!(document, "> [/{name}][{name}]");
    }
    document.push('\n');
    for name in names {
        let _ = writeln!(document, "[{name}]: {before}{name}");
    }
    document
}

fn shown(document: &str, request: &Incoming) -> Reply {
    let agent = request.header("user-agent").unwrap_or_default();
    if SHELL_TOOLS.iter().any(|tool| agent.starts_with(tool)) {
        return Reply::ok("text/x-markdown", document.to_string());
    }
    let lines: String = document.lines().map(line).collect();
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Help</title></head>\n<body>\n{lines}</body></html>\n"
    );
    Reply::ok("text/html", page)
}

/// A line of the Markdown above, for a browser.
fn line(line: &str) -> String {
    let escaped = line
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    if let Some(usage) = escaped.strip_prefix("&gt;        ") {
        return format!("<p><code>{usage}</code></p>\n");
    }
    if let Some((path, _)) = escaped
        .strip_prefix("&gt; [/")
        .and_then(|it| it.split_once(']'))
    {
        return format!("<p><a href=\"/help/{path}\">/{path}</a></p>\n");
    }
    if escaped.starts_with('#') {
        return format!("<h2>{}</h2>\n", escaped.trim_matches(['#', ' ', '`']));
    }
    if escaped.is_empty() || escaped.starts_with('[') {
        return String::new();
    }
    format!("<p>{escaped}</p>\n")
}

#[derive(Serialize)]
struct Processes<'a> {
    processes: Vec<Process<'a>>,
}

#[derive(Serialize)]
struct Process<'a> {
    id: &'a str,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'a str,
    text: &'a str,
}

fn json(texts: &Texts) -> Reply {
    let processes = texts.iter().map(|(id, names)| Process {
        id,
        endpoints: names
            .iter()
            .map(|(name, text)| Endpoint { name, text })
            .collect(),
    });
    let all = Processes {
        processes: processes.collect(),
    };
    Reply::json(serde_json::to_vec(&all).unwrap_or_default(), None)
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
