use super::*;

#[test]
fn syntax() {
    for good in ["*", "a", "a/b", "eng/web-1", "é"] {
        assert_eq!(validate(good), Ok(()), "{good}");
    }
    for (bad, reason) in [
        ("", "Role names cannot be the empty string"),
        ("/x", "Role '/x' cannot start with a slash"),
        ("x/", "Role 'x/' cannot end with a slash"),
        ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
        ("a/..", "Role 'a/..' cannot include '..' as a component"),
        ("a/*", "Role 'a/*' cannot include '*' as a component"),
        (
            "-a",
            "Role component '-a' is invalid because it starts with a dash",
        ),
        (
            "a b",
            "Role component 'a b' is invalid because it contains backspace or whitespace",
        ),
    ] {
        assert_eq!(validate(bad), Err(reason.to_owned()));
    }
}

#[test]
fn tree() {
    assert!(is_strict_subrole_of("a/b", "a"));
    assert!(!is_strict_subrole_of("a", "a"));
    assert!(!is_strict_subrole_of("ab", "a"));
    assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
}
