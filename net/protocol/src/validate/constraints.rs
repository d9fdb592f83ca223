//! The form of offer constraints. Regular expressions are built, and bounded, where they are used.

use super::Reason;
use crate::v1::scheduler::{AttributeConstraint, OfferConstraints, attribute_constraint};
use attribute_constraint::selector::PseudoattributeType;

/// Groups are non-empty, and each constraint has one selector and one predicate.
///
/// # Errors
/// The first in order of roles (Mesos' order is that of a hash map).
pub fn validate(constraints: &OfferConstraints) -> Reason {
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
                validate_one(constraint).map_err(|reason| {
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
