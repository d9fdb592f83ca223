use super::*;

#[test]
fn a_domain_is_json_or_lies_in_a_file_and_names_region_and_zone() {
    let text = r#"{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}"#;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("domain.json");
    std::fs::write(&path, text).unwrap();
    for given in [text.to_string(), path.display().to_string()] {
        let domain = parse(Some(&given)).unwrap().unwrap().fault_domain.unwrap();
        assert_eq!((&*domain.region.name, &*domain.zone.name), ("r", "z"));
    }
    assert_eq!(parse(None).unwrap(), None);
    for (given, reason) in [
        ("{", "--domain: "),
        ("{}", "there is no fault domain"),
        (
            r#"{"fault_domain": {"region": {"name": "r"}}}"#,
            "--domain: ",
        ),
        (
            r#"{"fault_domain": {"region": {"name": ""}, "zone": {"name": "z"}}}"#,
            "has no name",
        ),
        ("/nowhere/domain", "No such file"),
    ] {
        let error = parse(Some(given)).unwrap_err().to_string();
        let is_line = error.contains("expected JSON such as") && !error.contains('\n');
        assert!(error.contains(reason) && is_line, "{error}");
    }
}
