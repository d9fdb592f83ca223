use super::*;

fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_string(), (*value).to_string()))
        .collect()
}

#[test]
fn parameters_end_at_a_semicolon_as_well() {
    for (text, expected) in [
        ("a=1&b=2", &[("a", "1"), ("b", "2")][..]),
        ("a=1;b=2", &[("a", "1"), ("b", "2")]),
        (";a=1;&b;", &[("a", "1"), ("b", "")]),
        ("a=1;a=2&c=x=y", &[("a", "2"), ("c", "x=y")]),
        ("a=1%3Bb=2", &[("a", "1;b=2")]),
        ("", &[]),
    ] {
        assert_eq!(parameters(text).unwrap(), of(expected), "{text}");
    }
    assert_eq!(
        own_parameters("need=cpus:4;mem:512&limit=3").unwrap(),
        of(&[("need", "cpus:4;mem:512"), ("limit", "3")])
    );
}

#[test]
fn too_many_parameters_are_refused_however_they_are_parted() {
    for between in ["&", ";"] {
        let text = |count: usize| {
            let pairs: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
            pairs.join(between)
        };
        assert!(parameters(&text(MAX_PARAMETERS)).is_ok());
        assert_eq!(parameters(&text(MAX_PARAMETERS + 1)), Err(Malformed));
    }
}
