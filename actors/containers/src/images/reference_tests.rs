use super::*;

const DIGEST: &str = "sha256:bc8813ea7b3603864987522f02a76101c17ad122e1c46d790efc0fca78ca7bfb";

fn parts(text: &str) -> (Option<String>, String, Option<String>, Option<String>) {
    let found: Reference = text.parse().expect(text);
    let digest = found.digest.map(|digest| digest.to_string());
    (found.registry, found.repository, found.tag, digest)
}

/// The table of Mesos' `DockerSpecTest.ParseImageReference`.
#[test]
fn the_parts_of_a_reference() {
    let some = |text: &str| Some(text.to_owned());
    for (registry, text) in [
        (None, ""),
        (some("registry.io"), "registry.io/"),
        (some("registry.io:80"), "registry.io:80/"),
        (some("localhost"), "localhost/"),
    ] {
        let name = || "library/busybox".to_owned();
        let given = format!("{text}library/busybox");
        assert_eq!(parts(&given), (registry.clone(), name(), None, None));
        let expected = (registry.clone(), name(), some("tag"), None);
        assert_eq!(parts(&format!("{given}:tag")), expected);
        let expected = (registry, name(), None, some(DIGEST));
        assert_eq!(parts(&format!("{given}@{DIGEST}")), expected);
    }
    assert_eq!(parts("busybox").1, "busybox");
}

#[test]
fn what_a_registry_is_asked_for() {
    let of = |text: &str| text.parse::<Reference>().expect(text);
    assert_eq!(of("a/b").version(), "latest");
    assert_eq!(of("a/b:1").version(), "1");
    assert_eq!(of(&format!("a/b:1@{DIGEST}")).version(), DIGEST);
    assert_eq!(of("r.io:5000/a/b").to_string(), "r.io:5000/a/b:latest");
    assert_eq!(
        of(&format!("a@{DIGEST}")).to_string(),
        format!("a@{DIGEST}")
    );
}

#[test]
fn what_names_no_image_is_refused() {
    use ReferenceError as E;
    let refused = |text: &str| text.parse::<Reference>().expect_err(text);
    assert_eq!(refused(""), E::Length);
    assert_eq!(refused(&"a".repeat(513)), E::Length);
    assert_eq!(refused(&format!("a@{DIGEST}@{DIGEST}")), E::Digests);
    assert!(matches!(refused("a@sha256:12"), E::Digest(_)));
    assert!(matches!(refused("a@md5:12"), E::Digest(_)));
    assert!(matches!(refused("a:.."), E::Tag(_)));
    assert!(matches!(refused("a:"), E::Tag(_)));
    assert!(matches!(
        refused(&format!("a:{}", "x".repeat(129))),
        E::Tag(_)
    ));
    for path in [
        "a/../b", "..", "a//b", "/a", "a/", "a b", "a\0", "a/.b", "a?b", "a%2e",
    ] {
        assert!(matches!(refused(path), E::Repository(_)), "{path}");
    }
    for path in [
        "../etc",
        "../a:5000/b",
        "r.io:/a",
        "r.io:x/a",
        "r.io:70000/a",
        "r.io:+80/a",
        "u@r.io/a",
    ] {
        refused(path);
    }
}

#[test]
fn an_error_shows_no_control_characters() {
    let error = "\u{1b}[2J\n".parse::<Reference>().expect_err("no name");
    assert!(!error.to_string().contains(['\u{1b}', '\n']), "{error}");
}
