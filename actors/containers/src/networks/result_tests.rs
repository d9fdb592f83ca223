use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn answers_of_all_versions_have_addresses() {
    let old =
        json!({"ip4": {"ip": "10.1.2.3/24", "gateway": "10.1.2.1"}, "ip6": {"ip": "fd00::2/64"}});
    let new = json!({"cniVersion": "0.4.0", "interfaces": [],
        "ips": [{"version": "4", "address": "10.1.2.3/24"}, {"version": "6", "address": "fd00::2/64"}]});
    let expected: Vec<IpAddr> = vec!["10.1.2.3".parse().unwrap(), "fd00::2".parse().unwrap()];
    for answer in [old, new] {
        assert_eq!(Answer::parse(&answer).unwrap().addresses, expected);
    }
    // Plug-ins of no addresses.
    assert_eq!(Answer::parse(&json!({})).unwrap(), Answer::default());
}

#[test]
fn name_servers_are_told() {
    let answer = json!({"dns": {"nameservers": ["192.0.2.1"], "domain": "d", "search": ["s"], "options": ["o"]}});
    let dns = Answer::parse(&answer).unwrap().dns;
    assert_eq!(dns.nameservers, ["192.0.2.1"]);
    assert_eq!(dns.domain.as_deref(), Some("d"));
}

#[test]
fn an_answer_that_is_none_is_refused() {
    for answer in [
        json!([]),
        json!({"ips": [{"address": "x"}]}),
        json!({"ips": [{}]}),
        json!({"ips": vec![json!({"address": "10.0.0.1/8"}); 65]}),
        json!({"dns": {"search": ["a\nnameserver 192.0.2.66"]}}),
    ] {
        assert!(Answer::parse(&answer).is_err(), "{answer}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(text in r#"[\[\]{}:,"a-z0-9./ip]{0,64}"#) {
        if let Ok(answer) = serde_json::from_str(&text) {
            let _ = Answer::parse(&answer);
        }
    }
}
