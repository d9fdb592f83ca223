use proptest::prelude::*;

use super::*;

fn hello(role: Role, min: u16, max: u16) -> Hello {
    Hello {
        versions: Versions { min, max },
        ..Hello::new(role, "node-1", "0.1.0")
    }
}

proptest! {
    #[test]
    fn greetings_survive_the_wire(
        min in 0..9u16, more in 0..9u16, name in "[a-zA-Zäß€-]{0,60}",
        cluster_id in proptest::option::of("[a-f0-9-]{0,36}"),
        place in proptest::option::of("[a-z0-9:.,]{1,40}"),
        number in proptest::option::of(any::<u64>()),
        secret in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
    ) {
        let mut greeting = hello(Role::Agent, min, min + more);
        greeting.identity.name = name;
        greeting.identity.cluster_id = cluster_id;
        greeting.identity.membership = place.map(|text| Membership {
            group: text.clone(),
            disk: text.clone(),
            http: text.clone(),
            bridge: text,
            id: number,
            last_index: number.map(u64::reverse_bits),
        });
        greeting.credentials = secret.map(|secret| Credentials(secret.into()));
        let bytes = greeting.encode().unwrap();
        prop_assert_eq!(&Hello::decode(&bytes).unwrap(), &greeting);
        // A newer version's field is skipped; whatever ends early is an error, except between two fields.
        let mut grown = bytes.clone();
        put_field(&mut grown, 200, b"from the future");
        prop_assert_eq!(&Hello::decode(&grown).unwrap(), &greeting);
        for end in 0..bytes.len() {
            if let Ok(less) = Hello::decode(&bytes[..end]) {
                prop_assert_eq!(less.versions, greeting.versions);
            }
        }
        let welcome = Welcome { version: min, identity: greeting.identity };
        prop_assert_eq!(Welcome::decode(&welcome.encode().unwrap()).unwrap(), welcome);
    }

    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (Hello::decode(&bytes), Welcome::decode(&bytes));
        bytes.splice(0..0, MAGIC);
        let _ = (Hello::decode(&bytes), Welcome::decode(&bytes));
    }
}

#[test]
fn the_highest_common_version_is_chosen() {
    let verdict = |ours: (u16, u16), theirs: (u16, u16)| {
        let ours = hello(Role::Master, ours.0, ours.1);
        judge(&ours, &hello(Role::Agent, theirs.0, theirs.1)).map(|welcome| welcome.version)
    };
    assert_eq!(verdict((1, 3), (2, 5)), Ok(3));
    assert_eq!(verdict((2, 5), (1, 2)), Ok(2));
    assert_eq!(
        verdict((1, 1), (7, 7)).unwrap_err(),
        "this master speaks bridge versions 1 to 1, the agent speaks 7: upgrade the master \
         (this master is tepui 0.1.0, the agent is tepui 0.1.0)"
    );
    let text = verdict((3, 4), (1, 2)).unwrap_err();
    assert!(
        text.contains("the agent speaks 1 to 2: upgrade the agent"),
        "{text}"
    );
}

#[test]
fn clusters_do_not_mix() {
    let [mut ours, mut theirs] = [Role::Master, Role::Agent].map(|role| hello(role, 1, 1));
    ours.identity.cluster_id = Some("red".to_owned());
    assert!(judge(&ours, &theirs).is_ok());
    theirs.identity.cluster_id = Some("blue".to_owned());
    let text = judge(&ours, &theirs).unwrap_err();
    assert!(text.starts_with("this master belongs to cluster red, the agent to cluster blue"));
    let welcome = Welcome {
        version: 1,
        identity: ours.identity,
    };
    assert!(matches!(
        welcome.check(&theirs),
        Err(HandshakeError::OtherCluster(_))
    ));
    assert!(matches!(
        Welcome {
            version: 2,
            ..welcome
        }
        .check(&theirs),
        Err(HandshakeError::NotOffered { chosen: 2, .. })
    ));
}

#[test]
fn hostile_names_and_long_fields_are_refused() {
    let mut greeting = hello(Role::Agent, 1, 1);
    greeting.identity.name = "a\u{1b}]52;c;".to_owned();
    let bytes = greeting.encode().unwrap();
    assert_eq!(
        Hello::decode(&bytes),
        Err(HandshakeError::Malformed("name"))
    );
    for (size, fits) in [(255, true), (256, false), (60_000, false)] {
        greeting.identity.name = "n".repeat(size);
        assert_eq!(greeting.encode().is_ok(), fits);
    }
}

#[test]
fn credentials_are_never_printed() {
    let mut greeting = hello(Role::Agent, 1, 1);
    greeting.credentials = Some(Credentials(Bytes::from_static(b"hunter2")));
    let printed = format!("{greeting:?}");
    assert!(printed.contains("not printed") && !printed.contains("hunter2"));
    assert!(!printed.contains(&format!("{:?}", b"hunter2")));
}
