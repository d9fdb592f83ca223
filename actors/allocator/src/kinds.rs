//! What kinds of resources there are: everything about a resource but its amount, under a small integer.
//!
//! Owns the way between protocol resources and [`Bundle`]s. Never decides who may have what, but answers
//! the questions that are decided by: reserved for whom, revocable, shared, how deeply reserved.

use std::{collections::HashMap, fmt, sync::Arc};

use smallvec::SmallVec;
use tepui_protocol::{
    codec::protobuf,
    resources::{Quantity, Ranges},
    roles,
    v1::{
        Label, Resource, resource::ReservationInfo, resource::disk_info::source,
        resource::reservation_info, value,
    },
};

use crate::{
    bundle::{Bundle, Discrete},
    places::PlaceSet,
    slots::{Place, Slots, place},
};

place!(
    /// A kind of resource in [`Kinds`].
    KindIx
);

place!(
    /// The name of a scalar resource in [`Kinds`]; fair shares are computed by name.
    NameIx
);

/// Names of scalars that fair shares are computed over. Agents report these, so they are bounded; what
/// comes later is offered like the rest but weighs nothing.
const MAX_NAMES: usize = 256;
/// Kinds below this number are not worth looking for those no longer in use.
const MIN_KINDS_TO_SWEEP: usize = 1024;

/// Everything about a resource but its amount.
pub struct Kind {
    /// The protocol resource without value and allocation, reservations in the refined form.
    prototype: Resource,
    /// For scalars that count for fair shares.
    pub name: Option<NameIx>,
    pub is_gpus: bool,
    pub is_revocable: bool,
    /// Any number of frameworks may hold it at once; it never leaves what is free.
    pub is_shared: bool,
    /// A reservation upon a reservation.
    pub is_refined: bool,
    /// Unreserved and nothing special: anybody may have it.
    pub is_plain: bool,
    /// A part of it is worth something too: no whole disk.
    pub is_divisible: bool,
}

impl Kind {
    pub fn resource_name(&self) -> &str {
        &self.prototype.name
    }

    /// The name under which it is charged to the quota of whoever holds it: unreserved, non-revocable
    /// scalars are.
    pub fn charged_name(&self) -> Option<NameIx> {
        let is_charged = self.prototype.reservations.is_empty() && !self.is_revocable;
        self.name.filter(|_| is_charged)
    }

    /// The role it is reserved for, if any.
    pub fn reserved_role(&self) -> Option<&str> {
        let innermost = self.prototype.reservations.last()?;
        Some(innermost.role())
    }

    /// Whether a framework under `role` may have it as far as reservations go: its own, and those of
    /// the roles above.
    pub fn is_open_to(&self, role: &str) -> bool {
        self.reserved_role()
            .is_none_or(|owner| owner == role || roles::is_strict_subrole_of(role, owner))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prototype.name)
    }
}

/// The kinds in use.
#[derive(Debug, Default)]
pub struct Kinds {
    kinds: Slots<KindIx, Kind>,
    by_identity: HashMap<Vec<u8>, KindIx>,
    /// Plain kinds by name, one place for each type of value: the way of nearly all resources.
    plain: HashMap<String, [Option<KindIx>; 3]>,
    names: Vec<String>,
    kept_by_last_sweep: usize,
}

impl Kinds {
    /// The amounts of `resources`; roles of allocations, amounts at or below zero and values that are
    /// no numbers are left out.
    pub fn bundle(&mut self, resources: &[Resource]) -> Bundle {
        let mut bundle = Bundle::default();
        for resource in resources {
            if let Some(scalar) = &resource.scalar {
                let amount = Quantity::from_f64(scalar.value).unwrap_or_default();
                if amount > Quantity::ZERO {
                    bundle.add_scalar(self.kind_of(resource), amount.thousandths());
                }
            } else if let Some(value) = discrete(resource)
                && !value.is_empty()
            {
                bundle.add_discrete(self.kind_of(resource), &value);
            }
        }
        bundle
    }

    /// The protocol form of a bundle, in the order in which the kinds were first seen. It is made once,
    /// and kept as long as the bundle.
    pub fn resources(&self, bundle: &Bundle) -> Arc<[Resource]> {
        bundle.protocol(|| self.make_resources(bundle).into())
    }

    fn make_resources(&self, bundle: &Bundle) -> Vec<Resource> {
        let mut resources = Vec::with_capacity(bundle.kinds().count());
        let mut discrete = bundle.discrete().peekable();
        for (kind, thousandths) in bundle.scalars() {
            while let Some((kind, value)) = discrete.next_if(|(other, _)| *other < kind) {
                resources.push(self.discrete(kind, value));
            }
            let value = Quantity(thousandths).to_f64();
            resources.push(Resource {
                scalar: Some(value::Scalar { value }),
                ..self.kinds[kind].prototype.clone()
            });
        }
        resources.extend(discrete.map(|(kind, value)| self.discrete(kind, value)));
        resources
    }

    fn discrete(&self, kind: KindIx, value: &Discrete) -> Resource {
        let mut resource = self.kinds[kind].prototype.clone();
        match value {
            Discrete::Ranges(ranges) => resource.ranges = Some(ranges.to_proto()),
            Discrete::Set(items) => {
                let item = items.iter().cloned().collect();
                resource.set = Some(value::Set { item });
            }
        }
        resource
    }

    pub fn get(&self, kind: KindIx) -> &Kind {
        &self.kinds[kind]
    }

    /// The scalars of a bundle that count for fair shares, by name; a name may come more than once.
    pub fn quantities<'b>(&self, bundle: &'b Bundle) -> &'b [(NameIx, i64)] {
        bundle.quantities(|| {
            let scalars = bundle.scalars();
            let named = scalars.map(|(kind, amount)| Some((self.kinds[kind].name?, amount)));
            named.flatten().collect()
        })
    }

    /// As [`Kinds::quantities`], but of what is shared only as much as there is in `total`: however many
    /// copies one holds, it has that much to use.
    pub fn shares<'a>(
        &'a self,
        held: &'a Bundle,
        total: &'a Bundle,
    ) -> impl Iterator<Item = (NameIx, i64)> + 'a {
        held.scalars().filter_map(|(kind, amount)| {
            let Kind {
                name, is_shared, ..
            } = self.kinds[kind];
            let one = total.scalar(kind).filter(|_| is_shared);
            Some((name?, one.map_or(amount, |one| amount.min(one))))
        })
    }

    pub fn has_shared(&self, bundle: &Bundle) -> bool {
        bundle.kinds().any(|kind| self.kinds[kind].is_shared)
    }

    /// The part of [`Kinds::quantities`] that is charged to the quota of whoever holds it.
    pub fn charged(&self, bundle: &Bundle) -> impl Iterator<Item = (NameIx, i64)> {
        bundle
            .scalars()
            .filter_map(|(kind, amount)| Some((self.kinds[kind].charged_name()?, amount)))
    }

    /// As [`Kinds::charged`], each name once.
    pub fn charged_by_name(&self, bundle: &Bundle) -> SmallVec<[(NameIx, i64); 4]> {
        let mut amounts: SmallVec<[(NameIx, i64); 4]> = SmallVec::new();
        for (name, amount) in self.charged(bundle) {
            match amounts.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => *sum += amount,
                None => amounts.push((name, amount)),
            }
        }
        amounts
    }

    /// The integer of a name, made if there is room for one more.
    pub fn name(&mut self, name: &str) -> Option<NameIx> {
        let known = self.names.iter().position(|known| known == name);
        let index = known.or_else(|| {
            (self.names.len() < MAX_NAMES).then(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            })
        })?;
        Some(NameIx::at(
            u32::try_from(index).expect("MAX_NAMES fits in 32 bits"),
        ))
    }

    /// The integer of a name, if it has one.
    pub(crate) fn known_name(&self, name: &str) -> Option<NameIx> {
        let index = self.names.iter().position(|known| known == name)?;
        u32::try_from(index).ok().map(NameIx::at)
    }

    pub(crate) fn name_of(&self, name: NameIx) -> &String {
        &self.names[name.index()]
    }

    fn kind_of(&mut self, resource: &Resource) -> KindIx {
        let plain_type = is_plain(resource)
            .then(|| {
                usize::try_from(resource.r#type)
                    .ok()
                    .filter(|index| *index < 3)
            })
            .flatten();
        if let Some(index) = plain_type
            && let Some(Some(kind)) = self.plain.get(&resource.name).map(|kinds| kinds[index])
        {
            return kind;
        }
        let prototype = prototype(resource);
        let identity = identity(&prototype);
        if let Some(kind) = self.by_identity.get(&identity) {
            return *kind;
        }
        let kind = self.describe(prototype);
        let name = resource.name.clone();
        let kind = self.kinds.insert(kind);
        self.by_identity.insert(identity, kind);
        if let Some(index) = plain_type {
            self.plain.entry(name).or_default()[index] = Some(kind);
        }
        kind
    }

    fn describe(&mut self, prototype: Resource) -> Kind {
        let is_scalar = prototype.r#type() == value::Type::Scalar;
        let is_gpus = is_scalar && prototype.name == "gpus";
        let is_revocable = prototype.revocable.is_some();
        let is_shared = prototype.shared.is_some();
        Kind {
            name: is_scalar.then(|| self.name(&prototype.name)).flatten(),
            is_gpus,
            is_revocable,
            is_shared,
            is_refined: prototype.reservations.len() > 1,
            is_plain: prototype.reservations.is_empty() && !is_gpus && !is_revocable && !is_shared,
            is_divisible: is_divisible(&prototype),
            prototype,
        }
    }

    /// Whether so many kinds were added that it pays to look for those no longer in use: volumes come
    /// and go, and each is a kind.
    pub fn wants_sweep(&self) -> bool {
        self.kinds.count() >= MIN_KINDS_TO_SWEEP.max(2 * self.kept_by_last_sweep)
    }

    /// Forgets the kinds not in `in_use`. Costs as much as there are kinds, so once in a doubling.
    pub fn sweep(&mut self, in_use: &PlaceSet<KindIx>) {
        self.by_identity.retain(|_, kind| in_use.contains(*kind));
        for kinds in self.plain.values_mut() {
            for kind in kinds {
                *kind = kind.filter(|kind| in_use.contains(*kind));
            }
        }
        self.plain
            .retain(|_, kinds| kinds.iter().any(Option::is_some));
        let unused: Vec<KindIx> = self
            .kinds
            .iter()
            .map(|(kind, _)| kind)
            .filter(|kind| !in_use.contains(*kind))
            .collect();
        for kind in unused {
            self.kinds.remove(kind);
        }
        self.kept_by_last_sweep = self.kinds.count();
    }

    /// How many kinds are known.
    pub fn count(&self) -> usize {
        self.kinds.count()
    }
}

/// Disks that are mounts, blocks or raw are used as a whole, and so are volumes.
fn is_divisible(resource: &Resource) -> bool {
    resource.disk.as_ref().is_none_or(|disk| {
        let kind = disk.source.as_ref().map(|source| source.r#type());
        disk.persistence.is_none() && matches!(kind, None | Some(source::Type::Path))
    })
}

fn is_reserved_for(role: Option<&String>) -> bool {
    role.is_some_and(|role| role != roles::ANY)
}

fn is_plain(resource: &Resource) -> bool {
    resource.provider_id.is_none()
        && resource.disk.is_none()
        && resource.revocable.is_none()
        && resource.shared.is_none()
        && resource.reservations.is_empty()
        && resource.reservation.is_none()
        && !is_reserved_for(resource.role.as_ref())
}

/// The resource without its amount and allocation, with reservations in the refined form.
fn prototype(resource: &Resource) -> Resource {
    let mut prototype = resource.clone();
    prototype.scalar = None;
    prototype.ranges = None;
    prototype.set = None;
    prototype.allocation_info = None;
    let role = prototype.role.take();
    let reservation = prototype.reservation.take();
    if prototype.reservations.is_empty() && is_reserved_for(role.as_ref()) {
        // The form before refinement: static without a reservation beside the role, dynamic with one.
        let kind = if reservation.is_some() {
            reservation_info::Type::Dynamic
        } else {
            reservation_info::Type::Static
        };
        prototype.reservations = vec![ReservationInfo {
            r#type: Some(kind.into()),
            role,
            ..reservation.unwrap_or_default()
        }];
    }
    prototype
}

/// Equal where Mesos holds two resources to be the same: where a task sees a volume and who made it does not matter, nor does
/// the order of labels.
fn identity(prototype: &Resource) -> Vec<u8> {
    let mut same = prototype.clone();
    if let Some(disk) = &mut same.disk {
        disk.volume = None;
        if let Some(persistence) = &mut disk.persistence {
            persistence.principal = None;
        }
    }
    for reservation in &mut same.reservations {
        if let Some(labels) = &mut reservation.labels {
            let by_text = |label: &Label| (label.key.clone(), label.value.clone());
            labels.labels.sort_by_cached_key(by_text);
        }
    }
    protobuf::encode(&same)
}

fn discrete(resource: &Resource) -> Option<Discrete> {
    if let Some(ranges) = &resource.ranges {
        return Some(Discrete::Ranges(Ranges::from_proto(ranges)));
    }
    let set = resource.set.as_ref()?;
    Some(Discrete::Set(set.item.iter().cloned().collect()))
}

#[cfg(test)]
#[path = "kinds_tests.rs"]
mod tests;
