use super::*;

fn numbers(uid: u32) -> Credentials {
    Credentials {
        uid,
        gid: uid,
        groups: vec![uid],
    }
}

#[test]
fn an_answer_counts_for_a_second() {
    let mut known = Known::default();
    let asked = Instant::now();
    known.put("a", numbers(1), asked);
    assert_eq!(known.get("a", asked + FRESH / 2), Some(&numbers(1)));
    assert_eq!(known.get("a", asked + FRESH), None);
    known.put("a", numbers(2), asked + FRESH);
    assert_eq!(known.get("a", asked + FRESH), Some(&numbers(2)));
    assert_eq!(known.get("b", asked), None);
}

#[test]
fn only_so_many_names_are_remembered() {
    let mut known = Known::default();
    let now = Instant::now();
    for uid in 0..10_000 {
        known.put(&format!("u{uid}"), numbers(uid), now);
        assert!(known.0.len() <= MAX_KNOWN);
    }
    assert_eq!(known.get("u9999", now), Some(&numbers(9_999)));
}

#[test]
fn names_and_numbers_mean_the_same_and_who_is_nobody_is_told_each_time() {
    let users = Users::default();
    let named = user::lookup("nobody").unwrap();
    let (uid, gid) = (named.uid, named.gid);
    let wanted = user::switch_to(named);
    for _ in 0..2 {
        assert_eq!(users.credentials(Some("nobody")), Ok(wanted.clone()));
        let unknown = users.credentials(Some("no-such-user-here")).unwrap_err();
        assert!(unknown.contains("no-such-user-here"), "{unknown}");
    }
    assert_eq!(users.credentials(None), Ok(None));
    let numbers = UserNumbers {
        uid,
        gid,
        groups: vec![gid],
    };
    let same = users.credentials(Some(&numbers.to_string())).unwrap();
    assert_eq!(
        same.map(|it| (it.uid, it.gid)),
        wanted.map(|it| (it.uid, it.gid))
    );
}
