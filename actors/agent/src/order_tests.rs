use std::collections::BTreeMap;

use tepui_messages::containers::{LaunchOrder, MountSource};
use tepui_protocol::v1::{
    ContainerInfo, Environment, Image, NetworkInfo, Resource, TaskInfo, container_info,
    environment, image, resource,
};

use crate::{config::DomainSocket, testing::*};

/// What starts it, and its environment.
fn ordered(task: TaskInfo) -> (LaunchOrder, BTreeMap<String, String>) {
    let mut node = Node::running();
    node.core.config.domain_socket = Some(DomainSocket {
        location: "/srv/agent.sock".into(),
        directory: "/run/own".into(),
    });
    node.run(task);
    let order = node.launched().order;
    let env = order.env.iter().cloned().collect();
    (order, env)
}

fn in_image() -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        mesos: Some(container_info::MesosInfo {
            image: Some(Image {
                r#type: image::Type::Docker as i32,
                docker: Some(image::Docker {
                    name: "box".to_owned(),
                    ..image::Docker::default()
                }),
                ..Image::default()
            }),
        }),
        ..ContainerInfo::default()
    }
}

#[test]
fn executors_are_told_of_a_socket_that_they_see() {
    let variable = "MESOS_DOMAIN_SOCKET";
    let (order, env) = ordered(task("command"));
    assert_eq!(env[variable], "/srv/agent.sock");
    assert!(order.confinement.mounts.is_empty());
    let (_, env) = ordered(executor_task("own"));
    assert_eq!(env[variable], "/srv/agent.sock");
    // One with files of an image sees the agent's directory, which a restarted agent uses again.
    let mut own = executor_task("own");
    let executor = own.executor.as_mut().expect("an executor");
    executor.container = Some(in_image());
    let (order, env) = ordered(own);
    assert_eq!(env[variable], "/run/mesos/agent.sock");
    let [mount] = &order.confinement.mounts[..] else {
        panic!("{:?}", order.confinement.mounts);
    };
    assert_eq!(mount.source, MountSource::Own("/run/own".into()));
    assert_eq!(mount.container_path.to_str(), Some("/run/mesos"));
    assert!(mount.read_only);
    // A command in an image has nobody to talk to.
    let mut command = task("command");
    command.container = Some(in_image());
    let (order, env) = ordered(command);
    assert!(!env.contains_key(variable) && order.confinement.mounts.is_empty());
    let mut node = Node::running();
    node.run(executor_task("own"));
    let env = node.launched().order.env;
    assert!(
        env.iter().all(|(name, _)| name != variable),
        "nobody asked for one"
    );
}

#[test]
fn executors_on_the_machines_network_are_told_the_agents_address() {
    let variable = "LIBPROCESS_IP";
    let address = |container: Option<ContainerInfo>, own: Option<&str>, given: Option<&str>| {
        let mut node = Node::running();
        node.core.config.libprocess_ip = own.map(str::to_owned);
        let given = given.map(|ip| (variable.to_owned(), ip.to_owned()));
        node.core.config.environment = given.into_iter().collect();
        let mut task = executor_task("own");
        task.executor.as_mut().expect("an executor").container = container;
        node.run(task);
        let env: BTreeMap<_, _> = node.launched().order.env.into_iter().collect();
        env.get(variable).cloned()
    };
    let own = Some("192.0.2.7");
    assert_eq!(address(None, None, None), None);
    assert_eq!(address(None, own, None).as_deref(), own);
    assert_eq!(address(Some(in_image()), own, None).as_deref(), own);
    let joined = ContainerInfo {
        network_infos: vec![NetworkInfo {
            name: Some("blue".to_owned()),
            ..NetworkInfo::default()
        }],
        ..in_image()
    };
    assert_eq!(address(Some(joined), own, None), None, "it has another one");
    let given = Some("192.0.2.8");
    assert_eq!(
        address(None, own, given).as_deref(),
        given,
        "the operator's"
    );
}

fn variables(of: &[(&str, &str)]) -> Environment {
    let variables = of.iter().map(|(name, value)| environment::Variable {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        ..environment::Variable::default()
    });
    Environment {
        variables: variables.collect(),
    }
}

/// A task with variables of its own, allocated to the role `web`.
fn with_own_variables(mut task: TaskInfo) -> TaskInfo {
    let executor = task.executor.as_mut().and_then(|it| it.command.as_mut());
    let own = variables(&[
        ("MESOS_ALLOCATION_ROLE", "own"),
        ("MESOS_CONTAINER_IP", "own"),
        ("MESOS_SANDBOX", "own"),
    ]);
    let command = executor.or(task.command.as_mut()).expect("a command");
    command.environment = Some(own);
    task.resources = vec![Resource {
        allocation_info: Some(resource::AllocationInfo {
            role: Some("web".to_owned()),
        }),
        ..scalar("cpus", 0.1)
    }];
    task
}

#[test]
fn no_task_chooses_its_role_and_none_of_a_group_its_address() {
    let (_, env) = ordered(with_own_variables(task("command")));
    assert_eq!(env["MESOS_ALLOCATION_ROLE"], "web");
    assert_eq!(env["MESOS_CONTAINER_IP"], "own", "nobody else gives it one");
    let (_, env) = ordered(with_own_variables(executor_task("program")));
    assert_eq!(env["MESOS_ALLOCATION_ROLE"], "own");
    let env = in_group(&mut Node::running(), with_own_variables(task("t")));
    assert_eq!(env["MESOS_ALLOCATION_ROLE"], "web");
    assert_eq!(env["MESOS_CONTAINER_IP"], config().ip);
    assert_eq!(env["MESOS_SANDBOX"], "own");
}

/// As [`in_image`], as Docker has it.
fn in_docker() -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Docker as i32,
        docker: Some(container_info::DockerInfo {
            image: "box".to_owned(),
            ..container_info::DockerInfo::default()
        }),
        ..ContainerInfo::default()
    }
}

#[test]
fn a_command_in_a_container_of_docker_has_nothing_of_an_executors() {
    let mut node = Node::running();
    node.core.config.libprocess_ip = Some("192.0.2.7".to_owned());
    let mut given = with_own_variables(task("command"));
    given.container = Some(in_docker());
    node.run(given);
    let order = node.launched().order;
    let env: BTreeMap<_, _> = order.env.iter().cloned().collect();
    let names: Vec<_> = env.keys().map(String::as_str).collect();
    let own = ["MESOS_ALLOCATION_ROLE", "MESOS_CONTAINER_IP"];
    let docker = ["MESOS_CONTAINER_NAME", "MESOS_SANDBOX"];
    assert_eq!(names, [own, docker].concat());
    let name = format!("mesos-{}", order.container_id);
    assert_eq!(env["MESOS_CONTAINER_NAME"], name);
    assert_eq!(env["MESOS_SANDBOX"], "/mnt/mesos/sandbox");
    assert_eq!(env["MESOS_ALLOCATION_ROLE"], "web");
}

#[test]
fn an_executor_in_a_container_of_docker_cannot_say_otherwise_what_the_agent_tells_it() {
    let mut given = executor_task("program");
    let executor = given.executor.as_mut().expect("an executor");
    executor.container = Some(in_docker());
    let command = executor.command.get_or_insert_default();
    let own = ["MESOS_EXECUTOR_ID", "MESOS_SANDBOX", "OWN"];
    command.environment = Some(variables(&own.map(|name| (name, "own"))));
    let id = executor.executor_id.value.clone();
    let (_, env) = ordered(given);
    assert_eq!(env["MESOS_EXECUTOR_ID"], id);
    assert_eq!(env["MESOS_SANDBOX"], "/mnt/mesos/sandbox");
    assert_eq!(env["OWN"], "own");
    assert!(env.contains_key("MESOS_FRAMEWORK_ID"));
}

/// The environment of a task of a group.
fn in_group(node: &mut Node, task: TaskInfo) -> BTreeMap<String, String> {
    node.order(group_order(pod(), vec![task], true));
    let outer = node.launched().order.container_id;
    node.on(started(&outer, 42));
    node.launched().order.env.into_iter().collect()
}

#[test]
fn variables_of_executors_are_not_those_of_tasks_within_them() {
    let mut node = Node::running();
    let given = [("PATH", "/agents"), ("LANG", "C")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    node.core.config.environment = given.to_vec();
    let env = in_group(&mut node, task("t"));
    assert_eq!(env["PATH"], "/agents");
    assert!(!env.contains_key("LANG"));
}
