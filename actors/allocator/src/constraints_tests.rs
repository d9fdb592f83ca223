use std::collections::BTreeMap;

use tepui_protocol::v1::{
    Attribute,
    scheduler::{
        attribute_constraint::predicate::{
            Exists, NotExists, TextEquals, TextMatches, TextNotEquals, TextNotMatches,
        },
        offer_constraints::{RoleConstraints, role_constraints::Group},
    },
};

use super::*;

fn agent() -> AgentInfo {
    AgentInfo {
        hostname: "node-7".into(),
        attributes: vec![
            Attribute {
                name: "rack".into(),
                r#type: value::Type::Text.into(),
                text: Some(value::Text { value: "a".into() }),
                ..Attribute::default()
            },
            Attribute {
                name: "level".into(),
                r#type: value::Type::Scalar.into(),
                scalar: Some(value::Scalar { value: 3.0 }),
                ..Attribute::default()
            },
        ],
        ..AgentInfo::default()
    }
}

fn attribute(name: &str) -> Selector {
    Selector {
        attribute_name: Some(name.into()),
        ..Selector::default()
    }
}

fn constraint(selector: Selector, predicate: Predicate) -> AttributeConstraint {
    AttributeConstraint {
        selector,
        predicate,
    }
}

fn exists() -> Predicate {
    Predicate {
        exists: Some(Exists {}),
        ..Predicate::default()
    }
}

fn not_exists() -> Predicate {
    Predicate {
        not_exists: Some(NotExists {}),
        ..Predicate::default()
    }
}

fn equals(text: &str) -> Predicate {
    Predicate {
        text_equals: Some(TextEquals { value: text.into() }),
        ..Predicate::default()
    }
}

fn not_equals(text: &str) -> Predicate {
    Predicate {
        text_not_equals: Some(TextNotEquals { value: text.into() }),
        ..Predicate::default()
    }
}

fn matches(regex: &str) -> Predicate {
    Predicate {
        text_matches: Some(TextMatches {
            regex: regex.into(),
        }),
        ..Predicate::default()
    }
}

fn not_matches(regex: &str) -> Predicate {
    Predicate {
        text_not_matches: Some(TextNotMatches {
            regex: regex.into(),
        }),
        ..Predicate::default()
    }
}

fn excluded(groups: Vec<Vec<AttributeConstraint>>) -> bool {
    let groups = groups.into_iter();
    let groups = groups.map(|attribute_constraints| Group {
        attribute_constraints,
    });
    let role_constraints = RoleConstraints {
        groups: groups.collect(),
    };
    let constraints = OfferConstraints {
        role_constraints: BTreeMap::from([("r".to_owned(), role_constraints)]),
    };
    let constraints = Constraints::new(constraints.into());
    assert!(!constraints.exclude("other", &agent()));
    constraints.exclude("r", &agent())
}

#[test]
fn each_predicate_on_texts_other_values_and_nothing() {
    let table = [
        (exists(), [true, true, false]),
        (not_exists(), [false, false, true]),
        (equals("a"), [true, true, false]),
        (equals("b"), [false, true, false]),
        (not_equals("a"), [false, true, true]),
        (not_equals("b"), [true, true, true]),
        (matches("[a-c]"), [true, true, false]),
        (matches("[b-c]"), [false, true, false]),
        (not_matches("[a-c]"), [false, true, true]),
        (not_matches("a."), [true, true, true]),
    ];
    for (predicate, expected) in table {
        for (name, expected) in ["rack", "level", "absent"].into_iter().zip(expected) {
            let only = vec![vec![constraint(attribute(name), predicate.clone())]];
            assert_eq!(excluded(only), !expected, "{predicate:?} on {name}");
        }
    }
}

#[test]
fn one_group_must_hold_with_all_its_constraints() {
    let holds = || constraint(attribute("rack"), equals("a"));
    let fails = || constraint(attribute("rack"), equals("b"));
    assert!(!excluded(vec![vec![fails()], vec![holds(), holds()]]));
    assert!(excluded(vec![vec![fails(), holds()], vec![fails()]]));
}

#[test]
fn the_hostname_and_the_fault_domain_can_be_selected() {
    let hostname = Selector {
        pseudoattribute_type: Some(PseudoattributeType::Hostname.into()),
        ..Selector::default()
    };
    assert!(!excluded(vec![vec![constraint(
        hostname,
        equals("node-7")
    )]]));
    let zone = Selector {
        pseudoattribute_type: Some(PseudoattributeType::Zone.into()),
        ..Selector::default()
    };
    assert!(excluded(vec![vec![constraint(zone, exists())]]));
}

#[test]
fn of_attributes_with_one_name_the_first_counts() {
    let mut agent = agent();
    let mut second = agent.attributes[0].clone();
    second.text = Some(value::Text { value: "b".into() });
    agent.attributes.push(second);
    for (regex, expected) in [("a", false), ("b", true)] {
        let group = Group {
            attribute_constraints: vec![constraint(attribute("rack"), matches(regex))],
        };
        let role_constraints = RoleConstraints {
            groups: vec![group],
        };
        let told = OfferConstraints {
            role_constraints: BTreeMap::from([("r".to_owned(), role_constraints)]),
        };
        assert_eq!(Constraints::new(told.into()).exclude("r", &agent), expected);
    }
}

#[test]
fn each_role_has_its_own_and_none_rules_out_nothing() {
    let only = |regex| RoleConstraints {
        groups: vec![Group {
            attribute_constraints: vec![constraint(attribute("rack"), matches(regex))],
        }],
    };
    let roles = [("r".to_owned(), only("a")), ("s".to_owned(), only("b"))];
    let told = OfferConstraints {
        role_constraints: BTreeMap::from(roles),
    };
    let both = Constraints::new(told.into());
    assert!(!both.exclude("r", &agent()));
    assert!(both.exclude("s", &agent()));
    let none = Constraints::new(OfferConstraints::default().into());
    assert!(!none.exclude("r", &agent()));
}
