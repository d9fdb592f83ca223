use super::*;
use crate::codec::{Limits, json};

/// An executor of the id `e` with these fields besides.
fn info(rest: &str) -> v1::ExecutorInfo {
    let text = format!(r#"{{"executor_id":{{"value":"e"}}{rest}}}"#);
    json::decode(text.as_bytes(), &Limits::HTTP).expect(&text)
}

fn check(table: &[(&str, &str)], expected: bool) {
    for (left, right) in table {
        let (a, b) = (info(left), info(right));
        assert_eq!(executor(&a, &b), expected, "{left} and {right}");
        assert_eq!(executor(&b, &a), expected, "{right} and {left}");
    }
}

const CPUS: &str = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}}"#;
const MEM: &str = r#"{"name":"mem","type":"SCALAR","scalar":{"value":32}}"#;

#[test]
fn order_and_what_mesos_does_not_compare_make_no_difference() {
    check(
        &[
            ("", ""),
            (
                r#","command":{"environment":{"variables":[{"name":"a","value":"1"},{"name":"b","value":"2"}]}}"#,
                r#","command":{"environment":{"variables":[{"name":"b","value":"2"},{"name":"a","value":"1"}]}}"#,
            ),
            (
                r#","command":{"environment":{"variables":[{"name":"a"}]}}"#,
                r#","command":{"environment":{"variables":[{"name":"a","type":"SECRET","secret":{"type":"VALUE"}}]}}"#,
            ),
            (
                r#","command":{"uris":[{"value":"u","cache":true},{"value":"v","extract":true}]}"#,
                r#","command":{"uris":[{"value":"v","executable":false},{"value":"u"}]}"#,
            ),
            (
                r#","labels":{"labels":[{"key":"a"}]}"#,
                r#","shutdown_grace_period":{"nanoseconds":5}"#,
            ),
            (
                r#","discovery":{"visibility":"CLUSTER","labels":{"labels":[{"key":"a"},{"key":"b"}]}}"#,
                r#","discovery":{"visibility":"CLUSTER","labels":{"labels":[{"key":"b","value":""},{"key":"a"}]}}"#,
            ),
            (
                r#","discovery":{"visibility":"CLUSTER","ports":{"ports":[{"number":1,"labels":{"labels":[{"key":"a"}]}},{"number":2}]}}"#,
                r#","discovery":{"visibility":"CLUSTER","ports":{"ports":[{"number":2},{"number":1}]}}"#,
            ),
            (
                r#","container":{"type":"MESOS","mesos":{},"network_infos":[{}],"linux_info":{"share_cgroups":true},"rlimit_info":{},"tty_info":{}}"#,
                r#","container":{"type":"MESOS"}"#,
            ),
            (
                r#","container":{"type":"MESOS","volumes":[{"mode":"RW","container_path":"a"},{"mode":"RO","container_path":"b"}]}"#,
                r#","container":{"type":"MESOS","volumes":[{"mode":"RO","container_path":"b"},{"mode":"RW","container_path":"a","source":{"type":"SANDBOX_PATH"}}]}"#,
            ),
            (
                r#","container":{"type":"DOCKER","docker":{"image":"i","network":"HOST","port_mappings":[{"host_port":1,"container_port":2},{"host_port":3,"container_port":4}],"parameters":[{"key":"a","value":"1"},{"key":"b","value":"2"}]}}"#,
                r#","container":{"type":"DOCKER","docker":{"image":"i","volume_driver":"d","port_mappings":[{"host_port":3,"container_port":4},{"host_port":1,"container_port":2}],"parameters":[{"key":"b","value":"2"},{"key":"a","value":"1"}]}}"#,
            ),
            (
                &format!(r#","resources":[{CPUS},{MEM}]"#),
                &format!(r#","resources":[{MEM},{CPUS}]"#),
            ),
            (
                &format!(r#","resources":[{CPUS},{CPUS}]"#),
                &format!(r#","resources":[{}]"#, CPUS.replace(":1}", ":2}")),
            ),
        ],
        true,
    );
}

#[test]
fn what_is_unset_is_as_good_as_its_default() {
    check(
        &[
            ("", r#","command":{"shell":true,"environment":{}}"#),
            ("", r#","container":{"type":"DOCKER"}"#),
            ("", r#","discovery":{"visibility":"FRAMEWORK","ports":{}}"#),
            ("", r#","name":"","source":"","data":"""#),
            ("", r#","framework_id":{"value":""}"#),
            (
                r#","command":{"value":"v"}"#,
                r#","command":{"value":"v","shell":true}"#,
            ),
        ],
        true,
    );
    // But the type: whether there is one counts.
    check(&[("", r#","type":"UNKNOWN""#)], false);
    let mut unknown = info("");
    unknown.r#type = Some(99);
    assert!(
        executor(&unknown, &info("")),
        "protobuf 2 drops what it does not know"
    );
}

#[test]
fn what_mesos_compares_makes_a_difference() {
    let other_id = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "f".into() },
        ..info("")
    };
    assert!(!executor(&info(""), &other_id));
    let fields = [
        r#","type":"CUSTOM""#,
        r#","framework_id":{"value":"f"}"#,
        r#","name":"n""#,
        r#","source":"s""#,
        r#","data":"eA==""#,
        r#","command":{"value":"v"}"#,
        r#","command":{"shell":false}"#,
        r#","command":{"user":"u"}"#,
        r#","command":{"arguments":["a"]}"#,
        r#","command":{"arguments":["a","b"]}"#,
        r#","command":{"arguments":["b","a"]}"#,
        r#","command":{"uris":[{"value":"u"}]}"#,
        r#","command":{"uris":[{"value":"u","extract":false}]}"#,
        r#","command":{"uris":[{"value":"u","executable":true}]}"#,
        r#","command":{"uris":[{"value":"u","output_file":"o"}]}"#,
        r#","command":{"environment":{"variables":[{"name":"a","value":"1"}]}}"#,
        r#","command":{"environment":{"variables":[{"name":"a","value":"2"}]}}"#,
        r#","container":{"type":"MESOS"}"#,
        r#","container":{"type":"DOCKER","hostname":"h"}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i"}}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i","network":"NONE"}}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i","privileged":true}}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i","force_pull_image":true}}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i","parameters":[{"key":"a","value":"1"}]}}"#,
        r#","container":{"type":"DOCKER","docker":{"image":"i","port_mappings":[{"host_port":1,"container_port":2}]}}"#,
        r#","container":{"type":"MESOS","volumes":[{"mode":"RW","container_path":"a"}]}"#,
        r#","container":{"type":"MESOS","volumes":[{"mode":"RO","container_path":"a"}]}"#,
        r#","container":{"type":"MESOS","volumes":[{"mode":"RO","container_path":"a","host_path":"h"}]}"#,
        r#","discovery":{"visibility":"CLUSTER"}"#,
        r#","discovery":{"visibility":"CLUSTER","name":"n"}"#,
        r#","discovery":{"visibility":"CLUSTER","environment":"e"}"#,
        r#","discovery":{"visibility":"CLUSTER","location":"l"}"#,
        r#","discovery":{"visibility":"CLUSTER","version":"v"}"#,
        r#","discovery":{"visibility":"CLUSTER","ports":{"ports":[{"number":1}]}}"#,
        r#","discovery":{"visibility":"CLUSTER","ports":{"ports":[{"number":1,"name":"n"}]}}"#,
        r#","discovery":{"visibility":"CLUSTER","labels":{"labels":[{"key":"a"}]}}"#,
        &format!(r#","resources":[{CPUS}]"#),
        &format!(r#","resources":[{MEM}]"#),
    ];
    for (at, left) in fields.iter().enumerate() {
        check(&[(left, "")], false);
        for right in &fields[at + 1..] {
            check(&[(left, right)], false);
        }
    }
}

/// Each on the left is found on the right, as Mesos has it: how often does not count.
#[test]
fn a_list_with_one_item_twice_is_like_a_longer_set_in_one_direction() {
    let variables = |names: [&str; 2]| {
        let [a, b] = names;
        info(&format!(
            r#","command":{{"environment":{{"variables":[{{"name":"{a}"}},{{"name":"{b}"}}]}}}}"#
        ))
    };
    let (twice, both) = (variables(["a", "a"]), variables(["a", "b"]));
    assert!(executor(&twice, &both));
    assert!(!executor(&both, &twice));
}
