//! Who may do what: Mesos' access control lists, evaluated (Mesos: `authorizer/local/authorizer.cpp`).
//!
//! Owns the lists, how they are read and how they decide. Pure: who asks is known before, and nothing is looked up.
//! The rules of one list are tried in their order. The first that concerns both the principal and the object decides;
//! where none does, `permissive` does.

mod action;
mod objects;
mod read;

use std::{collections::BTreeMap, sync::Arc};

pub use action::{Action, Objects};
pub use objects::{is_user_name, user_of_executor, user_of_framework, user_of_task};
pub use read::{AUTHORIZABLE_PATHS, AclsError};

/// Principals, or objects, that a rule concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// These. Among roles `a/%` is all below `a`.
    Some(Vec<String>),
    /// All; also who has no name, and what has none.
    Any,
    /// The rule concerns all, and refuses all of them.
    None,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub principals: Entity,
    pub objects: Entity,
}

/// All lists. By default everything is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acls {
    permissive: bool,
    lists: BTreeMap<Action, Vec<Rule>>,
}

impl Default for Acls {
    fn default() -> Self {
        Acls {
            permissive: true,
            lists: BTreeMap::new(),
        }
    }
}

impl Acls {
    /// `permissive` is what holds where no rule concerns a request.
    pub fn new(permissive: bool, lists: BTreeMap<Action, Vec<Rule>>) -> Self {
        Acls { permissive, lists }
    }

    /// Whether `principal` may do this to the object; without a principal nobody proved who they are, without an
    /// object any of them is meant.
    pub fn allows(&self, action: Action, principal: Option<&str>, object: Option<&str>) -> bool {
        let below = action.objects() == Objects::Roles;
        for rule in self.rules(action) {
            let asker = rule.principals.verdict(principal, false);
            let asked = rule.objects.verdict(object, below);
            if let (Some(asker), Some(asked)) = (asker, asked) {
                return asker && asked;
            }
        }
        self.permissive
    }

    /// Whether `principal` may do this to every object there can be.
    pub fn allows_all(&self, action: Action, principal: Option<&str>) -> bool {
        for rule in self.rules(action) {
            let Some(asker) = rule.principals.verdict(principal, false) else {
                continue;
            };
            match rule.objects {
                Entity::Any => return asker,
                Entity::None => return false,
                Entity::Some(_) if !asker => return false,
                // Allows some, which a later rule may do for all.
                Entity::Some(_) => {}
            }
        }
        self.permissive
    }

    fn rules(&self, action: Action) -> &[Rule] {
        self.lists.get(&action).map_or(&[], Vec::as_slice)
    }
}

impl Entity {
    /// What this half of a rule says of a name, or of one without a name; `None` if it does not concern it. With
    /// `below` a value `a/%` stands for all roles below `a`.
    fn verdict(&self, name: Option<&str>, below: bool) -> Option<bool> {
        match (self, name) {
            (Entity::Any, _) => Some(true),
            (Entity::None, _) => Some(false),
            (Entity::Some(_), None) => None,
            (Entity::Some(values), Some(name)) => {
                let mut values = values.iter();
                let is_named = values.any(|value| match value.strip_suffix('%') {
                    Some(parent) if below && parent.ends_with('/') => name.starts_with(parent),
                    _ => value == name,
                });
                is_named.then_some(true)
            }
        }
    }
}

/// Somebody who asks, with the lists that say what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub acls: Arc<Acls>,
    pub principal: Option<String>,
}

impl Subject {
    /// Whether this subject may do this to the object, or, without one, to any.
    pub fn may(&self, action: Action, object: Option<&str>) -> bool {
        self.acls.allows(action, self.principal.as_deref(), object)
    }

    /// Whether this subject may do this to every object there can be.
    pub fn may_all(&self, action: Action) -> bool {
        self.acls.allows_all(action, self.principal.as_deref())
    }
}

#[cfg(test)]
#[path = "acls_tests.rs"]
mod tests;
