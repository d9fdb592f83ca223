use super::*;

#[test]
fn a_weight_is_a_role_and_a_number_above_nothing() {
    for (text, role, weight) in [
        ("web=2.5", "web", 2.5),
        ("a/b=1", "a/b", 1.0),
        ("x=y=3", "x=y", 3.0),
    ] {
        let found = parsed(text).unwrap();
        assert_eq!((found.role(), found.weight), (role, weight));
    }
    for wrong in ["web", "web=", "=1", "web=0", "web=-1", "web=inf", "web=two"] {
        let error = parsed(wrong).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("'{wrong}': expected")),
            "{error}"
        );
    }
}
