use super::*;

fn refused(pattern: &str) -> String {
    let error = compile(pattern).unwrap_err();
    let prefix = format!("Failed to construct regex from pattern '{pattern}': ");
    error.strip_prefix(&prefix).unwrap().to_owned()
}

#[test]
fn only_whole_texts_match() {
    for (pattern, text, expected) in [
        ("rack-[0-9]+", "rack-12", true),
        ("rack-[0-9]+", "a rack-12", false),
        ("rack-[0-9]+", "rack-12\n", false),
        ("a|b", "ab", false),
        ("(?i)ZONE", "zone", true),
        ("", "", true),
        (".*", "ü", true),
    ] {
        let found = compile(pattern).unwrap().is_match(text.as_bytes());
        assert_eq!(found, expected, "{pattern} on {text}");
    }
}

#[test]
fn mistakes_are_told_in_the_words_of_re2() {
    for (pattern, reason) in [
        ("(", "missing ): ("),
        ("a)", "unexpected ): a)"),
        ("x[a-", "missing ]: [a-"),
        ("*", "no argument for repetition operator: *"),
        ("[z-a]", "invalid character class range: z-a"),
        ("a\\", "trailing \\"),
        ("\\y", "invalid escape sequence: \\y"),
    ] {
        assert_eq!(refused(pattern), reason, "{pattern}");
    }
}

#[test]
fn what_costs_too_much_is_refused() {
    for pattern in ["((a{100}){100}){100}", "(?:a?){1000}b{999}"] {
        assert_eq!(refused(pattern), "pattern too large - compile failed");
    }
    assert!(refused(&"a".repeat(MAX_PATTERN_BYTES + 1)).contains("at most 256 bytes"));
    assert!(compile(&"a".repeat(MAX_PATTERN_BYTES)).is_ok());
    let nested = "(".repeat(200) + &")".repeat(200);
    assert!(compile(&nested).is_err());
}
