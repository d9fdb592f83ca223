use super::*;

#[test]
fn a_member_counts_on_from_the_newest_count_it_has_seen() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut counted = CountedTime::new(start);
    assert_eq!(counted.ago(0, at(7)), Duration::from_secs(7));
    // A leader wrote; then there is none.
    assert_eq!(counted.ago(5, at(9)), Duration::ZERO);
    assert_eq!(counted.ago(5, at(20)), Duration::from_secs(11));
    assert_eq!(counted.ago(6, at(21)), Duration::ZERO);
}
