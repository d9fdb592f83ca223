use serde_json::json;

use super::*;

#[test]
fn each_cause_is_a_sentence_and_the_sums_come_first() {
    let answer = json!({
        "framework_id": "F1", "framework": "spark", "policy": "drf", "need": {"cpus": 4.0},
        "roles": [{
            "role": "a", "bars": ["SUPPRESSED"], "takers": 3, "ahead": 1, "open_agents": 1,
            "agents_by_cause": {"HELD": 1, "TOO_SMALL": 2},
            "agents": [
                {"agent_id": "S0", "hostname": "h0", "causes": [],
                 "maintenance": {"begins_in_secs": 600.0, "lasts_secs": 7200.0}},
                {"agent_id": "S1", "hostname": "h1", "causes": [
                    {"cause": "HELD", "missing": {"cpus": 2.5}, "holders": [
                        {"framework_id": "F2", "framework": "chronos", "role": "b",
                         "amounts": {"cpus": 3.0, "mem": 64.0}, "offered_secs": 600.0},
                        {"framework_id": "F3", "framework": null, "role": "c", "amounts": {"cpus": 1.0},
                         "offered_secs": null},
                    ]},
                    {"cause": "REFUSED", "refused": {"cpus": 9.0}, "lasts_secs": 4.25},
                ]},
                {"agent_id": "S2", "hostname": "h2", "causes": [
                    {"cause": "RESERVED", "by_role": {"b": {"cpus": 8.0}}},
                    {"cause": "QUOTA", "missing": {"cpus": 1.0}, "rules": {
                        "cpus": {"rule": "LIMIT", "role": "a"}, "mem": {"rule": "HEADROOM"},
                    }},
                    {"cause": "CAPABILITY", "capability": "REVOCABLE_RESOURCES", "amounts": {"cpus": 1.0}},
                ]},
            ],
        }],
        "machines_down": [{"hostname": "h9", "ip": "10.0.0.9"}],
    });
    let expected = [
        "spark (F1) needs cpus:4.0; the policy is drf",
        "",
        "under role a:",
        "  no agent is offered: the framework suppressed offers; REVIVE ends that",
        "  1 of 3 takers are asked before it",
        "  nothing stands in the way on 1 agent",
        "  offered or in use on 1 agent",
        "  too small, even if all were free on 2 agents",
        "  S0 (h0): nothing; offered when it is its turn",
        "  S0 (h0): its machine is scheduled for maintenance in 10 min for 2 h",
        "  S1 (h1): offered or in use: lacks cpus:2.5; chronos as b has cpus:3.0;mem:64.0, offered since 10 min, \
         F3 as c has cpus:1.0",
        "  S1 (h1): refused by the framework a while ago: cpus:9.0 for 4.2 s more",
        "  S2 (h2): reserved for other roles: cpus:8.0 for b",
        "  S2 (h2): more than quota allows: lacks cpus:1.0; cpus by the limit of a, mem is kept for guarantees of \
         others",
        "  S2 (h2): cpus:1.0 is for frameworks with REVOCABLE_RESOURCES",
        "machine h9 (10.0.0.9) is down for maintenance: its agents are not let in",
    ];
    assert_eq!(told(&answer), expected);
}

#[test]
fn spans_of_time_are_short() {
    for (seconds_of, expected) in [
        (json!(0.25), "0.2 s"),
        (json!(119.0), "119.0 s"),
        (json!(180), "3 min"),
        (json!(7_200), "2 h"),
        (json!(31_536_000), "365 d"),
    ] {
        assert_eq!(seconds(&seconds_of), expected);
    }
}
