//! Resources as text: `cpus:4; mem:2048; ports:[31000-32000]`, read and printed as Mesos does.

use std::fmt;

use super::entry::{Entry, Reservation, ReservationType, Terms, Value};
use super::{Quantity, Ranges, ResourceError, Resources, validate};
use crate::codec::{Limits, json};
use crate::{roles, v1, values};
use v1::resource::disk_info::source::Type;

impl Resources {
    /// Reads what `--resources` takes: `cpus:4;mem(role):2048;ports:[31000-32000]`, or a JSON array of
    /// Resource objects. `default_role` goes to what names none; reservations are static.
    ///
    /// # Errors
    /// [`ResourceError::Text`] with Mesos' sentence, also for what only the API may make: persistent
    /// volumes, revocable resources, dynamic reservations.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, ResourceError> {
        let entries = if text.trim_start().starts_with('[') {
            parse_json(text, default_role)?
        } else {
            tokens(text, ';')
                .map(|token| parse_token(token, default_role))
                .collect::<Result<_, _>>()?
        };
        let resources = Self::from_iter(entries);
        resources.check_command_line()?;
        Ok(resources)
    }

    fn check_command_line(&self) -> Result<(), ResourceError> {
        for (at, entry) in self.iter().enumerate() {
            let refused = if entry.is_persistent_volume() {
                "Persistent volumes cannot be specified at the command line"
            } else if entry.is_revocable() {
                "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the resources JSON"
            } else if entry.is_dynamically_reserved() {
                "Dynamic reservations cannot be specified at the command line; do not include a reservation with DYNAMIC type in the resources JSON"
            } else {
                let kind = std::mem::discriminant(entry.value());
                if self.iter().take(at).any(|other| {
                    other.name() == entry.name() && std::mem::discriminant(other.value()) != kind
                }) {
                    return Err(ResourceError::Text(format!(
                        "Resources with the same name ('{}') but different types are not allowed",
                        entry.name()
                    )));
                }
                continue;
            };
            return Err(ResourceError::Text(refused.into()));
        }
        Ok(())
    }
}

fn tokens(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).filter(|token| !token.is_empty())
}

/// `name:value` or `name(role):value`.
fn parse_token(token: &str, default_role: &str) -> Result<Entry, ResourceError> {
    let bad =
        |what: &str| ResourceError::Text(format!("Bad value for resources, {what} in {token}"));
    let [key, text] = tokens(token, ':').collect::<Vec<_>>()[..] else {
        return Err(bad("missing or extra ':'"));
    };
    let (name, role) = match key.find('(') {
        None => (key, default_role),
        Some(open) => match key.find(')') {
            Some(close) if close > open => (&key[..open], &key[open + 1..close]),
            _ => return Err(bad("mismatched parentheses")),
        },
    };
    let (name, role) = (name.trim(), role.trim());
    let value = match values::parse_value(text) {
        Ok(values::Value::Scalar(amount)) if amount.is_zero() && !is_zero(text) => {
            return Err(ResourceError::Text(
                "Invalid scalar resource: value <= 0".into(),
            ));
        }
        Ok(values::Value::Scalar(amount)) => Value::Scalar(amount),
        Ok(values::Value::Ranges(ranges)) => Value::Ranges(ranges),
        Ok(values::Value::Set(items)) => Value::Set(items),
        Ok(values::Value::Text(_)) => {
            return Err(ResourceError::Text(format!(
                "Bad type for resource {name} value {text} type TEXT"
            )));
        }
        Err(error) => {
            return Err(ResourceError::Text(format!(
                "Failed to parse resource {name} value {text} error {error}"
            )));
        }
    };
    let mut terms = Terms::default();
    if role != roles::ANY {
        terms.reservations.push(Reservation {
            kind: ReservationType::Static,
            role: role.to_owned(),
            principal: None,
            labels: None,
        });
    }
    let entry = Entry::new(name, value, terms);
    validate(&entry.to_proto()).map_err(ResourceError::Text)?;
    Ok(entry)
}

/// Zero itself; what only rounds to it is refused, on the command line as in the API.
fn is_zero(scalar: &str) -> bool {
    scalar.replace(' ', "").parse() == Ok(0.0_f64)
}

fn parse_json(text: &str, default_role: &str) -> Result<Vec<Entry>, ResourceError> {
    let bad = |error: &dyn fmt::Display| {
        ResourceError::Text(format!(
            "Some JSON resources were not formatted properly: {error}"
        ))
    };
    let array: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|error| bad(&error))?;
    array
        .iter()
        .map(|object| {
            let mut resource: v1::Resource =
                json::decode(object.to_string().as_bytes(), &Limits::HTTP)
                    .map_err(|error| bad(&error))?;
            if resource.role.is_none() && resource.reservations.is_empty() {
                resource.role = Some(default_role.to_owned());
            }
            validate(&resource).map_err(ResourceError::Text)?;
            Entry::from_proto(&resource)
        })
        .collect()
}

/// `cpus(allocated: dev):1000; mem:32`, or `{}`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, entry) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DisplayProto(&self.to_proto()).fmt(f)?;
        if self.is_shared() {
            write!(f, "<{}>", self.copies())?;
        }
        Ok(())
    }
}

/// Prints a resource of the schema, valid or not.
pub struct DisplayProto<'a>(pub &'a v1::Resource);

impl fmt::Display for DisplayProto<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.0;
        f.write_str(&resource.name)?;
        if let Some(allocation) = &resource.allocation_info {
            write!(f, "(allocated: {})", allocation.role())?;
        }
        if !resource.reservations.is_empty() {
            f.write_str("(reservations: [")?;
            for (at, reservation) in resource.reservations.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                write!(f, "{comma}({})", DisplayReservation(reservation))?;
            }
            f.write_str("])")?;
        }
        if let Some(disk) = &resource.disk {
            write!(f, "[{}]", DisplayDisk(disk))?;
        }
        if resource.revocable.is_some() {
            f.write_str("{REV}")?;
        }
        if resource.shared.is_some() {
            f.write_str("<SHARED>")?;
        }
        f.write_str(":")?;
        if let Some(scalar) = &resource.scalar {
            match Quantity::from_f64(scalar.value) {
                Some(amount) => amount.fmt(f)?,
                None => scalar.value.fmt(f)?,
            }
        }
        if let Some(ranges) = &resource.ranges {
            Ranges::from_proto(ranges).fmt(f)?;
        }
        if let Some(set) = &resource.set {
            write!(f, "{{{}}}", set.item.join(", "))?;
        }
        Ok(())
    }
}

struct DisplayReservation<'a>(&'a v1::resource::ReservationInfo);

/// `DYNAMIC,role,principal,{key: value}`.
impl fmt::Display for DisplayReservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.0.r#type().as_str_name(), self.0.role())?;
        if let Some(principal) = &self.0.principal {
            write!(f, ",{principal}")?;
        }
        if let Some(labels) = &self.0.labels {
            let pairs: Vec<String> = labels
                .labels
                .iter()
                .map(|label| match &label.value {
                    Some(value) => format!("{}: {value}", label.key),
                    None => label.key.clone(),
                })
                .collect();
            write!(f, ",{{{}}}", pairs.join(", "))?;
        }
        Ok(())
    }
}

struct DisplayDisk<'a>(&'a v1::resource::DiskInfo);

/// `MOUNT:/mnt/a,volume-id:host:container:rw`.
impl fmt::Display for DisplayDisk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(source) = &self.0.source {
            comma = ",";
            f.write_str(source.r#type().as_str_name())?;
            let root = match source.r#type() {
                Type::Mount => source.mount.as_ref().and_then(|mount| mount.root.as_ref()),
                Type::Path => source.path.as_ref().and_then(|path| path.root.as_ref()),
                _ => None,
            };
            if source.id.is_some() || source.profile.is_some() {
                let (vendor, id) = (source.vendor(), source.id());
                write!(f, "({vendor},{id},{})", source.profile())?;
            } else if let Some(root) = root {
                write!(f, ":{root}")?;
            }
        }
        if let Some(persistence) = &self.0.persistence {
            write!(f, "{comma}{}", persistence.id)?;
        }
        if let Some(volume) = &self.0.volume {
            match &volume.host_path {
                Some(host) => {
                    let mode = volume.mode().as_str_name().to_lowercase();
                    write!(f, ":{host}:{}:{mode}", volume.container_path)?;
                }
                None => write!(f, ":{}", volume.container_path)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
