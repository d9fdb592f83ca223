//! The form of offer constraints.

use super::Reason;
use crate::codec::protobuf;
use crate::pattern;
use crate::v1::scheduler::{AttributeConstraint, OfferConstraints, attribute_constraint};
use attribute_constraint::selector::PseudoattributeType;

/// Bytes that a framework may have of them: a master keeps them, tells all who read, and matches them against each agent.
const MAX_BYTES: usize = 256 << 10;
/// More patterns no framework needs, and each costs memory.
const MAX_PATTERNS: usize = 1000;

/// Groups are non-empty, and each constraint has one selector and one predicate.
///
/// # Errors
/// The first in order of roles (Mesos' order is that of a hash map).
pub fn validate(constraints: &OfferConstraints) -> Reason {
    let bytes = protobuf::size(constraints);
    if bytes > MAX_BYTES {
        return Err(format!(
            "'OfferConstraints' has {bytes} bytes; at most {MAX_BYTES} are kept: give it fewer groups"
        ));
    }
    let mut patterns = 0;
    for (role, role_constraints) in &constraints.role_constraints {
        if role_constraints.groups.is_empty() {
            return Err(format!(
                "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
            ));
        }
        for group in &role_constraints.groups {
            if group.attribute_constraints.is_empty() {
                // Mesos forgets a space here, and clients may look for the sentence.
                return Err(format!(
                    "'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty RoleConstraints::Group"
                ));
            }
            for constraint in &group.attribute_constraints {
                let checked = validate_one(constraint)
                    .and_then(|()| validate_pattern(constraint, &mut patterns));
                checked.map_err(|reason| {
                    format!("A role {role} has an invalid 'AttributeConstraint': {reason}")
                })?;
            }
        }
    }
    Ok(())
}

fn validate_one(constraint: &AttributeConstraint) -> Reason {
    let selector = &constraint.selector;
    match (&selector.attribute_name, selector.pseudoattribute_type) {
        (Some(_), None) => {}
        (None, Some(_)) if selector.pseudoattribute_type() == PseudoattributeType::Unknown => {
            return Err("Unknown pseudoattribute type".into());
        }
        (None, Some(_)) => {}
        _ => {
            return Err("Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set".into());
        }
    }
    let predicate = &constraint.predicate;
    let predicates = [
        predicate.exists.is_some(),
        predicate.not_exists.is_some(),
        predicate.text_equals.is_some(),
        predicate.text_not_equals.is_some(),
        predicate.text_matches.is_some(),
        predicate.text_not_matches.is_some(),
    ];
    match predicates.iter().filter(|set| **set).count() {
        1 => Ok(()),
        0 => Err("Unknown predicate type".into()),
        _ => Err("Exactly one predicate must be set".into()),
    }
}

fn validate_pattern(constraint: &AttributeConstraint, patterns: &mut usize) -> Reason {
    let Some(pattern) = pattern::of(constraint) else {
        return Ok(());
    };
    *patterns += 1;
    if *patterns > MAX_PATTERNS {
        return Err(format!(
            "There are more than {MAX_PATTERNS} patterns in all; use fewer, or text_equals"
        ));
    }
    pattern::compile(pattern).map(drop)
}

#[cfg(test)]
#[path = "constraints_tests.rs"]
mod tests;
