//! Offer constraints: on which agents a framework wants no offers under a role.
//!
//! Owns the meaning of selectors and predicates. Never validates them: the master refuses malformed
//! ones. Source: Mesos `src/master/allocator/mesos/offer_constraints_filter.cpp`.

use tepui_protocol::v1::{
    AgentInfo,
    scheduler::{
        AttributeConstraint, OfferConstraints,
        attribute_constraint::{Predicate, Selector, selector::PseudoattributeType},
    },
    value,
};

/// What a selector finds on an agent.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute that is no text satisfies every predicate on texts.
    Other,
}

/// Whether the constraints of `role` rule the agent out: none of their groups holds.
pub fn excluded_by_constraints(
    constraints: &OfferConstraints,
    role: &str,
    agent: &AgentInfo,
) -> bool {
    constraints
        .role_constraints
        .get(role)
        .is_some_and(|constraints| {
            !constraints.groups.iter().any(|group| {
                let mut all = group.attribute_constraints.iter();
                all.all(|constraint| holds(constraint, agent))
            })
        })
}

fn holds(constraint: &AttributeConstraint, agent: &AgentInfo) -> bool {
    let found = find(&constraint.selector, agent);
    let Predicate {
        exists,
        not_exists,
        text_equals,
        text_not_equals,
        // Regular expressions are not evaluated: such an agent is offered, and may be declined.
        text_matches: _,
        text_not_matches: _,
    } = &constraint.predicate;
    if exists.is_some() {
        return !matches!(found, Found::Nothing);
    }
    if not_exists.is_some() {
        return matches!(found, Found::Nothing);
    }
    if let Some(wanted) = text_equals {
        return match found {
            Found::Nothing => false,
            Found::Text(text) => text == wanted.value,
            Found::Other => true,
        };
    }
    if let Some(unwanted) = text_not_equals {
        return !matches!(found, Found::Text(text) if text == unwanted.value);
    }
    true
}

fn find<'a>(selector: &Selector, agent: &'a AgentInfo) -> Found<'a> {
    if let Some(name) = &selector.attribute_name {
        let mut attributes = agent.attributes.iter();
        return match attributes.find(|attribute| attribute.name == *name) {
            None => Found::Nothing,
            Some(attribute) if attribute.r#type() != value::Type::Text => Found::Other,
            Some(attribute) => attribute
                .text
                .as_ref()
                .map_or(Found::Nothing, |text| Found::Text(&text.value)),
        };
    }
    let domain = agent.domain.as_ref();
    let fault_domain = domain.and_then(|domain| domain.fault_domain.as_ref());
    let text = match selector.pseudoattribute_type() {
        PseudoattributeType::Hostname => Some(&agent.hostname),
        PseudoattributeType::Region => fault_domain.map(|domain| &domain.region.name),
        PseudoattributeType::Zone => fault_domain.map(|domain| &domain.zone.name),
        PseudoattributeType::Unknown => None,
    };
    text.map_or(Found::Nothing, |text| Found::Text(text))
}

#[cfg(test)]
#[path = "constraints_tests.rs"]
mod tests;
