use super::*;

fn entry(index: u64, bytes: usize) -> Entry {
    Entry {
        index,
        data: vec![0; bytes].into(),
        ..Default::default()
    }
}

#[test]
fn large_entries_are_kept_up_to_a_bound_in_bytes() {
    let mut marks = Marks::default();
    let (mut first, mut kept) = (1, VecDeque::new());
    for index in 1..=400 {
        let bytes = 4 << 20;
        marks.applied(&entry(index, bytes));
        kept.push_back(bytes);
        if let Some(cut) = marks.take() {
            assert!(cut >= first, "it never goes back");
            kept.drain(..(cut + 1 - first) as usize);
            first = cut + 1;
        }
        let sum: usize = kept.iter().sum();
        assert!(sum <= (Marks::KEPT + 1) * Marks::BYTES, "{index}: {sum}");
    }
    assert!(first > 300, "{first}");
}

#[test]
fn small_entries_are_cut_by_number_alone() {
    let mut marks = Marks::default();
    for index in 1..=10_000 {
        marks.applied(&entry(index, 200));
        assert_eq!(marks.take(), None);
    }
}
