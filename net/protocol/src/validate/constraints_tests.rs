use super::*;
use crate::codec::{Limits, json};

fn check(predicates: &str) -> Reason {
    let text = format!(
        r#"{{"role_constraints":{{"x":{{"groups":[{{"attribute_constraints":[{predicates}]}}]}}}}}}"#
    );
    validate(&json::decode(text.as_bytes(), &Limits::HTTP).unwrap())
}

fn predicate(name: &str, regex: &str) -> String {
    format!(
        r#"{{"selector":{{"attribute_name":"rack"}},"predicate":{{"{name}":{{"regex":"{regex}"}}}}}}"#
    )
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused() {
    for name in ["text_matches", "text_not_matches"] {
        assert_eq!(check(&predicate(name, "rack-[0-9]+")), Ok(()));
        let expected = "A role x has an invalid 'AttributeConstraint': Failed to construct regex from pattern '(': \
                        missing ): (";
        assert_eq!(check(&predicate(name, "(")), Err(expected.into()));
    }
}

#[test]
fn there_are_not_too_many_patterns() {
    let many = |count| vec![predicate("text_matches", "a"); count].join(",");
    assert_eq!(check(&many(MAX_PATTERNS)), Ok(()));
    let refused = check(&many(MAX_PATTERNS + 1)).unwrap_err();
    assert!(refused.contains("more than 1000 patterns"), "{refused}");
}

#[test]
fn they_have_a_size() {
    let value = |bytes: usize| {
        let value = "a".repeat(bytes);
        check(&format!(
            r#"{{"selector":{{"attribute_name":"rack"}},"predicate":{{"text_equals":{{"value":"{value}"}}}}}}"#
        ))
    };
    assert_eq!(value(200 << 10), Ok(()));
    let refused = value(300 << 10).unwrap_err();
    assert!(refused.contains("give it fewer groups"), "{refused}");
}
