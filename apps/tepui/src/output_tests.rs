use super::*;

#[test]
fn names_cannot_command_a_terminal() {
    for (given, shown) in [
        ("plain \u{e9} \u{4e16}", "plain \u{e9} \u{4e16}"),
        ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
        ("\u{9b}2J", "\\u009b2J"),
        ("gpj.\u{202e}exe", "gpj.\\u202eexe"),
        ("a\rb\u{8}", "a\\u000db\\u0008"),
        ("two\nlines\t.", "two\nlines\t."),
    ] {
        assert_eq!(printable(given), shown);
    }
}

#[test]
fn json_stays_the_same_json() {
    let value = serde_json::json!({"name": "\u{1b}[2J \u{9b} \u{202e} \n"});
    let shown = printable(&value.to_string());
    assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{1b}']));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
        value
    );
}
