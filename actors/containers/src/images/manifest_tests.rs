use super::*;

fn digest_of(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn manifest_json(layers: usize) -> String {
    let layer = format!(
        r#"{{"mediaType":"x","size":7,"digest":"{}"}}"#,
        digest_of('b')
    );
    let layers = vec![layer; layers].join(",");
    let config = digest_of('a');
    format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{config}","size":9}},"layers":[{layers}]}}"#
    )
}

#[test]
fn a_manifest_names_configuration_and_layers() {
    let Ok(Described::Image(found)) = described(manifest_json(2).as_bytes()) else {
        panic!("no manifest");
    };
    assert_eq!(found.config.digest.to_string(), digest_of('a'));
    assert_eq!(found.config.size_bytes, 9);
    let layers: Vec<_> = found
        .layers
        .iter()
        .map(|it| it.digest.to_string())
        .collect();
    assert_eq!(layers, [digest_of('b'), digest_of('b')]);
}

#[test]
fn a_manifest_of_another_form_is_refused() {
    let refused = |json: &str| described(json.as_bytes()).expect_err(json);
    assert!(matches!(refused("[]"), ManifestError::Form { .. }));
    assert!(matches!(refused("{}"), ManifestError::Form { .. }));
    assert!(matches!(
        refused(r#"{"schemaVersion":2,"layers":3}"#),
        ManifestError::Form { .. }
    ));
    assert_eq!(
        refused(r#"{"schemaVersion":1,"fsLayers":[]}"#),
        ManifestError::Schema1
    );
    assert_eq!(refused(&manifest_json(0)), ManifestError::Layers(0));
    assert_eq!(refused(&manifest_json(128)), ManifestError::Layers(128));
    let odd = manifest_json(1).replace(&digest_of('b'), "sha256:../../etc");
    assert!(matches!(refused(&odd), ManifestError::Digest { .. }));
}

#[test]
fn of_an_index_the_image_for_this_machine_is_chosen() {
    let entry = |letter: char, architecture: &str| {
        let digest = digest_of(letter);
        format!(
            r#"{{"digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
        )
    };
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        entry('a', "arm64"),
        entry('b', "amd64")
    );
    let Ok(Described::Index(choices)) = described(json.as_bytes()) else {
        panic!("no index");
    };
    let chosen = for_platform(&choices, "linux/amd64").expect("it is there");
    assert_eq!(chosen.digest.to_string(), digest_of('b'));
    let error = for_platform(&choices, "linux/riscv64").expect_err("it is not there");
    let text = error.to_string();
    assert!(
        text.contains("linux/riscv64") && text.contains("linux/arm64"),
        "{text}"
    );
}

#[test]
fn of_a_layout_the_image_of_that_name_is_chosen() {
    let choice = |letter, name: Option<&str>| Choice {
        manifest: Blob {
            digest: digest_of(letter).parse().expect("a digest"),
            size_bytes: 1,
        },
        platform: None,
        name: name.map(str::to_owned),
    };
    let choices = [choice('a', Some("1")), choice('b', Some("box:2"))];
    let found = named(&choices, &["box:2", "2"]).expect("it is there");
    assert_eq!(found, [choice('b', Some("box:2"))]);
    assert!(
        matches!(named(&choices, &["3"]), Err(ManifestError::NotThere(names)) if names.len() == 2)
    );
    let nameless = [choice('a', None)];
    assert_eq!(named(&nameless, &["3"]).expect("the only one"), nameless);
}

#[test]
fn a_configuration_tells_how_to_run_and_the_plain_digests() {
    let json = format!(
        r#"{{"architecture":"amd64","config":{{"Env":["A=1"],"Cmd":["sh"],"Entrypoint":null,"WorkingDir":"","User":null}},
            "rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        digest_of('c')
    );
    let found = config(json.as_bytes()).expect("a configuration");
    assert_eq!(found.run.env, ["A=1"]);
    assert_eq!(found.run.cmd, ["sh"]);
    assert_eq!(found.run.entrypoint, Vec::<String>::new());
    assert_eq!(
        (found.run.working_dir, found.run.user),
        (String::new(), String::new())
    );
    assert_eq!(found.layers[0].to_string(), digest_of('c'));
    let bare = format!(r#"{{"rootfs":{{"diff_ids":["{}"]}}}}"#, digest_of('c'));
    assert_eq!(
        config(bare.as_bytes()).expect("no run part").run,
        RunConfig::default()
    );
}

#[test]
fn an_archive_lists_its_images_by_name() {
    let one = |name: &str| {
        format!(
            r#"{{"Config":"{name}.json","RepoTags":["{name}:1"],"Layers":["{name}/layer.tar"]}}"#
        )
    };
    let several = format!("[{},{}]", one("a"), one("b"));
    let found = saved(several.as_bytes(), "b:1").expect("it is there");
    assert_eq!(
        (found.config.as_str(), found.layers),
        ("b.json", vec!["b/layer.tar".to_owned()])
    );
    assert!(matches!(
        saved(several.as_bytes(), "c:1"),
        Err(ManifestError::NotThere(_))
    ));
    let only = format!("[{}]", one("a"));
    assert_eq!(
        saved(only.as_bytes(), "other:9")
            .expect("the only one")
            .config,
        "a.json"
    );
}
