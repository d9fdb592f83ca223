use tepui_protocol::{
    v1::{DomainInfo, domain_info},
    values::parse_attributes,
};

use super::*;

fn info(resources: &str, attributes: &str) -> AgentInfo {
    AgentInfo {
        hostname: "here".to_owned(),
        port: Some(5051),
        resources: Resources::parse(resources, "*").unwrap().to_proto(),
        attributes: parse_attributes(attributes).unwrap(),
        ..AgentInfo::default()
    }
}

fn before() -> AgentInfo {
    info(
        "cpus:2;ports:[31000-31010];racks:{a}",
        "rack:a;gen:[2-4];num:1.5",
    )
}

fn additive(now: &AgentInfo) -> Option<String> {
    problem(Reconfiguration::Additive, &before(), now)
}

#[test]
fn what_is_equal_is_permitted_by_each_policy() {
    for policy in [Reconfiguration::Equal, Reconfiguration::Additive] {
        assert_eq!(problem(policy, &before(), &before()), None);
    }
}

#[test]
fn more_is_permitted_where_additions_are() {
    let mut more = info(
        "cpus:4;mem:64;ports:[31000-31020];racks:{a,b}",
        "rack:a;gen:[1-5];num:1.5;zone:z",
    );
    more.domain = Some(DomainInfo {
        fault_domain: Some(domain_info::FaultDomain::default()),
    });
    assert_eq!(additive(&more), None);
    let problem = problem(Reconfiguration::Equal, &before(), &more);
    assert_eq!(problem.as_deref(), Some("the agent's resources changed"));
}

#[test]
fn less_and_other_is_not() {
    let attributes = "rack:a;gen:[2-4];num:1.5";
    let resources = "cpus:2;ports:[31000-31010];racks:{a}";
    for (now, what) in [
        (
            info("cpus:1;ports:[31000-31010];racks:{a}", attributes),
            "cpus",
        ),
        (
            info("cpus:2;ports:[31000-31009];racks:{a}", attributes),
            "ports",
        ),
        (
            info("cpus:2;ports:[31000-31010];racks:{b}", attributes),
            "racks",
        ),
        (info(resources, "gen:[2-4];num:1.5"), "attribute rack"),
        (
            info(resources, "rack:b;gen:[2-4];num:1.5"),
            "attribute rack",
        ),
        (info(resources, "rack:a;gen:[3-4];num:1.5"), "attribute gen"),
        (info(resources, "rack:a;gen:[2-4];num:2"), "attribute num"),
    ] {
        let problem = additive(&now).unwrap();
        assert!(problem.contains(what), "{problem}");
    }
    let moved = AgentInfo {
        hostname: "there".to_owned(),
        ..before()
    };
    let problem = additive(&moved).unwrap();
    assert!(problem.contains("hostname changed from here to there"));
}

#[test]
fn each_role_keeps_what_was_reserved_for_it() {
    let of = |problem: &str| problem_of("foo(A):10;foo(B):20", problem);
    assert_eq!(of("foo(A):20;foo(B):30"), None);
    let lost = of("foo(A):5;foo(B):50").unwrap();
    assert!(lost.contains("lost some of their foo"), "{lost}");
}

fn problem_of(before: &str, now: &str) -> Option<String> {
    problem(Reconfiguration::Additive, &info(before, ""), &info(now, ""))
}

#[test]
fn a_disk_more_is_more_and_none_is_moved() {
    let disk = |root: Option<&str>, size: f64| {
        let mut disk = Resources::parse(&format!("disk:{size}"), "*")
            .unwrap()
            .to_proto()
            .remove(0);
        disk.disk = root.map(|root| {
            Box::new(tepui_protocol::v1::resource::DiskInfo {
                source: Some(tepui_protocol::v1::resource::disk_info::Source {
                    r#type: tepui_protocol::v1::resource::disk_info::source::Type::Mount as i32,
                    mount: Some(tepui_protocol::v1::resource::disk_info::source::Mount {
                        root: Some(root.to_owned()),
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            })
        });
        disk
    };
    let with = |disks: Vec<tepui_protocol::v1::Resource>| AgentInfo {
        resources: disks,
        ..info("cpus:1", "")
    };
    let one = with(vec![disk(None, 868_000.0)]);
    let two = with(vec![
        disk(None, 868_000.0),
        disk(Some("/srv/a"), 1_830_000.0),
    ]);
    let moved = with(vec![
        disk(None, 868_000.0),
        disk(Some("/srv/b"), 1_830_000.0),
    ]);
    let additive = |before, now| problem(Reconfiguration::Additive, before, now);
    assert_eq!(additive(&one, &two), None);
    assert!(additive(&two, &one).is_some());
    assert!(additive(&two, &moved).is_some());
}
