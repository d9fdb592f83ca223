use super::*;

struct Day(Instant);

impl Day {
    fn claim(&self, master: &str, term: u64, asked_ms: u64, answered_ms: u64) -> Claim {
        Claim {
            master: master.to_string(),
            term,
            asked: self.0 + Duration::from_millis(asked_ms),
            answered: self.0 + Duration::from_millis(answered_ms),
        }
    }
}

#[test]
fn a_leader_may_say_so_until_the_next_one_does() {
    let (day, mut claims) = (Day(Instant::now()), Claims::default());
    claims.note(day.claim("m1", 1, 0, 2));
    claims.note(day.claim("m2", 2, 10, 20));
    // Asked before the other one had answered: it may have led a moment earlier.
    claims.note(day.claim("m1", 1, 15, 30));
    claims.note(day.claim("m2", 2, 40, 41));
    assert_eq!(claims.broken(), None);
}

#[test]
fn one_that_still_leads_when_another_does_is_noticed() {
    let (day, mut claims) = (Day(Instant::now()), Claims::default());
    claims.note(day.claim("m1", 1, 0, 2));
    claims.note(day.claim("m2", 2, 10, 20));
    claims.note(day.claim("m1", 1, 25, 30));
    assert_eq!(
        claims.broken(),
        Some("m1, asked 5ms after m2 led in term 2, answered that it leads in term 1")
    );

    let mut claims = Claims::default();
    claims.note(day.claim("m1", 4, 0, 2));
    claims.note(day.claim("m2", 4, 10, 20));
    assert_eq!(claims.broken(), Some("m1 and m2 both led in term 4"));
}
