use super::*;

#[test]
fn the_names_of_a_certificate_are_shown_bare_and_few() {
    let presented = |names: &[&str]| -> Vec<String> {
        let debug = |name: &&str| format!("DnsName({name:?})");
        names.iter().map(debug).collect()
    };
    assert_eq!(names(&[]), "no name at all");
    assert_eq!(names(&presented(&["a.org"])), "a.org");
    assert_eq!(
        names(&presented(&["a", "b", "c", "d", "e"])),
        "a, b, c, d, e"
    );
    assert_eq!(
        names(&presented(&["a", "b", "c", "d", "e", "f", "g"])),
        "a, b, c, d, e and 2 more"
    );
    let long = "x".repeat(1000);
    assert_eq!(names(&presented(&[&long])).len(), MAX_NAME_CHARS);
}

#[test]
fn how_long_a_certificate_is_expired_is_told_in_days() {
    let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
    let day = SECONDS_PER_DAY;
    assert_eq!(ago(at(day), at(1)), "less than a day ago");
    assert_eq!(ago(at(day), at(0)), "1 day ago");
    assert_eq!(ago(at(9 * day), at(day - 1)), "8 days ago");
}

#[test]
fn the_cause_is_found_however_it_is_wrapped() {
    let cause = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    let once = io::Error::new(io::ErrorKind::InvalidData, cause());
    let twice = io::Error::other(once);
    assert!(matches!(
        explain("a.org", &twice),
        Some(Error::UnknownIssuer { host }) if host == "a.org"
    ));
    assert!(explain("a.org", &cause()).is_some());
    assert!(explain("a.org", &io::Error::other("refused")).is_none());
}

#[test]
fn roots_that_are_none_are_refused() {
    assert!(read(Roots::Only(Vec::new())).is_err());
    let error = read(Roots::Only(vec![vec![1, 2, 3]])).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("(1 were found that cannot be used)")
    );
}
