use std::collections::BTreeSet;

use proptest::prelude::*;
use tepui_protocol::resources::Range;

use super::*;
use crate::slots::Place;

/// Two kinds of scalars, one of ranges, one of sets; small, so that they overlap.
fn bundle() -> impl Strategy<Value = Bundle> {
    let range = (0_u64..20, 0_u64..5);
    let item = prop::sample::select(vec!["a", "b", "c"]);
    (
        0_i64..4,
        0_i64..4,
        prop::collection::vec(range, 0..3),
        prop::collection::btree_set(item, 0..3),
    )
        .prop_map(|(first, second, ranges, items)| {
            let mut bundle = Bundle::default();
            bundle.add_scalar(KindIx::at(3), second);
            bundle.add_scalar(KindIx::at(0), first);
            let ranges = ranges.into_iter();
            let ranges = ranges.filter_map(|(begin, length)| Range::new(begin, begin + length));
            bundle.add_discrete(KindIx::at(1), &Discrete::Ranges(ranges.collect()));
            let items: BTreeSet<String> = items.into_iter().map(str::to_owned).collect();
            bundle.add_discrete(KindIx::at(2), &Discrete::Set(items));
            bundle
        })
}

proptest! {
    #[test]
    fn what_is_taken_out_of_what_contains_it_can_be_put_back(whole in bundle(), part in bundle()) {
        let common = whole.intersection(&part);
        prop_assert!(whole.contains(&common));
        prop_assert!(part.contains(&common));
        let mut rest = whole.clone();
        rest.subtract(&common);
        prop_assert_eq!(whole == common, rest.is_empty());
        rest.add(&common);
        prop_assert_eq!(rest, whole);
    }

    #[test]
    fn containment_is_that_nothing_is_missing(whole in bundle(), part in bundle()) {
        let mut missing = part.clone();
        missing.subtract(&whole);
        prop_assert_eq!(whole.contains(&part), missing.is_empty());
    }

    #[test]
    fn a_sum_contains_what_was_added(left in bundle(), right in bundle()) {
        let mut sum = left.clone();
        sum.add(&right);
        prop_assert!(sum.contains(&left) && sum.contains(&right));
    }
}
