//! Readers of repeated fields and of maps.
//!
//! In JSON they take what stout's visitors take, each of which adds to such a field: one bare value is a list of
//! one, lists within a list are one list, and a list of objects is one map. What nodes write is read strictly.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

use super::{
    read::{Context, One, Value},
    room,
};

pub(super) struct Many<'a, T>(pub(super) Context, pub(super) &'a mut Vec<T>);

impl<'de, T: Value> DeserializeSeed<'de> for Many<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Value> Many<'_, T> {
    /// A value that stands where a list is expected: a person writes that, no node does.
    fn bare<'de, D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.check_human()?;
        room::take::<T, D::Error>()?;
        self.1.extend(T::read(value, self.0)?);
        Ok(())
    }

    fn check_human<E: Error>(&self) -> Result<(), E> {
        match self.0.human {
            true => Ok(()),
            false => Err(E::custom(format_args!(
                "field '{}': not a list",
                self.0.name
            ))),
        }
    }
}

impl<'de, T: Value> Visitor<'de> for Many<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list for field '{}'", self.0.name)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.bare(value.into_deserializer())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.bare(value.into_deserializer())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.bare(value.into_deserializer())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.bare(value.into_deserializer())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.bare(value.into_deserializer())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.check_human()?;
        room::take::<T, A::Error>()?;
        self.1.push(T::read_map(map, self.0)?);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Many(context, values) = self;
        if context.human {
            while let Some(()) = seq.next_element_seed(Many(context, &mut *values))? {}
            return Ok(());
        }
        while let Some(value) = seq.next_element_seed(One(context, PhantomData))? {
            room::take::<T, A::Error>()?;
            values.extend(value);
        }
        Ok(())
    }
}

pub(super) struct Entries<'a, T>(pub(super) Context, pub(super) &'a mut BTreeMap<String, T>);

impl<'de, T: Value> DeserializeSeed<'de> for Entries<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Value> Visitor<'de> for Entries<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for field '{}'", self.0.name)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            room::take::<(String, T), A::Error>()?;
            if let Some(value) = map.next_value_seed(One(self.0, PhantomData))? {
                self.1.insert(key, value);
            }
        }
        Ok(())
    }
    /// On the wire a map is a list of entries: a list of objects is taken for one, by people's hands alone.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Entries(context, values) = self;
        if !context.human {
            return Err(A::Error::custom(format_args!(
                "field '{}': a list",
                context.name
            )));
        }
        while let Some(()) = seq.next_element_seed(Entries(context, &mut *values))? {}
        Ok(())
    }
}
