//! Whether two descriptions mean the same executor, by the fields that Mesos compares (`type_utils.cpp`).
//!
//! What is unset is as good as its default. Lists are compared in any order, arguments apart: they are alike where
//! they are of one length and each on the left is found on the right. Many fields do not count at all:
//! labels, the grace period, networks, limits, a URI's `cache`.

use std::collections::BTreeSet;

use crate::resources::Resources;
use crate::v1::{self, container_info::DockerInfo, executor_info};

#[must_use]
pub fn executor(left: &v1::ExecutorInfo, right: &v1::ExecutorInfo) -> bool {
    // The usual case costs no tables.
    if left == right {
        return true;
    }
    // An unknown number is as good as none, as in protobuf 2.
    let kind = |info: &v1::ExecutorInfo| {
        let number = info.r#type;
        number.and_then(|number| executor_info::Type::try_from(number).ok())
    };
    let resources = |info: &v1::ExecutorInfo| Resources::from_proto_unchecked(&info.resources);
    kind(left) == kind(right)
        && left.executor_id == right.executor_id
        && left.data() == right.data()
        && left.name() == right.name()
        && left.source() == right.source()
        && filled(&left.framework_id, &right.framework_id, PartialEq::eq)
        && filled(&left.command, &right.command, command)
        && filled(&left.container, &right.container, container)
        && filled(&left.discovery, &right.discovery, discovery)
        && resources(left) == resources(right)
}

fn command(left: &v1::CommandInfo, right: &v1::CommandInfo) -> bool {
    left.arguments == right.arguments
        && left.value() == right.value()
        && left.user() == right.user()
        && left.shell() == right.shell()
        && filled(&left.environment, &right.environment, environment)
        // From the cache or from its origin, it is the same file.
        && unordered(&left.uris, &right.uris, |uri| {
            (uri.value.as_str(), uri.executable(), uri.extract(), uri.output_file())
        })
}

fn environment(left: &v1::Environment, right: &v1::Environment) -> bool {
    unordered(&left.variables, &right.variables, |variable| {
        (variable.name.as_str(), variable.value())
    })
}

fn container(left: &v1::ContainerInfo, right: &v1::ContainerInfo) -> bool {
    left.r#type() == right.r#type()
        && left.hostname() == right.hostname()
        && filled(&left.docker, &right.docker, docker)
        && unordered(&left.volumes, &right.volumes, |volume| {
            let path = volume.container_path.as_str();
            (path, volume.host_path(), volume.mode())
        })
}

fn docker(left: &DockerInfo, right: &DockerInfo) -> bool {
    left.image == right.image
        && left.network() == right.network()
        && left.privileged() == right.privileged()
        && left.force_pull_image() == right.force_pull_image()
        && unordered(&left.port_mappings, &right.port_mappings, |mapping| {
            let protocol = mapping.protocol();
            (mapping.host_port, mapping.container_port, protocol)
        })
        && unordered(&left.parameters, &right.parameters, |parameter| {
            (parameter.key.as_str(), parameter.value.as_str())
        })
}

fn discovery(left: &v1::DiscoveryInfo, right: &v1::DiscoveryInfo) -> bool {
    left.visibility() == right.visibility()
        && left.name() == right.name()
        && left.environment() == right.environment()
        && left.location() == right.location()
        && left.version() == right.version()
        && filled(&left.ports, &right.ports, ports)
        && filled(&left.labels, &right.labels, labels)
}

fn ports(left: &v1::Ports, right: &v1::Ports) -> bool {
    unordered(&left.ports, &right.ports, |port| {
        let (name, protocol) = (port.name(), port.protocol());
        (port.number, name, protocol, port.visibility())
    })
}

fn labels(left: &v1::Labels, right: &v1::Labels) -> bool {
    unordered(&left.labels, &right.labels, |label| {
        (label.key.as_str(), label.value())
    })
}

/// A message that is not there is as good as an empty one.
fn filled<T: Default>(left: &Option<T>, right: &Option<T>, same: impl Fn(&T, &T) -> bool) -> bool {
    let empty = T::default();
    same(
        left.as_ref().unwrap_or(&empty),
        right.as_ref().unwrap_or(&empty),
    )
}

/// By a set, so that long lists do not hold up the master.
fn unordered<'a, T, K: Ord>(left: &'a [T], right: &'a [T], key: impl Fn(&'a T) -> K) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let known: BTreeSet<K> = right.iter().map(&key).collect();
    left.iter().all(|item| known.contains(&key(item)))
}

#[cfg(test)]
#[path = "same_tests.rs"]
mod tests;
