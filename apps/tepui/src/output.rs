//! Tables for people: columns as wide as their widest cell. A reader that has seen enough (`| head`) is no error.
//!
//! Owns what a terminal is given: names come from anybody, and must not move its cursor, change its title or turn lines around.

use std::io::{self, ErrorKind, Write};

/// Prints lines until all are out or nobody reads any more.
///
/// # Errors
/// What standard output cannot take for another reason.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        match writeln!(out, "{}", printable(&line)) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// Prints a header and rows; `empty` where there are none.
///
/// # Errors
/// As [`lines`].
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], empty: &str) -> io::Result<()> {
    if rows.is_empty() {
        return lines([empty.to_string()]);
    }
    // A cell is on one line.
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|it| it.replace('\n', "\\u000a"))
                .map(|it| printable(&it))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    lines(
        std::iter::once(&header)
            .chain(&rows)
            .map(|cells| row(cells, &widths)),
    )
}

/// Says on standard error what is no answer.
pub(crate) fn note(text: &str) {
    eprintln!("tepui: {}", printable(text));
}

/// Without what changes more of a terminal than the next character; JSON stays the same JSON.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        // Direction marks, embeddings, overrides and isolates.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    padded.join("  ").trim_end().to_string()
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
