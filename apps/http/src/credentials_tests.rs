use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

const JSON: &str = r#"{"credentials": [{"principal": "ops", "secret": "sesame"}, {"principal": "fw", "secret": "a:b"}]}"#;

fn header(text: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(text)).into_bytes()
}

#[test]
fn name_and_secret_prove_a_principal() {
    for text in [JSON, "ops sesame\n\n  fw\ta:b \n"] {
        let known = Credentials::parse(text).unwrap();
        let ops = known.principal(&header("ops:sesame"));
        assert_eq!(ops.as_deref(), Some("ops"), "{text}");
        let fw = known.principal(&header("fw:a:b"));
        assert_eq!(fw.as_deref(), Some("fw"), "a secret may have colons");
    }
}

#[test]
fn nothing_else_does() {
    let known = Credentials::parse(JSON).unwrap();
    let encoded = STANDARD.encode("ops:sesame");
    let mut bad: Vec<Vec<u8>> = [
        "",
        "ops",
        "ops:",
        ":",
        ":sesame",
        "ops:Sesame",
        "ops:sesame ",
        " ops:sesame",
        "OPS:sesame",
        "fw:sesame",
        "nobody:sesame",
        "nobody:",
        "ops:sesame\0",
        "ops\0:sesame",
        "ops:sesamesesame",
        "fw:a",
    ]
    .map(header)
    .into();
    bad.extend(
        [
            format!("basic {encoded}"),
            format!("BASIC {encoded}"),
            format!("Bearer {encoded}"),
            format!("Basic  {encoded}"),
            format!("Basic {encoded} "),
            format!(" Basic {encoded}"),
            format!("Basic{encoded}"),
            encoded.clone(),
            "Basic".to_string(),
            "Basic ".to_string(),
            "Basic ops:sesame".to_string(),
            format!("Basic {}", encoded.trim_end_matches('=').get(1..).unwrap()),
        ]
        .map(String::into_bytes),
    );
    bad.push(vec![0xff, 0xfe]);
    bad.push(header("\u{fffd}:sesame"));
    for value in bad {
        let shown = String::from_utf8_lossy(&value).into_owned();
        assert_eq!(known.principal(&value), None, "{shown:?}");
    }
}

#[test]
fn a_bad_file_is_named_and_its_text_is_not() {
    for (text, reason) in [
        (r#"{"credentials": []}"#, "nobody is named"),
        ("", "nobody is named"),
        (
            r#"{"credentials": [{"principal": "p", "secret": "sesame", "x": 1}]}"#,
            "not the expected JSON at line 1",
        ),
        (
            r#"{"credentials": ["sesame"#,
            "not the expected JSON at line 1",
        ),
        (
            r#"{"credentials": [{"principal": "sesame:p", "secret": "sesame"}]}"#,
            "the principal of entry 1 is empty, or has a colon",
        ),
        (
            r#"{"credentials": [{"principal": "p", "secret": ""}]}"#,
            "the secret of entry 1 is empty",
        ),
        (
            "p sesame\np sesame",
            "the principal of entry 2 was named before",
        ),
        ("p sesame\nsesame", "line 2 is not two words"),
        ("p sesame sesame", "line 1 is not two words"),
    ] {
        let error = Credentials::parse(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("sesame"), "{error}");
    }
    let known = Credentials::parse(JSON).unwrap();
    assert_eq!(format!("{known:?}"), "Credentials(2)");
}

#[test]
fn a_file_that_everybody_reads_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials");
    fs::write(&path, JSON).unwrap();
    for (mode, taken) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = Credentials::read(&path);
        assert_eq!(read.is_ok(), taken, "{mode:o}");
        if let Err(error) = read {
            let text = error.to_string();
            assert!(text.contains("chmod 600"), "{text}");
        }
    }
    let missing = Credentials::read(&directory.path().join("none")).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("expected a file of principals"),
        "{missing}"
    );
}
