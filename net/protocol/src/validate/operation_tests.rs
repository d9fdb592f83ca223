use super::*;
use crate::codec::{Limits, json};

fn read<T: serde::de::DeserializeOwned + crate::descriptor::Described>(text: &str) -> T {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

fn disk(rest: &str) -> String {
    format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":10}}{rest}}}"#)
}

const RESERVED: &str = r#","reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}]"#;
const ALLOCATED: &str = r#","allocation_info":{"role":"r"}"#;
const VOLUME: &str = r#","disk":{"persistence":{"id":"v","principal":"p"},"volume":{"mode":"RW","container_path":"c"}}"#;

#[test]
fn reservations() {
    let roles = BTreeSet::from(["r".to_owned()]);
    let others = BTreeSet::from(["q".to_owned()]);
    let framework = Asker::Framework(&roles);
    for (resource, principal, asker, expected) in [
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            Some("p"),
            framework,
            "",
        ),
        (disk(RESERVED), None, Asker::Operator, ""),
        (
            disk(""),
            None,
            Asker::Operator,
            "Resource disk:10 is not dynamically reserved",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            None,
            Asker::Operator,
            "A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources",
        ),
        (
            disk(RESERVED),
            None,
            framework,
            "A reserve operation was attempted on unallocated resource disk(reservations: [(DYNAMIC,r,p)]):10, but frameworks can only perform reservations on allocated resources",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            None,
            Asker::Framework(&others),
            "A reserve operation was attempted for a resource allocated to role 'r', but the framework only has roles '{ q }'",
        ),
        (
            disk(&format!("{RESERVED}{ALLOCATED}")),
            Some("q"),
            framework,
            "A reserve operation was attempted by authenticated principal 'q', which does not match a reserved resource in the request with principal 'p'",
        ),
        (
            disk(r#","revocable":{},"reservations":[{"type":"DYNAMIC","role":"r"}]"#),
            None,
            Asker::Operator,
            "Invalid resources: Invalid ReservationInfo: Dynamically reserved resource disk(reservations: [(DYNAMIC,r)]){REV}:10 cannot be created from revocable resources",
        ),
    ] {
        let body = read(&format!(r#"{{"resources":[{resource}]}}"#));
        assert_eq!(
            reserve(&body, principal, asker).err().unwrap_or_default(),
            expected
        );
    }
    let body = read(&format!(
        r#"{{"resources":[{}]}}"#,
        disk(&format!("{RESERVED}{VOLUME}"))
    ));
    assert!(
        unreserve(&body)
            .expect_err("a volume")
            .starts_with("A dynamically reserved persistent volume")
    );
}

#[test]
fn volumes() {
    let volume = disk(&format!("{RESERVED}{VOLUME}"));
    let existing = Resources::from_proto(&[read(&volume)]).expect("valid");
    let none = Resources::new();
    let body = read(&format!(r#"{{"volumes":[{volume}]}}"#));
    assert_eq!(create(&body, &none, Some("p"), None), Ok(()));
    assert_eq!(
        create(&body, &existing, None, None),
        Err("Persistence ID 'v' is not unique".into())
    );
    let plain = read(&format!(r#"{{"volumes":[{}]}}"#, disk(RESERVED)));
    assert_eq!(
        create(&plain, &none, None, None),
        Err("Not a persistent volume: Resource disk(reservations: [(DYNAMIC,r,p)]):10 does not have DiskInfo".into())
    );
    let body = read(&format!(r#"{{"volumes":[{volume}]}}"#));
    assert_eq!(destroy(&body, &existing, &none), Ok(()));
    assert_eq!(
        destroy(&body, &none, &none),
        Err("Persistent volumes not found".into())
    );
    let used = existing.allocated("r");
    assert_eq!(
        destroy(&body, &existing, &used),
        Err("Persistent volumes in use".into())
    );

    let by = |addition: &str| read(&format!(r#"{{"volume":{volume},"addition":{addition}}}"#));
    assert_eq!(grow(&by(&disk(RESERVED))), Ok(()));
    assert_eq!(
        grow(&by(&disk(""))),
        Err(
            "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
                .into()
        )
    );
    let by = |subtract: i32| {
        read(&format!(
            r#"{{"volume":{volume},"subtract":{{"value":{subtract}}}}}"#
        ))
    };
    assert_eq!(shrink(&by(9)), Ok(()));
    assert_eq!(
        shrink(&by(10)),
        Err("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'".into())
    );
}

#[test]
fn provided_disks() {
    let raw = |source: &str| {
        disk(&format!(
            r#","provider_id":{{"value":"x"}},"disk":{{"source":{{"type":"RAW"{source}}}}}"#
        ))
    };
    let create = |source: &str, rest: &str| {
        create_disk(&read(&format!(
            r#"{{"source":{source},"target_type":"MOUNT"{rest}}}"#
        )))
    };
    assert_eq!(
        create(&disk(""), ""),
        Err("'source' is not managed by a resource provider".into())
    );
    assert_eq!(create(&raw(r#","profile":"p""#), ""), Ok(()));
    assert_eq!(
        create(&raw(""), ""),
        Err("'target_profile' must be set when 'source' has no profile".into())
    );
    let destroy = |source: &str| destroy_disk(&read(&format!(r#"{{"source":{source}}}"#)));
    assert_eq!(destroy(&raw(r#","id":"i""#)), Ok(()));
    assert_eq!(
        destroy(&raw("")),
        Err("'source' is not backed by a CSI volume".into())
    );
}
