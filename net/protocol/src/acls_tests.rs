use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use Action::{ReserveResources, RunTasks, ViewFlags};

fn acls(lists: Value) -> Acls {
    Acls::from_json(&lists.to_string()).unwrap()
}

fn some(values: &[&str]) -> Value {
    json!({ "values": values })
}

fn any() -> Value {
    json!({"type": "ANY"})
}

fn none() -> Value {
    json!({"type": "NONE"})
}

/// One rule of a list.
fn rule(action: Action, principals: &Value, objects: &Value) -> Value {
    json!({"principals": principals, action.key(): objects})
}

/// The rules of one list, and what holds where none concerns a request.
fn of(action: Action, permissive: bool, rules: &[(Value, Value)]) -> Acls {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(principals, objects)| rule(action, principals, objects))
        .collect();
    acls(json!({"permissive": permissive, action.list(): rules}))
}

/// Lists whose rules name single objects.
fn naming() -> impl Iterator<Item = Action> {
    let all = Action::ALL.iter().copied();
    all.filter(|action| matches!(action.objects(), Objects::Names | Objects::Roles))
}

#[test]
fn without_lists_everything_is_allowed_unless_said_otherwise() {
    for action in Action::ALL {
        for principal in [None, Some("p")] {
            for object in [None, Some("o")] {
                assert!(Acls::default().allows(*action, principal, object));
                let strict = acls(json!({"permissive": false}));
                assert!(!strict.allows(*action, principal, object));
            }
        }
    }
}

/// Authorization tests of Mesos, `AnyPrincipalRunAsUser` and its kin, for each list that names objects.
#[test]
fn anybody_may_what_one_rule_lets_anybody() {
    for action in naming() {
        let lists = of(action, true, &[(any(), some(&["guest"])), (any(), none())]);
        for principal in [None, Some("foo"), Some("bar")] {
            assert!(lists.allows(action, principal, Some("guest")), "{action:?}");
            assert!(!lists.allows(action, principal, Some("root")), "{action:?}");
            assert!(!lists.allows(action, principal, None), "{action:?}");
        }
    }
}

#[test]
fn nobody_may_what_a_rule_lets_nobody() {
    for action in naming() {
        let lists = of(action, true, &[(none(), some(&["root"]))]);
        for principal in [None, Some("foo")] {
            assert!(!lists.allows(action, principal, Some("root")), "{action:?}");
            assert!(lists.allows(action, principal, Some("other")), "{action:?}");
        }
    }
}

#[test]
fn some_may_all_and_the_rest_nothing() {
    for action in naming() {
        let lists = of(action, true, &[(some(&["foo"]), any()), (any(), none())]);
        for object in [None, Some("u"), Some("v")] {
            assert!(lists.allows(action, Some("foo"), object), "{action:?}");
            assert!(!lists.allows(action, Some("bar"), object), "{action:?}");
            assert!(!lists.allows(action, None, object), "{action:?}");
        }
    }
}

#[test]
fn some_may_only_some() {
    for action in naming() {
        let lists = of(
            action,
            true,
            &[
                (some(&["foo", "bar"]), some(&["u", "v"])),
                (some(&["foo"]), none()),
                (any(), some(&["w"])),
            ],
        );
        for principal in ["foo", "bar"] {
            assert!(lists.allows(action, Some(principal), Some("u")));
            assert!(lists.allows(action, Some(principal), Some("v")));
        }
        assert!(
            !lists.allows(action, Some("foo"), Some("w")),
            "the first that concerns both"
        );
        assert!(lists.allows(action, Some("bar"), Some("w")));
        assert!(
            lists.allows(action, Some("bar"), Some("x")),
            "no rule says anything"
        );
    }
}

#[test]
fn what_no_rule_concerns_is_refused_where_lists_are_strict() {
    for action in naming() {
        let lists = of(action, false, &[(some(&["foo"]), some(&["guest"]))]);
        assert!(lists.allows(action, Some("foo"), Some("guest")));
        assert!(!lists.allows(action, Some("foo"), Some("root")));
        assert!(!lists.allows(action, Some("bar"), Some("guest")));
        assert!(!lists.allows(action, None, Some("guest")));
        assert!(
            !lists.allows(action, Some("foo"), None),
            "any of them is more than that one"
        );
    }
}

/// Mesos' tests of actions whose objects cannot be named (`ViewFlags`, `SetLogLevel`, `DrainAgent` …).
#[test]
fn what_has_no_name_is_allowed_or_refused_as_a_whole() {
    let whole = Action::ALL
        .iter()
        .copied()
        .filter(|it| it.objects() == Objects::Whole);
    for action in whole {
        let lists = of(action, true, &[(some(&["foo"]), any()), (any(), none())]);
        assert!(lists.allows(action, Some("foo"), None), "{action:?}");
        assert!(!lists.allows(action, Some("bar"), None), "{action:?}");
        assert!(!lists.allows(action, None, None), "{action:?}");
        let lists = of(action, true, &[(some(&["foo"]), none())]);
        assert!(!lists.allows(action, Some("foo"), None), "{action:?}");
        assert!(lists.allows(action, Some("bar"), None), "{action:?}");
    }
}

/// Mesos: `AuthorizationTest.RegisterFrameworkHierarchical`, `Reserve`, `ViewRole` and their kin.
#[test]
fn a_role_and_a_wildcard_is_all_below_it() {
    let roles = Action::ALL
        .iter()
        .copied()
        .filter(|it| it.objects() == Objects::Roles);
    for action in roles {
        let lists = of(
            action,
            true,
            &[
                (some(&["elizabeth"]), some(&["king/%", "king"])),
                (some(&["charles"]), some(&["king/%"])),
                (some(&["bob"]), some(&["king"])),
                (any(), none()),
            ],
        );
        for (principal, role, expected) in [
            ("elizabeth", "king", true),
            ("elizabeth", "king/prince", true),
            ("elizabeth", "king/prince/duke", true),
            ("elizabeth", "kingdom", false),
            ("elizabeth", "queen/king/prince", false),
            ("charles", "king", false),
            ("charles", "king/prince", true),
            ("bob", "king", true),
            ("bob", "king/prince", false),
        ] {
            let allowed = lists.allows(action, Some(principal), Some(role));
            assert_eq!(allowed, expected, "{action:?} {principal} {role}");
        }
    }
    let users = of(RunTasks, false, &[(any(), some(&["king/%"]))]);
    assert!(
        !users.allows(RunTasks, None, Some("king/prince")),
        "users have no tree"
    );
}

#[test]
fn a_bad_file_is_refused_with_its_place() {
    for (text, expected) in [
        ("[]", "the whole is not a JSON object"),
        ("{", "no JSON: "),
        (r#"{"permissive": "no"}"#, "permissive is not true or false"),
        (
            r#"{"run_task": []}"#,
            "the whole has an unknown field 'run_task'; expected register_frameworks, run_tasks",
        ),
        (r#"{"run_tasks": {}}"#, "run_tasks is not a list"),
        (r#"{"run_tasks": [1]}"#, "run_tasks[0] is not a JSON object"),
        (
            r#"{"run_tasks": [{"principals": {"type": "ANY"}}]}"#,
            "run_tasks[0] has no 'users'",
        ),
        (
            r#"{"run_tasks": [{"principals": {"type": "ANY"}, "roles": {"type": "ANY"}}]}"#,
            "run_tasks[0] has an unknown field 'roles'; expected principals, users",
        ),
        (
            r#"{"run_tasks": [{"principals": {"kind": "ANY"}, "users": {"type": "ANY"}}]}"#,
            "run_tasks[0].principals has an unknown field 'kind'; expected type, values",
        ),
        (
            r#"{"run_tasks": [{"principals": {"type": "any"}, "users": {"type": "ANY"}}]}"#,
            "run_tasks[0].principals has the type 'any'; expected SOME, ANY or NONE",
        ),
        (
            r#"{"run_tasks": [{"principals": {"values": ["a", 1]}, "users": {"type": "ANY"}}]}"#,
            "run_tasks[0].principals.values is not a list of texts",
        ),
        (
            r#"{"view_flags": [{"principals": {"type": "ANY"}, "flags": {"values": ["ip"]}}]}"#,
            r#"view_flags[0].flags names single objects; expected {"type": "ANY"} or {"type": "NONE"}"#,
        ),
        (
            r#"{"get_endpoints": [{"principals": {"type": "ANY"}, "paths": {"values": ["/frameworks"]}}]}"#,
            "get_endpoints[0].paths names '/frameworks', which cannot be refused; expected one of /admin",
        ),
        (
            r#"{"view_roles": [{"principals": {"type": "ANY"}, "roles": {"values": ["a%"]}}]}"#,
            "view_roles[0].roles names the role 'a%'; '%' may only stand at the end, after a slash",
        ),
    ] {
        let error = Acls::from_json(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn each_list_can_be_written_and_has_a_name_of_its_own() {
    for action in Action::ALL {
        assert_eq!(Action::of_list(action.list()), Some(*action));
        let lists = of(*action, true, &[(any(), none())]);
        assert!(!lists.allows(*action, Some("p"), None));
        assert!(lists.allows(
            if *action == ViewFlags {
                RunTasks
            } else {
                ViewFlags
            },
            None,
            None
        ));
    }
}

/// Mesos' two matrices, word by word, beside the evaluation in one step.
mod oracle {
    use super::*;

    #[derive(Clone)]
    enum Asked {
        Some(String),
        Any,
    }

    fn matches(request: &Asked, acl: &Entity) -> bool {
        match (request, acl) {
            (_, Entity::None) | (_, Entity::Any) => true,
            (Asked::Any, Entity::Some(_)) => false,
            (Asked::Some(value), Entity::Some(values)) => values.contains(value),
        }
    }

    fn permits(request: &Asked, acl: &Entity) -> bool {
        match (request, acl) {
            (_, Entity::Any) => true,
            (_, Entity::None) | (Asked::Any, Entity::Some(_)) => false,
            (Asked::Some(value), Entity::Some(values)) => values.contains(value),
        }
    }

    /// One rule for each subtree, and one for the rest.
    fn split(rules: &[Rule]) -> Vec<Rule> {
        let mut all = Vec::new();
        for rule in rules {
            let Entity::Some(values) = &rule.objects else {
                all.push(rule.clone());
                continue;
            };
            let (trees, plain): (Vec<&String>, Vec<&String>) =
                values.iter().partition(|value| value.ends_with("/%"));
            let with = |values: Vec<String>| Rule {
                principals: rule.principals.clone(),
                objects: Entity::Some(values),
            };
            all.extend(trees.into_iter().map(|tree| with(vec![tree.clone()])));
            all.push(with(plain.into_iter().cloned().collect()));
        }
        all
    }

    pub(super) fn allows(
        rules: &[Rule],
        permissive: bool,
        tree: bool,
        principal: Option<&str>,
        object: Option<&str>,
    ) -> bool {
        let asked =
            |name: Option<&str>| name.map_or(Asked::Any, |name| Asked::Some(name.to_string()));
        let (subject, object) = (asked(principal), asked(object));
        let rules = if tree { split(rules) } else { rules.to_vec() };
        for rule in rules {
            if let (true, Entity::Some(values), Asked::Some(role)) = (tree, &rule.objects, &object)
                && let [value] = &values[..]
                && let Some(parent) = value.strip_suffix('%')
                && parent.ends_with('/')
            {
                if role.starts_with(parent) && matches(&subject, &rule.principals) {
                    return permits(&subject, &rule.principals);
                }
                continue;
            }
            if matches(&subject, &rule.principals) && matches(&object, &rule.objects) {
                return permits(&subject, &rule.principals) && permits(&object, &rule.objects);
            }
        }
        permissive
    }
}

fn entity(names: &'static [&'static str]) -> impl Strategy<Value = Entity> {
    let values = proptest::collection::vec(proptest::sample::select(names), 0..3);
    prop_oneof![
        3 => values.prop_map(|values| Entity::Some(values.into_iter().map(str::to_string).collect())),
        1 => Just(Entity::Any),
        1 => Just(Entity::None),
    ]
}

const PRINCIPALS: &[&str] = &["p", "q"];
const OBJECTS: &[&str] = &["a", "a/%", "a/b", "a/b/%", "c"];

proptest! {
    #[test]
    fn the_evaluation_is_that_of_mesos(
        rules in proptest::collection::vec((entity(PRINCIPALS), entity(OBJECTS)), 0..5),
        permissive: bool,
    ) {
        let rules: Vec<Rule> = rules.into_iter().map(|(principals, objects)| Rule { principals, objects }).collect();
        for action in [ReserveResources, RunTasks] {
            let acls = Acls::new(permissive, BTreeMap::from([(action, rules.clone())]));
            let tree = action.objects() == Objects::Roles;
            for principal in [None, Some("p"), Some("q"), Some("r")] {
                let mut all = true;
                for object in [None, Some("a"), Some("a/b"), Some("a/b/c"), Some("a/%"), Some("c"), Some("d")] {
                    let expected = oracle::allows(&rules, permissive, tree, principal, object);
                    prop_assert_eq!(acls.allows(action, principal, object), expected, "{:?} {:?}", principal, object);
                    all &= expected;
                }
                prop_assert!(all || !acls.allows_all(action, principal));
            }
        }
    }
}
