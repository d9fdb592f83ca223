use super::*;
use crate::effect::{Fate, Input};
use crate::testing::*;
use tepui_protocol::v1::{NetworkInfo, TaskInfo};

fn ranges(pairs: &[(u64, u64)]) -> Ranges {
    let pairs = pairs.iter();
    pairs
        .filter_map(|(begin, end)| Range::new(*begin, *end))
        .collect()
}

fn with_ports(id: &str, begin: u64, end: u64) -> TaskInfo {
    let mut task = task(id);
    task.resources.push(ports(begin, end));
    task
}

fn ports(begin: u64, end: u64) -> Resource {
    Resource {
        name: PORTS.to_owned(),
        r#type: value::Type::Ranges as i32,
        ranges: Some(ranges(&[(begin, end)]).to_proto()),
        ..Resource::default()
    }
}

fn watching(enforced: bool, isolated: IsolatedPorts) -> Node {
    let mut node = Node::blank();
    let mut config = config();
    if isolated == IsolatedPorts::Offered {
        config.info.resources = vec![ports(31_000, 32_000)];
    }
    config.ports_watch = Some(PortsWatch {
        interval: PortsWatch::DEFAULT_INTERVAL,
        enforced,
        isolated,
    });
    node.core = NodeCore::new(config);
    node.on(Input::Recovered(Box::default()));
    node.connect();
    node
}

fn asked(node: &mut Node) -> Option<Vec<String>> {
    let is_it = |it: &Effect| matches!(it, Effect::LookAtPorts { .. });
    let found = node.said.iter().position(is_it)?;
    match node.said.remove(found) {
        Effect::LookAtPorts { containers } => Some(containers),
        _ => None,
    }
}

fn seen(node: &mut Node, container_id: &str, ports: &[u16]) {
    let ports = ports.iter().copied().collect();
    let seen = BTreeMap::from([(container_id.to_owned(), ports)]);
    node.on(Input::PortsSeen(seen));
}

fn destroyed(node: &Node) -> Vec<&str> {
    let said = node.said.iter();
    let ids = said.filter_map(|effect| match effect {
        Effect::Destroy { container_id } => Some(container_id.as_str()),
        _ => None,
    });
    ids.collect()
}

fn notes(node: &Node) -> usize {
    let said = node.said.iter();
    said.filter(|it| matches!(it, Effect::Note(_))).count()
}

#[test]
fn nobody_looks_unless_told_to() {
    let mut node = Node::running();
    node.run(task("t"));
    node.start();
    node.sleep(PortsWatch::DEFAULT_INTERVAL * 10);
    assert_eq!(asked(&mut node), None);
}

#[test]
fn who_listens_where_he_was_given_a_port_goes_on() {
    let mut node = watching(true, IsolatedPorts::All);
    node.run(with_ports("t", 31_000, 31_001));
    let container_id = node.start();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    assert_eq!(asked(&mut node), Some(vec![container_id.clone()]));
    seen(&mut node, &container_id, &[31_000, 31_001]);
    assert!(destroyed(&node).is_empty());
    // And is looked at again.
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    assert!(asked(&mut node).is_some());
}

#[test]
fn who_listens_elsewhere_fails_with_the_ports_as_limitation() {
    let mut node = watching(true, IsolatedPorts::All);
    node.run(with_ports("t", 31_000, 31_001));
    let container_id = node.start();
    node.drain();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000, 31_005, 31_006]);
    assert_eq!(destroyed(&node), [container_id.as_str()]);
    node.exit(&container_id, 9);
    let status = node.drain().pop().unwrap();
    assert_eq!(status.state(), TaskState::TaskFailed);
    assert_eq!(status.reason(), Reason::ContainerLimitation);
    assert_eq!(
        status.message(),
        format!("Container {container_id} is listening on unallocated port(s): [31005-31006]")
    );
    let limitation = status.limitation.unwrap().resources;
    assert_eq!(limitation, [ports(31_005, 31_006)]);
}

#[test]
fn without_ports_every_one_is_another_s() {
    let mut node = watching(true, IsolatedPorts::All);
    node.run(task("t"));
    let container_id = node.start();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000]);
    assert_eq!(destroyed(&node), [container_id.as_str()]);
}

#[test]
fn what_is_not_enforced_is_told_once() {
    let mut node = watching(false, IsolatedPorts::All);
    node.run(task("t"));
    let container_id = node.start();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000]);
    assert!(destroyed(&node).is_empty());
    assert_eq!(notes(&node), 1);
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000]);
    assert_eq!(notes(&node), 1, "it is known");
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000, 31_001]);
    assert_eq!(notes(&node), 2, "there is more of it");
}

#[test]
fn only_the_ports_that_are_looked_at_count() {
    let within = IsolatedPorts::Within(ranges(&[(40_000, 40_001)]));
    for (isolated, free, taken) in [
        (IsolatedPorts::Offered, 40_000, 31_500),
        (within, 31_500, 40_000),
    ] {
        let mut node = watching(true, isolated);
        node.run(with_ports("t", 31_000, 31_000));
        let container_id = node.start();
        node.sleep(PortsWatch::DEFAULT_INTERVAL);
        seen(&mut node, &container_id, &[free]);
        assert!(destroyed(&node).is_empty());
        node.sleep(PortsWatch::DEFAULT_INTERVAL);
        seen(&mut node, &container_id, &[taken]);
        assert_eq!(destroyed(&node), [container_id.as_str()]);
    }
}

#[test]
fn who_has_a_network_of_its_own_is_not_looked_at() {
    let mut node = watching(true, IsolatedPorts::All);
    node.run(task("t"));
    let container_id = node.launched().order.container_id;
    node.on(Input::Networked {
        container_id: container_id.clone(),
        networks: vec![NetworkInfo::default()],
    });
    node.on(started(&container_id, 42));
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    assert_eq!(asked(&mut node), None);
}

#[test]
fn a_task_of_a_group_listens_at_the_ports_of_all_and_a_stray_one_ends_the_group() {
    let mut node = watching(true, IsolatedPorts::All);
    let tasks = vec![
        with_ports("t1", 31_000, 31_000),
        with_ports("t2", 31_001, 31_001),
    ];
    node.order(group_order(pod(), tasks, true));
    let outer = node.start();
    let (first, second) = (node.start(), node.start());
    node.drain();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    let mut all = asked(&mut node).unwrap();
    all.sort();
    let mut expected = vec![outer.clone(), first.clone(), second.clone()];
    expected.sort();
    assert_eq!(all, expected);
    seen(&mut node, &first, &[31_001]);
    assert!(destroyed(&node).is_empty());
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &second, &[31_002]);
    let ended = destroyed(&node);
    assert!(
        [&outer, &first, &second]
            .into_iter()
            .all(|id| ended.contains(&id.as_str()))
    );
}

#[test]
fn a_container_of_an_agent_before_is_looked_at_with_the_ports_that_were_kept() {
    let mut node = watching(true, IsolatedPorts::All);
    node.run(with_ports("good", 31_000, 31_000));
    let good = node.start();
    node.drain();
    let mut node = node.restart("boot");
    node.core.config.ports_watch = Some(PortsWatch {
        interval: PortsWatch::DEFAULT_INTERVAL,
        enforced: true,
        isolated: IsolatedPorts::All,
    });
    let fate = Fate::Running {
        shim: mark(),
        pid: 42,
    };
    node.on(Input::ContainerRecovered {
        container_id: good.clone(),
        fate,
    });
    node.connect();
    let mut looks = 0;
    for ports in [&[31_000][..], &[31_000, 31_009]] {
        node.sleep(PortsWatch::DEFAULT_INTERVAL);
        looks += usize::from(asked(&mut node) == Some(vec![good.clone()]));
        assert!(destroyed(&node).is_empty());
        seen(&mut node, &good, ports);
    }
    assert_eq!(looks, 2);
    assert_eq!(destroyed(&node), [good.as_str()]);
}

#[test]
fn an_agent_that_offers_no_ports_has_none_to_look_at() {
    let mut node = watching(true, IsolatedPorts::Offered);
    node.core.total = tepui_protocol::resources::Resources::default();
    node.run(task("t"));
    let container_id = node.start();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &container_id, &[31_000]);
    assert!(destroyed(&node).is_empty());
}

#[test]
fn a_group_of_an_agent_before_is_looked_at_with_the_ports_of_all() {
    let mut node = watching(true, IsolatedPorts::All);
    let tasks = vec![with_ports("t", 31_000, 31_000)];
    node.order(group_order(pod(), tasks, true));
    let (outer, inner) = (node.start(), node.start());
    node.drain();
    let mut node = node.restart("boot");
    node.core.config.ports_watch = Some(PortsWatch {
        interval: PortsWatch::DEFAULT_INTERVAL,
        enforced: true,
        isolated: IsolatedPorts::All,
    });
    for container_id in [&outer, &inner] {
        node.found_running(container_id);
    }
    node.connect();
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &inner, &[31_000]);
    assert!(destroyed(&node).is_empty());
    node.sleep(PortsWatch::DEFAULT_INTERVAL);
    seen(&mut node, &inner, &[31_000, 31_001]);
    assert!(destroyed(&node).contains(&inner.as_str()));
}
