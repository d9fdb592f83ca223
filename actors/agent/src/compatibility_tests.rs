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
