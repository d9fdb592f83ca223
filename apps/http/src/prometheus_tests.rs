use super::*;

fn told(names: &[&str]) -> Vec<String> {
    let metrics = names.iter().map(|name| ((*name).to_owned(), 1.0.into()));
    let directory = Directory::new("here".to_owned(), tepui_kit::Clock::system());
    let text = text(&metrics.collect(), &directory);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn whose_a_number_is_stands_in_labels() {
    let names = [
        "allocator/mesos/offer_filters/roles/a/b/active",
        "allocator/mesos/quota/roles/a/b/resources/cpus/consumed",
        "allocator/mesos/roles/a\"b/shares/dominant",
        "frameworks/joe/messages_received",
        "master/cpus_total",
        "master/frameworks/my%20one/M-0000/calls/accept",
        "master/frameworks/my%20one/M-0000/roles/a/b/suppressed",
    ];
    let expected = [
        "mesos_allocator_mesos_offer_filters_roles_active{role=\"a/b\"} 1.0",
        "mesos_allocator_mesos_quota_roles_resources_cpus_consumed{role=\"a/b\"} 1.0",
        "mesos_allocator_mesos_roles_shares_dominant{role=\"a\\\"b\"} 1.0",
        "mesos_frameworks_messages_received{principal=\"joe\"} 1.0",
        "mesos_master_cpus_total 1.0",
        "mesos_master_frameworks_calls_accept{framework=\"my%20one\",framework_id=\"M-0000\"} 1.0",
        "mesos_master_frameworks_roles_suppressed{framework=\"my%20one\",framework_id=\"M-0000\",role=\"a/b\"} 1.0",
    ];
    assert_eq!(told(&names), expected);
}

#[test]
fn no_series_is_there_twice() {
    let names = ["master/a-b", "master/a_b"];
    let expected = [
        "mesos_master_a_b 1.0",
        "mesos_master_a_b{name=\"master/a_b\"} 1.0",
    ];
    assert_eq!(told(&names), expected);
    let roles =
        ["a-b", "a/b", "a_b"].map(|it| format!("allocator/mesos/offer_filters/roles/{it}/active"));
    let told: BTreeSet<_> = told(&roles.each_ref().map(String::as_str))
        .into_iter()
        .collect();
    assert_eq!(told.len(), 3);
}
