use serde_json::json;

use super::*;

#[test]
fn amounts_are_read_and_shown_alike() {
    let found = parsed("--limit", Some("cpus:0.5; mem:512;")).unwrap();
    assert_eq!(shown(&found), "cpus:0.5;mem:512");
    assert_eq!(parsed("--limit", None).unwrap().len(), 0);
    for wrong in [
        "cpus",
        "cpus:many",
        "cpus:-1",
        "cpus:inf",
        ":1",
        "",
        ";",
        "cpus:1;cpus:2",
        "ports:[1-2]",
    ] {
        let error = parsed("--limit", Some(wrong)).unwrap_err().to_string();
        assert!(error.starts_with("--limit"), "{wrong}: {error}");
    }
}

#[test]
fn what_there_is_nothing_of_is_not_shown() {
    let of = json!({"cpus": 4.0, "disk": 0.0, "mem": 512.5, "ports": "[31000-31001]"});
    assert_eq!(amounts(&of), "cpus:4;mem:512.5;ports:[31000-31001]");
    assert_eq!(amounts(&json!({"cpus": 0.0})), "-");
    assert_eq!(amounts(&json!(null)), "-");
    assert!(has_quota(
        &json!({"quota": {"guarantee": {}, "limit": {"cpus": 1.0}}})
    ));
    assert!(!has_quota(
        &json!({"quota": {"guarantee": {}, "limit": {}}})
    ));
}
