use super::*;

#[actix_web::test]
async fn any_master_shows_the_group_and_the_leader_changes_it() {
    let following = scene(Standing::Following(Leader {
        http: "there:5050".to_string(),
        bridge: "there:5060".to_string(),
        term: 4,
    }));
    let remove = br#"{"type": "REMOVE", "name": "m9"}"#;
    let add = br#"{"type": "ADD", "name": "m4", "address": "a:1"}"#;
    let path = "/tepui/v1/cluster";
    let got = send(&following, "GET", path, &[], b"").await;
    assert_eq!((got.status, &got.body[..]), (200, &b"Describe"[..]));
    for (method, path) in [("POST", path), ("GET", "/tepui/v1/cluster/backup")] {
        let got = send(&following, method, path, &[], remove).await;
        let there = format!("//there:5050{path}");
        assert_eq!((got.status, got.header("location")), (307, there.as_str()));
    }
    let got = send(&leading(), "POST", path, &[], remove).await;
    let refused = &b"m9 is no master of this group"[..];
    assert_eq!((got.status, &got.body[..]), (409, refused));
    let got = send(&leading(), "POST", path, &[], add).await;
    let read = br#"Add { name: "m4", address: "a:1", replace: false }"#;
    assert_eq!((got.status, &got.body[..]), (200, &read[..]));
    for call in [
        &b"{"[..],
        br#"{"type": "DESCRIBE"}"#,
        br#"{"type": "ADD", "name": "m4"}"#,
    ] {
        let got = send(&leading(), "POST", path, &[], call).await;
        assert_eq!(got.status, 400);
        assert!(String::from_utf8_lossy(&got.body).contains("expected"));
    }
}
