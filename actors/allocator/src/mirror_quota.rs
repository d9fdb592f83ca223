//! What quota allows, computed from its definition alone, by looking at everything each time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tepui_protocol::{
    resources::{Quantity, Resources},
    roles,
    v1::{quota::QuotaConfig, value::Scalar},
};

use crate::{
    mirror::{Mirror, MirroredAgent},
    scene::{agent_id, framework_id},
    world::World,
};

type Amounts = BTreeMap<String, i64>;

const UNITS: [(&str, i64); 2] = [("cpus", 500), ("mem", 256_000)];

/// Guarantees and limits in thousandths, by role.
#[derive(Default)]
pub(crate) struct Quota {
    roles: BTreeMap<String, (Amounts, Amounts)>,
}

/// What is consumed by each role that has quota, and what nobody holds.
pub(crate) struct Standing {
    consumed: BTreeMap<String, Amounts>,
    available: Amounts,
}

fn is_in(role: &str, above: &str) -> bool {
    role == above || roles::is_strict_subrole_of(role, above)
}

fn add(amounts: &mut Amounts, resources: &Resources, sign: i64) {
    for (name, amount) in resources.quantities() {
        *amounts.entry(name.as_str().to_owned()).or_default() += sign * amount.thousandths();
    }
}

fn of(amounts: &Amounts, name: &str) -> i64 {
    amounts.get(name).copied().unwrap_or(0)
}

impl Quota {
    /// In the units of [`UNITS`]; of two entries for one role the latter holds.
    pub(crate) fn new<'a>(
        entries: impl Iterator<Item = (&'a str, [Option<u8>; 2], [Option<u8>; 2])>,
    ) -> Self {
        let amounts = |values: [Option<u8>; 2]| -> Amounts {
            let pairs = UNITS.iter().zip(values);
            pairs
                .filter_map(|((name, unit), value)| {
                    Some(((*name).to_owned(), unit * i64::from(value?)))
                })
                .collect()
        };
        let roles = entries.map(|(role, guarantees, limits)| {
            (role.to_owned(), (amounts(guarantees), amounts(limits)))
        });
        Self {
            roles: roles.collect(),
        }
    }

    pub(crate) fn configs(&self) -> Vec<QuotaConfig> {
        let scalars = |amounts: &Amounts| {
            let pairs = amounts.iter();
            pairs
                .map(|(name, amount)| {
                    let value = Quantity(*amount).to_f64();
                    (name.clone(), Scalar { value })
                })
                .collect()
        };
        let roles = self.roles.iter();
        roles
            .map(|(role, (guarantees, limits))| QuotaConfig {
                role: role.clone(),
                guarantees: scalars(guarantees),
                limits: scalars(limits),
            })
            .collect()
    }

    /// The roles with quota that are right below another, or the topmost.
    fn children(&self, parent: Option<&str>) -> Vec<&str> {
        let below = |role: &str| parent.is_none_or(|it| roles::is_strict_subrole_of(role, it));
        let all: Vec<&str> = self.roles.keys().map(String::as_str).collect();
        let is_between = |role: &str| {
            let mut others = all.iter();
            others.any(|other| below(other) && roles::is_strict_subrole_of(role, other))
        };
        let children = all.iter().copied();
        children
            .filter(|role| below(role) && !is_between(role))
            .collect()
    }

    fn required(&self, standing: &Standing, role: &str, name: &str) -> i64 {
        let unmet = of(&self.roles[role].0, name) - of(&standing.consumed[role], name);
        unmet.max(self.required_below(standing, Some(role), name))
    }

    fn required_below(&self, standing: &Standing, role: Option<&str>, name: &str) -> i64 {
        let children = self.children(role).into_iter();
        children
            .map(|child| self.required(standing, child, name).max(0))
            .sum()
    }

    /// How much more of a name a client of the role may get.
    fn allowed(&self, standing: &Standing, role: &str, name: &str) -> i64 {
        let required = self.required_below(standing, None, name);
        let mut headroom = match required {
            0 => i64::MAX,
            _ => (of(&standing.available, name) - required).max(0),
        };
        let mut rest = i64::MAX;
        for above in self.roles.keys().filter(|above| is_in(role, above)) {
            let own = self.required(standing, above, name)
                - self.required_below(standing, Some(above), name);
            headroom = headroom.saturating_add(own.max(0));
            if let Some(limit) = self.roles[above].1.get(name) {
                rest = rest.min((limit - of(&standing.consumed[above], name)).max(0));
            }
        }
        headroom.min(rest)
    }

    /// Between two moments with nothing but offers in between: no limit was passed, and no more is missing
    /// for guarantees than before.
    pub(crate) fn check(&self, before: &Standing, after: &Standing) -> Result<(), TestCaseError> {
        for (role, (_, limits)) in &self.roles {
            for (name, limit) in limits {
                let (was, is) = (
                    of(&before.consumed[role], name),
                    of(&after.consumed[role], name),
                );
                prop_assert!(is <= *limit.max(&was), "{role}: {is} {name} of {limit}");
            }
        }
        for (name, _) in UNITS {
            let missing = |standing: &Standing| {
                self.required_below(standing, None, name) - of(&standing.available, name)
            };
            let (was, is) = (missing(before), missing(after));
            prop_assert!(
                is <= was.max(0),
                "{is} {name} missing for guarantees, not {was}"
            );
        }
        Ok(())
    }
}

impl Mirror {
    pub(crate) fn standing(&self) -> Standing {
        let mut available = Amounts::new();
        for MirroredAgent { total, .. } in self.totals.values() {
            add(&mut available, &total.unreserved().scalars(), 1);
        }
        for held in self.held.values() {
            add(&mut available, &held.unreserved().scalars(), -1);
        }
        let consumed = self.quota.roles.keys().map(|above| {
            let mut consumed = Amounts::new();
            for MirroredAgent { total, .. } in self.totals.values() {
                add(
                    &mut consumed,
                    &total.reserved_to_subtree(above).scalars(),
                    1,
                );
            }
            for ((_, _, role), held) in &self.held {
                if is_in(role, above) {
                    add(&mut consumed, &held.unreserved().scalars(), 1);
                }
            }
            (above.clone(), consumed)
        });
        Standing {
            consumed: consumed.collect(),
            available,
        }
    }

    /// Whom nothing is refused by may have nothing more on any agent.
    pub(crate) fn check_nothing_is_left(&self, world: &World) -> Result<(), TestCaseError> {
        let standing = self.standing();
        for agent in self.totals.keys() {
            let free = self.free(agent).unwrap();
            for (framework, known) in &self.frameworks {
                let takes = known.active && self.may_be_offered(agent, known);
                let roles: BTreeSet<&String> = known.roles.difference(&known.suppressed).collect();
                for role in roles.into_iter().filter(|_| takes) {
                    let mut offer = Amounts::new();
                    add(&mut offer, &free.unreserved().scalars(), 1);
                    for (name, amount) in &mut offer {
                        *amount = self.quota.allowed(&standing, role, name).min(*amount);
                    }
                    add(
                        &mut offer,
                        &free.allocatable_to(role).reserved().scalars(),
                        1,
                    );
                    let is_worth_it = known.is_worth(role, |name| of(&offer, name));
                    let client = world.client(&framework_id(framework), role).unwrap();
                    let place = world.agent(&agent_id(agent)).unwrap();
                    let owner = world.clients[client].framework;
                    let is_refused = world.filters.of(client, place).next().is_some()
                        || world.holds.of(owner, place).next().is_some();
                    prop_assert!(
                        !is_worth_it || is_refused,
                        "{framework} under {role} could have {offer:?} of {agent}"
                    );
                }
            }
        }
        Ok(())
    }
}
