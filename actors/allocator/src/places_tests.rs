use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::world::AgentIx;

proptest! {
    #[test]
    fn a_set_of_places_is_a_set(
        steps in prop::collection::vec((0_u32..200, any::<bool>()), 0..100),
        others in prop::collection::btree_set(0_u32..300, 0..100),
    ) {
        let other: PlaceSet<AgentIx> = others.iter().map(|at| AgentIx::at(*at)).collect();
        let (mut set, mut plain) = (PlaceSet::default(), BTreeSet::new());
        for (at, enters) in steps {
            if enters {
                prop_assert_eq!(set.insert(AgentIx::at(at)), plain.insert(at));
            } else {
                prop_assert_eq!(set.remove(AgentIx::at(at)), plain.remove(&at));
            }
            prop_assert_eq!(set.len(), plain.len());
            prop_assert_eq!(set.contains(AgentIx::at(at)), enters);
            prop_assert_eq!(set.is_empty(), plain.is_empty());
        }
        let places = |numbers: Vec<u32>| numbers.into_iter().map(AgentIx::at).collect::<Vec<_>>();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), places(plain.iter().copied().collect()));
        prop_assert_eq!(
            set.within(&other).collect::<Vec<_>>(),
            places(plain.intersection(&others).copied().collect())
        );
        prop_assert_eq!(
            set.without(&other).collect::<Vec<_>>(),
            places(plain.difference(&others).copied().collect())
        );
        prop_assert_eq!(&set, &plain.iter().map(|at| AgentIx::at(*at)).collect());
    }
}
