use super::*;

fn claims() -> ExecutorClaims {
    ExecutorClaims {
        framework_id: "f".to_owned(),
        executor_id: "e".to_owned(),
        container_id: "c".to_owned(),
    }
}

fn by(key: &[u8], header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature))
}

#[test]
fn a_token_tells_its_claims_to_the_key_that_signed_it() {
    let key = TokenKey::new(b"secret");
    let token = key.sign(&claims());
    assert_eq!(key.verify(&token), Ok(claims()));
    let header = BASE64.decode(HEADER).unwrap();
    assert_eq!(header, br#"{"alg":"HS256","typ":"JWT"}"#);
    assert_eq!(format!("{key:?}"), "TokenKey");
    // As RFC 7515 has it: the parts of one made elsewhere.
    let foreign = by(
        b"secret",
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{"fid":"f","eid":"e","cid":"c","more":1}"#,
    );
    assert_eq!(key.verify(&foreign), Ok(claims()));
}

#[test]
fn nothing_else_is_believed() {
    let key = TokenKey::new(b"secret");
    let token = key.sign(&claims());
    let wrong = TokenKey::new(b"incorrect_key").sign(&claims());
    assert_eq!(key.verify(&wrong), Err("Token signature does not match"));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let other = format!("{HEADER}.{}", BASE64.encode(r#"{"cid":"other"}"#));
    let signature = token.rsplit_once('.').unwrap().1;
    let right = r#"{"fid":"f","eid":"e","cid":"c"}"#;
    for (token, why) in [
        (String::new(), "Expected 3 components"),
        ("a.b".to_owned(), "Expected 3 components"),
        (format!("{signed}."), "Token signature does not match"),
        (
            format!("{other}.{signature}"),
            "Token signature does not match",
        ),
        (
            by(b"secret", r#"{"alg":"none"}"#, right),
            "Token 'alg' value is not 'HS256'",
        ),
        (
            by(b"secret", r#"{"alg":"RS256"}"#, right),
            "Token 'alg' value is not 'HS256'",
        ),
        (
            by(b"secret", r#"{"alg":"HS256","crit":["x"]}"#, right),
            "Token 'crit' field is unsupported",
        ),
        (
            by(b"secret", r#"{"alg":"HS256"}"#, "[]x"),
            "Failed to decode token payload",
        ),
        (by(b"secret", "{}", right), "Failed to decode token header"),
        (format!("{signed}.*"), "Failed to decode token signature"),
        ("a".repeat(5000), "Token is too long"),
    ] {
        assert_eq!(key.verify(&token), Err(why), "{token}");
    }
}
