use super::*;

fn row(node: &str, id: u64, accepted: u64, finished: u64, tick: u64) -> Value {
    json!({
        "node": node, "id": id, "accepted": accepted, "finished": finished,
        "per_message": [{ "message": "Tick", "count": tick }],
    })
}

#[test]
fn rates_are_what_was_counted_between_two_looks() {
    let mut mailboxes = Mailboxes::default();
    let first = mailboxes.look(
        1_000,
        vec![row("m", 1, 10, 5, 5), row("a", 1, 7, 7, 7)],
        false,
    );
    assert_eq!(first["rows"][0]["in_per_s"], Value::Null);

    // Half a second later; the agent was restarted, and counts from the beginning.
    let second = mailboxes.look(
        1_500,
        vec![row("m", 1, 40, 25, 25), row("a", 1, 2, 2, 2)],
        true,
    );
    assert_eq!(second["rows"][0]["in_per_s"], json!(60.0));
    assert_eq!(second["rows"][0]["out_per_s"], json!(40.0));
    assert_eq!(second["rows"][0]["per_message"][0]["per_s"], json!(40.0));
    assert_eq!(second["rows"][1]["in_per_s"], Value::Null);
    assert_eq!(second["agents_late"], json!(true));
}

#[test]
fn what_is_left_out_is_said() {
    let rows = (0..MAX_ROWS as u64 + 3)
        .map(|id| row("m", id, 0, 0, 0))
        .collect();
    let look = Mailboxes::default().look(1_000, rows, false);
    assert_eq!(look["rows"].as_array().map(Vec::len), Some(MAX_ROWS));
    assert_eq!(look["omitted"], json!(3));
}
