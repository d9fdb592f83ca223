//! The lists as JSON. What is not known is an error that names it: a rule that is not understood must not be taken
//! for one that allows.

use serde_json::{Map, Value};

use super::{Acls, Action, Entity, Objects, Rule};

/// Endpoints that `get_endpoints` may name: Mesos' own, and ours beside them.
pub const AUTHORIZABLE_PATHS: &[&str] = &[
    "/admin",
    "/allocator/offer_constraints_debug",
    "/containerizer/debug",
    "/containers",
    "/files/debug",
    "/logging/toggle",
    "/metrics",
    "/metrics/snapshot",
    "/monitor/statistics",
    "/tepui/v1/allocator",
    "/tepui/v1/cluster",
    "/tepui/v1/cluster/backup",
    "/tepui/v1/offers",
    "/tepui/v1/why",
];

/// What is wrong with the lists, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AclsError {
    #[error("no JSON: {0}")]
    Syntax(String),
    #[error("{place} is not {expected}")]
    Type {
        place: String,
        expected: &'static str,
    },
    #[error("{place} has an unknown field '{field}'; expected {expected}")]
    UnknownField {
        place: String,
        field: String,
        expected: String,
    },
    #[error("{place} has no '{field}'")]
    MissingField { place: String, field: &'static str },
    #[error("{place} has the type '{kind}'; expected SOME, ANY or NONE")]
    UnknownType { place: String, kind: String },
    #[error(
        "{place} names single objects; expected {{\"type\": \"ANY\"}} or {{\"type\": \"NONE\"}}"
    )]
    NotWhole { place: String },
    #[error("{place} names '{path}', which cannot be refused; expected one of {}", AUTHORIZABLE_PATHS.join(", "))]
    UnknownPath { place: String, path: String },
    #[error("{place} names the role '{role}'; '%' may only stand at the end, after a slash")]
    Wildcard { place: String, role: String },
}

impl Acls {
    /// Reads `{"permissive": false, "run_tasks": [{"principals": {"values": ["fw"]}, "users": {"type": "ANY"}}]}`.
    ///
    /// # Errors
    /// See [`AclsError`].
    pub fn from_json(text: &str) -> Result<Acls, AclsError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| AclsError::Syntax(error.to_string()))?;
        let fields = object(&value, "the whole")?;
        let mut acls = Acls::default();
        for (name, value) in fields {
            if name == "permissive" {
                acls.permissive = value.as_bool().ok_or_else(|| AclsError::Type {
                    place: name.clone(),
                    expected: "true or false",
                })?;
                continue;
            }
            let action = Action::of_list(name).ok_or_else(|| {
                let mut known: Vec<&str> = Action::ALL.iter().map(|action| action.list()).collect();
                known.push("permissive");
                unknown("the whole", name, &known)
            })?;
            acls.lists.insert(action, rules(action, value)?);
        }
        Ok(acls)
    }
}

fn rules(action: Action, list: &Value) -> Result<Vec<Rule>, AclsError> {
    let list = list.as_array().ok_or_else(|| AclsError::Type {
        place: action.list().to_string(),
        expected: "a list",
    })?;
    let places = (0..).map(|index: usize| format!("{}[{index}]", action.list()));
    list.iter()
        .zip(places)
        .map(|(rule, place)| {
            let fields = object(rule, &place)?;
            for field in fields.keys() {
                if field != "principals" && field != action.key() {
                    return Err(unknown(&place, field, &["principals", action.key()]));
                }
            }
            let principals = entity(fields, &place, "principals")?;
            let objects = entity(fields, &place, action.key())?;
            check_objects(action, &objects, &format!("{place}.{}", action.key()))?;
            Ok(Rule {
                principals,
                objects,
            })
        })
        .collect()
}

fn entity(
    rule: &Map<String, Value>,
    place: &str,
    field: &'static str,
) -> Result<Entity, AclsError> {
    let value = rule.get(field).ok_or_else(|| AclsError::MissingField {
        place: place.to_string(),
        field,
    })?;
    let place = format!("{place}.{field}");
    let fields = object(value, &place)?;
    if let Some(field) = fields.keys().find(|it| *it != "type" && *it != "values") {
        return Err(unknown(&place, field, &["type", "values"]));
    }
    let is_not = |what: &str, expected| AclsError::Type {
        place: format!("{place}.{what}"),
        expected,
    };
    let kind = fields.get("type").map(|kind| kind.as_str());
    let kind = kind.map(|kind| kind.ok_or_else(|| is_not("type", "a text")));
    match kind.transpose()?.unwrap_or("SOME") {
        "ANY" => Ok(Entity::Any),
        "NONE" => Ok(Entity::None),
        "SOME" => {
            let values = fields
                .get("values")
                .map_or(Some(&[][..]), |values| values.as_array().map(Vec::as_slice));
            let values = values.ok_or_else(|| is_not("values", "a list"))?;
            let text = |value: &Value| {
                let text = value.as_str().map(str::to_string);
                text.ok_or_else(|| is_not("values", "a list of texts"))
            };
            Ok(Entity::Some(
                values.iter().map(text).collect::<Result<_, _>>()?,
            ))
        }
        kind => Err(AclsError::UnknownType {
            kind: kind.to_string(),
            place,
        }),
    }
}

fn check_objects(action: Action, objects: &Entity, place: &str) -> Result<(), AclsError> {
    let Entity::Some(values) = objects else {
        return Ok(());
    };
    let place = || place.to_string();
    match action.objects() {
        Objects::Names => Ok(()),
        Objects::Whole => Err(AclsError::NotWhole { place: place() }),
        Objects::Paths => {
            let mut values = values.iter();
            let strange = values.find(|path| !AUTHORIZABLE_PATHS.contains(&path.as_str()));
            strange.map_or(Ok(()), |path| {
                Err(AclsError::UnknownPath {
                    place: place(),
                    path: path.clone(),
                })
            })
        }
        Objects::Roles => {
            let misplaced = |role: &&String| {
                let parent = role.strip_suffix("/%").unwrap_or(role);
                parent.contains('%') || parent.is_empty()
            };
            let mut values = values.iter();
            values.find(misplaced).map_or(Ok(()), |role| {
                Err(AclsError::Wildcard {
                    place: place(),
                    role: role.clone(),
                })
            })
        }
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, AclsError> {
    value.as_object().ok_or_else(|| AclsError::Type {
        place: place.to_string(),
        expected: "a JSON object",
    })
}

fn unknown(place: &str, field: &str, expected: &[&str]) -> AclsError {
    AclsError::UnknownField {
        place: place.to_string(),
        field: field.to_string(),
        expected: expected.join(", "),
    }
}
