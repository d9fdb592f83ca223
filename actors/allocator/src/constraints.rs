//! Offer constraints: on which agents a framework wants no offers under a role.
//!
//! Owns the meaning of selectors and predicates. Never validates them: the master refuses malformed
//! ones. Source: Mesos `src/master/allocator/mesos/offer_constraints_filter.cpp`.

use std::{collections::HashMap, sync::Arc};

use regex::bytes::Regex;
use tepui_protocol::{
    pattern,
    v1::{
        AgentInfo,
        scheduler::{
            AttributeConstraint, OfferConstraints,
            attribute_constraint::{Predicate, Selector, selector::PseudoattributeType},
        },
        value,
    },
};

/// What a selector finds on an agent.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    /// An attribute that is no text satisfies every predicate on texts.
    Other,
}

/// The constraints of a framework with their patterns compiled.
#[derive(Debug)]
pub struct Constraints {
    told: Arc<OfferConstraints>,
    patterns: HashMap<String, Regex>,
}

impl Constraints {
    pub fn new(told: Arc<OfferConstraints>) -> Self {
        let groups = told.role_constraints.values().flat_map(|it| &it.groups);
        let constraints = groups.flat_map(|group| &group.attribute_constraints);
        let patterns = constraints.filter_map(pattern::of).filter_map(|text| {
            // The master refuses what does not compile, so that nothing is left out here.
            let compiled = pattern::compile(text).ok()?;
            Some((text.to_owned(), compiled))
        });
        let patterns = patterns.collect();
        Self { told, patterns }
    }

    /// Whether there are any for this role.
    pub fn concern(&self, role: &str) -> bool {
        self.told.role_constraints.contains_key(role)
    }

    /// Whether the constraints of `role` rule the agent out: none of their groups holds.
    pub fn exclude(&self, role: &str, agent: &AgentInfo) -> bool {
        let constraints = self.told.role_constraints.get(role);
        constraints.is_some_and(|constraints| {
            !constraints.groups.iter().any(|group| {
                let mut all = group.attribute_constraints.iter();
                all.all(|constraint| self.holds(constraint, agent))
            })
        })
    }

    fn holds(&self, constraint: &AttributeConstraint, agent: &AgentInfo) -> bool {
        let found = find(&constraint.selector, agent);
        let matches = |text: &str| {
            let compiled = pattern::of(constraint).and_then(|it| self.patterns.get(it));
            compiled.is_some_and(|compiled| compiled.is_match(text.as_bytes()))
        };
        let Predicate {
            exists,
            not_exists,
            text_equals,
            text_not_equals,
            text_matches,
            text_not_matches,
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
        if text_matches.is_some() {
            return match found {
                Found::Nothing => false,
                Found::Text(text) => matches(text),
                Found::Other => true,
            };
        }
        if text_not_matches.is_some() {
            return !matches!(found, Found::Text(text) if matches(text));
        }
        true
    }
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
