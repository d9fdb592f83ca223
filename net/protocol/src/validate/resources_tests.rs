use super::*;
use crate::codec::{Limits, json};

fn read(text: &str) -> v1::Resource {
    json::decode(text.as_bytes(), &Limits::HTTP).expect(text)
}

fn disk(rest: &str) -> String {
    format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":128}}{rest}}}"#)
}

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").expect(text)
}

#[test]
fn disks_and_reservations() {
    const STATIC: &str = r#","reservations":[{"type":"STATIC","role":"r"}]"#;
    let volume = |rest: &str| {
        format!(
            r#","disk":{{"persistence":{{"id":"i"}},"volume":{{"mode":"RW","container_path":"p"{rest}}}}}"#
        )
    };
    let plain = volume("");
    for (rest, expected) in [
        (STATIC.to_owned(), ""),
        (format!("{STATIC}{plain}"), ""),
        (
            plain.clone(),
            "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
        ),
        (
            format!(r#","role":"*"{plain}"#),
            "Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources",
        ),
        (
            format!(r#","revocable":{{}}{STATIC}{plain}"#),
            "Invalid DiskInfo: Persistent volumes cannot be created from revocable resources",
        ),
        (
            format!("{STATIC}{}", volume(r#","host_path":"foo""#)),
            "Invalid DiskInfo: Expecting 'host_path' to be unset for persistent volume",
        ),
        (
            format!(r#"{STATIC},"disk":{{"volume":{{"mode":"RW","container_path":"p"}}}}"#),
            "Invalid DiskInfo: Non-persistent volume not supported",
        ),
        (
            format!(r#"{STATIC},"disk":{{}}"#),
            "Invalid DiskInfo: DiskInfo is set but empty",
        ),
    ] {
        let result = validate(&[read(&disk(&rest))]);
        assert_eq!(result.err().unwrap_or_default(), expected, "{rest}");
    }
}

#[test]
fn all_are_of_one_provider() {
    let agents = read(&disk(""));
    let of = |id: &str| read(&disk(&format!(r#","provider_id":{{"value":"{id}"}}"#)));
    for (list, expected) in [
        (vec![of("a")], ""),
        (vec![agents.clone(), agents.clone()], ""),
        (vec![of("b"), of("b")], ""),
        (
            vec![of("b"), of("a")],
            "The resources have multiple resource providers: a, b",
        ),
        (
            vec![of("a"), agents],
            "Some resources have a resource provider and some do not",
        ),
    ] {
        let result = one_provider(&list);
        assert_eq!(result.err().unwrap_or_default(), expected, "{list:?}");
    }
}

#[test]
fn groups_overlap_in_ranges_and_sets_only() {
    let table: [(&[&str], bool); 11] = [
        (&[], false),
        (&["zones:{a,b,c}"], false),
        (&["ports:[5555-5556]", "ports:[5557-5558]"], false),
        (&["ports:[5555-5556]", "ports:[5555-5556]"], true),
        (&["ports:[5555-5557]", "ports:[5556-5558]"], true),
        (
            &[
                "ports:[5555-5557]",
                "ports:[5558-5559]",
                "ports:[5559-5560]",
            ],
            true,
        ),
        (
            &[
                "cpus:0.1;mem:32;ports:[5555-5557]",
                "cpus:1;mem:2048;disk:4096;ports:[5556-5558]",
            ],
            true,
        ),
        (&["zones:{a,b}", "zones:{c,d}"], false),
        (&["zones:{a,b}", "zones:{a,b}"], true),
        (&["zones:{a,b,c}", "zones:{c,d,e}"], true),
        (&["zones:{a,b,c}", "zones:{d,e,f}", "zones:{g,h,a}"], true),
    ];
    for (texts, expected) in table {
        let groups: Vec<Resources> = texts.iter().map(|text| parse(text)).collect();
        let groups: Vec<&Resources> = groups.iter().collect();
        assert_eq!(overlap(&groups), expected, "{texts:?}");
    }
}
