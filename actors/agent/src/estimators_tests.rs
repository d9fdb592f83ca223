use std::sync::Arc;

use tepui_protocol::{resources::Resources, v1::ExecutorInfo};

use super::*;
use crate::{effect::ExecutorKey, usage::ExecutorUsage};

pub(crate) fn lent(text: &str) -> Resources {
    let parsed = Resources::parse(text, "*").unwrap();
    let entries = parsed.iter();
    entries
        .map(|entry| entry.with_terms(|terms| terms.revocable = true))
        .collect()
}

pub(crate) fn executor(name: &str, allocated: Resources) -> ExecutorUsage {
    ExecutorUsage {
        key: ExecutorKey {
            framework_id: "f".to_owned(),
            executor_id: name.to_owned(),
        },
        info: Arc::new(ExecutorInfo::default()),
        container_id: format!("c-{name}"),
        allocated,
        tasks: Vec::new(),
        statistics: None,
    }
}

#[test]
fn the_fixed_one_lends_what_is_not_lent_of_a_fixed_amount() {
    for name in ["fixed", "org_apache_mesos_FixedResourceEstimator"] {
        let fixed = parse(&format!("{name}=cpus:2;mem:512")).unwrap().unwrap();
        let mut usage = Usage::default();
        assert_eq!(fixed.oversubscribable(&usage), lent("cpus:2;mem:512"));
        let firm = Resources::parse("cpus:3;mem:100", "*").unwrap();
        usage.executors.push(executor("a", firm));
        assert_eq!(fixed.oversubscribable(&usage), lent("cpus:2;mem:512"));
        usage.executors.push(executor("b", lent("cpus:1.5")));
        assert_eq!(fixed.oversubscribable(&usage), lent("cpus:0.5;mem:512"));
        usage.executors.push(executor("c", lent("cpus:1")));
        assert_eq!(fixed.oversubscribable(&usage), lent("mem:512"));
    }
}

#[test]
fn what_is_wrong_with_a_choice_is_said() {
    assert!(parse("noop").unwrap().is_none());
    for (text, reason) in [
        ("free", "there is no resource estimator `free`"),
        ("fixed", "it is not said how much is lent"),
        ("fixed=", "it is not said how much is lent"),
        ("fixed=cpus", "expected fixed=RESOURCES"),
        ("fixed=cpus(role):1", "reserved for nobody"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
