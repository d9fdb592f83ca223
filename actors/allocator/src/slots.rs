//! Dense storage under small integers: what is looked up in the inner loops is an array access.
//!
//! Owns the reuse of freed places. Never hands out the place of something that still stands.

use std::{
    marker::PhantomData,
    ops::{Index, IndexMut},
};

/// An integer that names a place in a [`Slots`].
pub trait Place: Copy + Ord {
    fn at(index: u32) -> Self;
    fn index(self) -> usize;
}

/// Defines an integer of its own for one kind of thing.
macro_rules! place {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $crate::slots::Place for $name {
            fn at(index: u32) -> Self {
                Self(index)
            }

            fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
pub(crate) use place;

/// Things of type `T`, each at a place of type `P`; places of removed things are used again.
#[derive(Debug, Clone)]
pub struct Slots<P, T> {
    items: Vec<Option<T>>,
    vacant: Vec<P>,
}

impl<P, T> Default for Slots<P, T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            vacant: Vec::new(),
        }
    }
}

impl<P: Place, T> Slots<P, T> {
    pub fn insert(&mut self, item: T) -> P {
        if let Some(place) = self.vacant.pop() {
            self.items[place.index()] = Some(item);
            return place;
        }
        let index = u32::try_from(self.items.len()).expect("fewer than 2^32 things fit in memory");
        self.items.push(Some(item));
        P::at(index)
    }

    pub fn remove(&mut self, place: P) -> Option<T> {
        let item = self.items.get_mut(place.index())?.take()?;
        self.vacant.push(place);
        Some(item)
    }

    pub fn get(&self, place: P) -> Option<&T> {
        self.items.get(place.index())?.as_ref()
    }

    pub fn get_mut(&mut self, place: P) -> Option<&mut T> {
        self.items.get_mut(place.index())?.as_mut()
    }

    /// What stands, by place.
    pub fn iter(&self) -> impl Iterator<Item = (P, &T)> {
        (0_u32..)
            .zip(&self.items)
            .filter_map(|(index, item)| Some((P::at(index), item.as_ref()?)))
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.items.len() - self.vacant.len()
    }
}

impl<P: Place, T> Index<P> for Slots<P, T> {
    type Output = T;

    fn index(&self, place: P) -> &T {
        self.get(place)
            .expect("a place that is kept names something that stands")
    }
}

impl<P: Place, T> IndexMut<P> for Slots<P, T> {
    fn index_mut(&mut self, place: P) -> &mut T {
        self.get_mut(place)
            .expect("a place that is kept names something that stands")
    }
}

/// One value for each place, grown on demand; places never written hold the default.
#[derive(Debug, Clone)]
pub struct Column<P, T> {
    values: Vec<T>,
    place: PhantomData<P>,
}

impl<P, T> Default for Column<P, T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            place: PhantomData,
        }
    }
}

impl<P: Place, T: Default> Column<P, T> {
    pub fn get(&self, place: P) -> Option<&T> {
        self.values.get(place.index())
    }

    pub fn at(&mut self, place: P) -> &mut T {
        let index = place.index();
        if index >= self.values.len() {
            self.values.resize_with(index + 1, T::default);
        }
        &mut self.values[index]
    }

    /// What was written, by place.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// The value that stood there; the default stands there now.
    pub fn take(&mut self, place: P) -> T {
        self.values
            .get_mut(place.index())
            .map(std::mem::take)
            .unwrap_or_default()
    }
}
