//! Regular expressions of clients: bounded in what they take, and explained as Mesos explains them.
//!
//! Mesos has RE2 with at most 4 KB and a hundred instructions a pattern; the engine here counts otherwise, so the bounds
//! are ours. Classes such as `\\w` and the dot are of bytes, as RE2's classes are of ASCII.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{ErrorKind, parse::Parser};

use crate::v1::scheduler::AttributeConstraint;

/// Bytes of a pattern.
pub const MAX_PATTERN_BYTES: usize = 256;
/// Bytes of a compiled pattern.
const MAX_PROGRAM_BYTES: usize = 16 << 10;
/// Bytes that one thread keeps of what it found out while matching.
const MAX_CACHE_BYTES: usize = 16 << 10;
const MAX_NESTING: u32 = 32;

/// The pattern of a constraint, where it has one.
pub fn of(constraint: &AttributeConstraint) -> Option<&str> {
    let predicate = &constraint.predicate;
    let matches = predicate.text_matches.as_ref().map(|it| &*it.regex);
    let not_matches = predicate.text_not_matches.as_ref().map(|it| &*it.regex);
    matches.or(not_matches)
}

/// A pattern that matches whole texts.
///
/// # Errors
/// Mesos' sentence, with RE2's words for the usual mistakes.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let failed =
        |reason: String| format!("Failed to construct regex from pattern '{pattern}': {reason}");
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(failed(format!(
            "pattern too large - compile failed: expected at most {MAX_PATTERN_BYTES} bytes"
        )));
    }
    if let Err(error) = Parser::new().parse(pattern) {
        return Err(failed(in_words(pattern, &error)));
    }
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .unicode(false)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_CACHE_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                failed("pattern too large - compile failed".to_owned())
            }
            other => failed(other.to_string()),
        })
}

fn in_words(pattern: &str, error: &regex_syntax::ast::Error) -> String {
    let from = &pattern[error.span().start.offset..];
    let here = &pattern[error.span().start.offset..error.span().end.offset];
    match error.kind() {
        ErrorKind::GroupUnclosed => format!("missing ): {pattern}"),
        ErrorKind::GroupUnopened => format!("unexpected ): {pattern}"),
        ErrorKind::ClassUnclosed => format!("missing ]: {from}"),
        ErrorKind::RepetitionMissing => {
            let operator: String = from.chars().take(1).collect();
            format!("no argument for repetition operator: {operator}")
        }
        ErrorKind::ClassRangeInvalid => format!("invalid character class range: {here}"),
        ErrorKind::EscapeUnexpectedEof => "trailing \\".to_owned(),
        ErrorKind::EscapeUnrecognized => format!("invalid escape sequence: {here}"),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
