use tepui_protocol::v1::{Resource, value};

use super::*;

#[test]
fn a_launch_is_ordered_with_resources_and_limits() {
    let limits = BTreeMap::from([("mem".to_owned(), value::Scalar { value: 64.0 })]);
    let resources = vec![Resource {
        name: "mem".to_owned(),
        ..Resource::default()
    }];
    let ordered = ordered(call::LaunchContainer {
        container_id: ContainerId {
            value: "inner".to_owned(),
            parent: Some(Box::new(ContainerId {
                value: "outer".to_owned(),
                parent: None,
            })),
        },
        resources: resources.clone(),
        limits: limits.clone(),
        ..call::LaunchContainer::default()
    });
    assert_eq!(ordered.container_id, "outer.inner");
    assert_eq!((ordered.resources, ordered.limits), (resources, limits));
}
