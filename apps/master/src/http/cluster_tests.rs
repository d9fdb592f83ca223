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

/// A master whose registry has one weight.
fn registered(standing: Standing) -> Scene {
    let scene = scene(standing);
    let registry = tepui_registry::Registry {
        weights: [("a".to_string(), 2.5)].into(),
        ..Default::default()
    };
    let backup = tepui_registry::Backup::of(&registry, 1, 3, 0, "test").encode();
    let door = Arc::into_inner(scene.door).unwrap();
    let http = door.current.into_inner().unwrap();
    let mut http = Arc::into_inner(http).unwrap();
    http.cluster = Answering::asker(move |call| {
        assert_eq!(call, ClusterCall::Backup);
        Ok(Ok(Bytes::from(backup.clone())))
    });
    Scene {
        door: Arc::new(Door::new(http)),
        ..scene
    }
}

#[actix_web::test]
async fn only_a_leader_has_a_registry_to_show() {
    let path = "/registrar(1)/registry";
    let following = Standing::Following(Leader {
        http: "there:5050".to_string(),
        bridge: "there:5060".to_string(),
        term: 4,
    });
    for standing in [following, Standing::Recovering, Standing::NoLeader] {
        let got = send(&registered(standing.clone()), "GET", path, &[], b"").await;
        let told = (got.status, got.header("content-type"), got.text());
        let expected = (200, "application/json", "{}".to_string());
        assert_eq!(told, expected, "{standing:?}");
    }
    let scene = registered(Standing::Leading { term: 3 });
    let got = send(&scene, "GET", path, &[], b"").await;
    let told: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(told["master"]["info"]["id"], "m");
    let weights = json!([{"info": {"role": "a", "weight": 2.5}}]);
    assert_eq!((&told["weights"], &told["slaves"]), (&weights, &json!({})));
    let got = send(&scene, "GET", &format!("{path}?jsonp=cb"), &[], b"").await;
    assert!(got.text().starts_with("cb({\"master\""), "{}", got.text());
}

#[actix_web::test]
async fn help_names_all_endpoints_and_which_of_them_are_guarded() {
    let got = send(&leading(), "GET", "/help?format=json", &[], b"").await;
    assert_eq!(
        (got.status, got.header("content-type")),
        (200, "application/json")
    );
    let told: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let text = |id: &str, name: &str| {
        let named = |list: &serde_json::Value, key: &str, value: &str| {
            let mut list = list.as_array().unwrap().iter();
            list.find(|it| it[key] == value).cloned().unwrap()
        };
        let endpoints = named(&told["processes"], "id", id)["endpoints"].clone();
        named(&endpoints, "name", name)["text"].to_string()
    };
    for (id, name, guarded) in [
        ("master", "/state", true),
        ("master", "/api/v1/scheduler", true),
        ("registrar(1)", "/registry", true),
        ("files", "/browse", true),
        ("master", "/health", false),
        ("version", "/", false),
    ] {
        let text = text(id, name);
        assert!(text.contains("### AUTHENTICATION ###"), "{id}{name}");
        let requires = text.contains("This endpoint requires authentication");
        assert_eq!(requires, guarded, "{id}{name}");
    }
    let got = send(&leading(), "GET", "/help/nope", &[], b"").await;
    let refused = "No help available for '/nope'.\n".to_string();
    assert_eq!((got.status, got.text()), (400, refused));
}
