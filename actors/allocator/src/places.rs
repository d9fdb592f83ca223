//! Sets of places: one bit for each, so that to ask, to enter and to leave are array accesses.
//!
//! Owns the bits. A set takes an eighth of a byte for each place up to the highest it ever had.

use std::{fmt, marker::PhantomData};

use crate::slots::Place;

const BITS: usize = 64;

/// A set of places, ascending.
#[derive(Clone)]
pub struct PlaceSet<P> {
    words: Vec<u64>,
    count: usize,
    place: PhantomData<P>,
}

impl<P> Default for PlaceSet<P> {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            count: 0,
            place: PhantomData,
        }
    }
}

impl<P: Place> PlaceSet<P> {
    /// Whether it was not in before.
    pub fn insert(&mut self, place: P) -> bool {
        let (word, bit) = split(place);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let added = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += usize::from(added);
        added
    }

    /// Whether it was in.
    pub fn remove(&mut self, place: P) -> bool {
        let removed = self.contains(place);
        if removed {
            let (word, bit) = split(place);
            self.words[word] &= !bit;
            self.count -= 1;
        }
        removed
    }

    /// Enters all that are in `other`.
    pub fn unite(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            let added = (*theirs & !*mine).count_ones();
            self.count += added as usize;
            *mine |= theirs;
        }
    }

    pub fn contains(&self, place: P) -> bool {
        let (word, bit) = split(place);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = P> {
        members(self.words.iter().copied())
    }

    /// What is also in `other`.
    pub fn within(&self, other: &Self) -> impl Iterator<Item = P> {
        let pairs = self.words.iter().zip(&other.words);
        members(pairs.map(|(mine, theirs)| mine & theirs))
    }

    /// What is not in `other`.
    pub fn without(&self, other: &Self) -> impl Iterator<Item = P> {
        let theirs = other.words.iter().copied().chain(std::iter::repeat(0));
        members(
            self.words
                .iter()
                .zip(theirs)
                .map(|(mine, theirs)| mine & !theirs),
        )
    }
}

fn split<P: Place>(place: P) -> (usize, u64) {
    (place.index() / BITS, 1 << (place.index() % BITS))
}

fn members<P: Place>(words: impl Iterator<Item = u64>) -> impl Iterator<Item = P> {
    let words = (0_u32..).zip(words).filter(|(_, word)| *word != 0);
    words.flat_map(|(at, word)| {
        // Each step clears the lowest bit.
        std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
            .take_while(|rest| *rest != 0)
            .map(move |rest| P::at(at * u64::BITS + rest.trailing_zeros()))
    })
}

impl<P> PartialEq for PlaceSet<P> {
    fn eq(&self, other: &Self) -> bool {
        let common = self.words.len().min(other.words.len());
        self.count == other.count && self.words[..common] == other.words[..common]
    }
}

impl<P: Place> Extend<P> for PlaceSet<P> {
    fn extend<I: IntoIterator<Item = P>>(&mut self, places: I) {
        for place in places {
            self.insert(place);
        }
    }
}

impl<P: Place> FromIterator<P> for PlaceSet<P> {
    fn from_iter<I: IntoIterator<Item = P>>(places: I) -> Self {
        let mut set = Self::default();
        set.extend(places);
        set
    }
}

impl<P: Place + fmt::Debug> fmt::Debug for PlaceSet<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
