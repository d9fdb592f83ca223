//! The text forms of values and attributes, as on Mesos' command lines: `4`, `[31000-32000]`, `{a, b}`,
//! `rack:a;gen:[1-5]`.
//!
//! Owns that grammar (Mesos `src/common/values.cpp`, `attributes.cpp`). Knows nothing of resources.

use std::collections::BTreeSet;

use crate::resources::{Quantity, Range, Ranges};
use crate::v1;

/// A value read from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Rounded to thousandths, never negative.
    Scalar(Quantity),
    Ranges(Ranges),
    Set(BTreeSet<String>),
    /// Anything else. Spaces are gone.
    Text(String),
}

/// Reads one value. All spaces are removed first, inside text too, as Mesos does.
///
/// # Errors
/// Mesos' sentences: `Expecting non-empty string`, `Mismatched brackets`, …
pub fn parse_value(text: &str) -> Result<Value, String> {
    let text = text.replace(' ', "");
    if text.is_empty() {
        return Err("Expecting non-empty string".into());
    }
    for (open, close) in [('{', '}'), ('[', ']'), ('(', ')')] {
        if !brackets_match(&text, open, close) {
            return Err("Mismatched brackets".into());
        }
    }
    match (text.find('['), text.find('{')) {
        (Some(0), _) => parse_ranges(&text).map(Value::Ranges),
        (Some(_), _) => Err("Unexpected '[' found".into()),
        (None, Some(0)) => Ok(Value::Set(
            tokens(&text, &['{', '}', ',', '\n'])
                .map(str::to_owned)
                .collect(),
        )),
        (None, Some(_)) => Err("Unexpected '{' found".into()),
        (None, None) => parse_scalar_or_text(text),
    }
}

fn brackets_match(text: &str, open: char, close: char) -> bool {
    let mut depth = 0_usize;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            }
        }
    }
    depth == 0
}

fn tokens<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(separators).filter(|token| !token.is_empty())
}

/// Ranges that overlap or touch are joined.
fn parse_ranges(text: &str) -> Result<Ranges, String> {
    let bounds: Vec<&str> = tokens(text, &['[', ']', '-', ',', '\n']).collect();
    if !bounds.len().is_multiple_of(2) {
        return Err("Expecting one or more \"ranges\"".into());
    }
    bounds
        .chunks_exact(2)
        .map(|pair| {
            let (Ok(begin), Ok(end)) = (pair[0].parse(), pair[1].parse()) else {
                return Err(format!("Expecting non-negative integers in '{}'", pair[0]));
            };
            Range::new(begin, end).ok_or_else(|| format!("Inverted range '{begin}-{end}'"))
        })
        .collect()
}

fn parse_scalar_or_text(text: String) -> Result<Value, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_subnormal() => Err("Subnormal values not supported".into()),
        Ok(number) if number.is_finite() && number >= 0.0 => Quantity::from_f64(number)
            .map(Value::Scalar)
            .ok_or_else(|| format!("'{text}' is too large, at most {} is taken", Quantity::MAX)),
        _ => Ok(Value::Text(text)),
    }
}

/// Reads attributes: `rack:a;gen:[1-5];num:3.5`, separated by semicolons or newlines. The value is what
/// follows the first colon. Scalars are rounded to thousandths.
///
/// # Errors
/// Names the pair that is at fault. Sets are refused: Mesos has no set attributes.
pub fn parse_attributes(text: &str) -> Result<Vec<v1::Attribute>, String> {
    tokens(text, &[';', '\n'])
        .map(|pair| match pair.split_once(':') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                parse_attribute(name, value)
            }
            _ => Err(format!("Invalid attribute key:value pair '{pair}'")),
        })
        .collect()
}

/// Whether both lists have the same attributes, in any order; what stands twice must stand twice in both
/// (Mesos `Attributes::operator==`).
#[must_use]
pub fn same_attributes(left: &[v1::Attribute], right: &[v1::Attribute]) -> bool {
    let count = |list: &[v1::Attribute], one: &v1::Attribute| {
        list.iter().filter(|other| *other == one).count()
    };
    left == right
        || left.len() == right.len() && left.iter().all(|one| count(left, one) == count(right, one))
}

fn parse_attribute(name: &str, text: &str) -> Result<v1::Attribute, String> {
    let value = parse_value(text)
        .map_err(|error| format!("Failed to parse attribute {name} text {text} error {error}"))?;
    let mut attribute = v1::Attribute {
        name: name.to_owned(),
        ..Default::default()
    };
    match value {
        Value::Scalar(amount) => {
            attribute.r#type = v1::value::Type::Scalar as i32;
            attribute.scalar = Some(v1::value::Scalar {
                value: amount.to_f64(),
            });
        }
        Value::Ranges(ranges) => {
            attribute.r#type = v1::value::Type::Ranges as i32;
            attribute.ranges = Some(ranges.to_proto());
        }
        Value::Text(value) => {
            attribute.r#type = v1::value::Type::Text as i32;
            attribute.text = Some(v1::value::Text { value });
        }
        Value::Set(_) => {
            return Err(format!(
                "Bad type for attribute {name} text {text} type SET: an attribute is a number, ranges or text"
            ));
        }
    }
    Ok(attribute)
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
