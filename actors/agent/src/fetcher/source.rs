//! What a URI of a command says: where the file is, what it is called, and what its bytes must be. Pure.

use std::path::{Path, PathBuf};

/// Where a file comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source<'a> {
    Path(PathBuf),
    Url(&'a str),
}

/// A URI that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) source: Source<'a>,
    /// What it is called where nothing else is asked for.
    pub(super) name: &'a str,
    /// What SHA-256 must say of the file.
    pub(super) checksum: Option<[u8; 32]>,
}

/// Ours, not Mesos': a file is refused unless it has this sum.
const CHECKSUM: &str = "#sha256=";
/// No file system has longer names.
const MAX_NAME_BYTES: usize = 255;

/// Reads a URI; relative paths begin at `home`.
///
/// Errors: what it should be, in words for the framework, which do not show it.
pub(super) fn parse<'a>(uri: &'a str, home: Option<&Path>) -> Result<Asked<'a>, String> {
    // Mesos overlooks white space before a URI, too.
    let uri = uri.trim_start();
    if uri.contains('\0') {
        return Err("Illegal characters in URI".to_owned());
    }
    let (uri, checksum) = match uri.rsplit_once(CHECKSUM) {
        Some((uri, sum)) => (uri, Some(parse_sum(sum)?)),
        None => (uri, None),
    };
    Ok(Asked {
        source: source(uri, home)?,
        name: base_name(uri)?,
        checksum,
    })
}

fn parse_sum(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "the checksum behind '#sha256=' must have 64 hexadecimal digits".to_owned();
    if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut sum = [0; 32];
    for (at, byte) in sum.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(sum)
}

fn source<'a>(uri: &'a str, home: Option<&Path>) -> Result<Source<'a>, String> {
    if let Some(path) = uri.strip_prefix("file://") {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        return match path.starts_with('/') {
            true => Ok(Source::Path(PathBuf::from(path))),
            false => Err("File URI only supports absolute paths".to_owned()),
        };
    }
    if uri.starts_with('/') {
        return Ok(Source::Path(PathBuf::from(uri)));
    }
    match uri.split_once("://") {
        Some((_, rest)) if rest.split_once('/').is_none_or(|(_, path)| path.is_empty()) => {
            Err("Malformed URI (missing path)".to_owned())
        }
        Some(("http" | "https", _)) => Ok(Source::Url(uri)),
        Some((scheme, _)) => Err(format!(
            "this agent cannot fetch by '{scheme}'; use http, https, file or an absolute path"
        )),
        None => match home {
            Some(home) => Ok(Source::Path(home.join(uri))),
            None => Err("a relative path needs the agent's --frameworks_home".to_owned()),
        },
    }
}

/// What follows the last slash of the whole URI, as in Mesos, where a file can be called so. Else the last part of its path,
/// as of a signed URL whose query is longer than any name.
fn base_name(uri: &str) -> Result<&str, String> {
    let name = uri.rsplit('/').next().filter(|it| is_name(it));
    let name = name.or_else(|| path_of(uri).trim_end_matches('/').rsplit('/').next());
    let name = name.filter(|it| is_name(it));
    name.ok_or_else(|| "it names no file".to_owned())
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !matches!(text, "." | "..")
}

/// What stands behind the host, without query and fragment.
fn path_of(uri: &str) -> &str {
    let Some((_, rest)) = uri.split_once("://") else {
        return uri;
    };
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    plain(path)
}

fn plain(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

/// The name of a file without what may be secret.
pub(super) fn shown_name(name: &str) -> String {
    let plain = plain(name);
    let mut shown: String = plain.chars().filter(|it| !it.is_control()).collect();
    if plain.len() < name.len() {
        shown.push_str("?...");
    }
    shown
}

/// A URI without what may be secret.
pub(super) fn shown(uri: &str) -> String {
    let uri = uri.trim_start();
    let plain: String = plain(uri).chars().filter(|it| !it.is_control()).collect();
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}{path}")
        }
        None => plain,
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
