use serde_json::json;

use super::*;

fn agents() -> Vec<Candidate> {
    [
        ("abc-S1", "north", 1),
        ("abc-S10", "south", 2),
        ("abd-S2", "east", 3),
        ("abd-S3", "east", 4),
    ]
    .map(|(id, hostname, port)| {
        agent_candidate(&json!({"id": id, "hostname": hostname, "port": port}))
    })
    .into()
}

fn task(id: &str) -> Candidate {
    Candidate {
        id: id.to_string(),
        names: Vec::new(),
        known_as: None,
    }
}

#[test]
fn a_part_that_only_one_has_is_enough() {
    for (wanted, expected) in [
        ("abc-S1", "abc-S1"),
        ("abc-S10", "abc-S10"),
        ("S1", "abc-S1"),
        ("s10", "abc-S10"),
        ("North", "abc-S1"),
        ("east:4", "abd-S3"),
        ("abd-S2", "abd-S2"),
    ] {
        let found = choose(AGENT, wanted, agents()).expect(wanted);
        assert_eq!(found.id, expected, "{wanted}");
    }
    let two = agents().into_iter().skip(1).take(2).collect();
    assert_eq!(choose(AGENT, "abc", two).unwrap().id, "abc-S10");
}

#[test]
fn who_is_not_clear_is_told_the_choice() {
    let told = |wanted: &str, among| choose(AGENT, wanted, among).err().unwrap().to_string();
    assert_eq!(
        told("east", agents()),
        "'east' may be any of 2 agents; choose one of abd-S2 (east:3), abd-S3 (east:4)"
    );
    let west = told("west", agents());
    assert!(
        west.starts_with("no agent is called 'west'; there are abc-S1 (north:1), "),
        "{west}"
    );
    assert!(west.ends_with("; `tepui agents` lists them"), "{west}");
    assert_eq!(
        told("x", Vec::new()),
        "no agent is called 'x': there are no agents"
    );
    // One begins so, and another ends so.
    let among = ["old-web", "web-1", "db"].map(task).into();
    let web = choose(TASK, "web", among).err().unwrap().to_string();
    assert_eq!(
        web,
        "'web' may be any of 2 tasks; choose one of old-web, web-1"
    );
    // A name that is the end of the id of another.
    let hostile = json!({"id": "abe-S4", "hostname": "S1", "port": 5});
    let among = agents().into_iter().chain([agent_candidate(&hostile)]);
    let s1 = told("S1", among.collect());
    assert!(
        s1.ends_with("choose one of abc-S1 (north:1), abe-S4 (S1:5)"),
        "{s1}"
    );
    // Nobody means the first of many by saying nothing.
    assert!(told("", agents()).starts_with("which agent?"));
}

#[test]
fn of_many_the_first_are_named() {
    let tasks = (0..25).map(|number| task(&format!("t{number}")));
    let error = choose(TASK, "t", tasks.collect())
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("'t' may be any of 25 tasks"), "{error}");
    assert!(error.ends_with("t8, t9 and 15 more"), "{error}");
}
