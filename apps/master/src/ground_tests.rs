use super::*;

#[test]
fn the_lead_goes_to_the_voter_that_has_most_and_can_be_reached() {
    let status = Status {
        node_id: 3,
        role: Role::Leader,
        voters: vec![1, 2, 3, 4],
        learners: vec![5],
        acknowledged: vec![(1, 10), (2, 90), (4, 90), (5, 100)],
        ..Status::default()
    };
    assert_eq!(heir(&status, &[1, 2, 4, 5]), Some(2));
    assert_eq!(heir(&status, &[1, 4, 5]), Some(4));
    assert_eq!(heir(&status, &[1]), Some(1));
    assert_eq!(heir(&status, &[5, 9]), None, "only a voter can lead");
    assert_eq!(heir(&status, &[]), None);
}
