//! What a framework refused waits for the next interval under all its roles.

use std::time::Duration;

use tepui_messages::allocator::WorldChange;

use crate::scene::{Scene, framework_id, one};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_was_refused_under_one_role_waits_for_the_next_interval_under_the_others() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["r1", "r2"]);
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:4;mem:4096"));
    // It uses a bit and refuses the rest for as long as Mesos does if nothing is said.
    scene.decline("f1", "r1", "a1", "cpus:3;mem:3072", 5 * SECOND);
    assert_eq!(scene.offers(), [], "no second offer under the other role");
    scene.recover("f1", "r1", "a1", "cpus:1;mem:1024");
    let whole = one("f1", "r2", "a1", "cpus:4;mem:4096");
    assert_eq!(scene.offers(), whole, "all of it, and no crumb");
    scene.decline("f1", "r2", "a1", "cpus:4;mem:4096", 5 * SECOND);
    assert_eq!(scene.offers(), []);
    // It asks again under one of the roles, and that ends the hold.
    scene.tell(WorldChange::Revive {
        framework_id: framework_id("f1"),
        roles: vec!["r1".to_owned()],
    });
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:4;mem:4096"));
    scene.decline("f1", "r1", "a1", "cpus:4;mem:4096", Duration::ZERO);
    assert_eq!(scene.offers(), []);
    scene.advance(Duration::from_millis(700));
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:4;mem:4096"));
}

#[test]
fn a_hold_that_a_revival_ends_is_over_for_all_roles() {
    let mut scene = Scene::new();
    scene.add_agent("a1", "cpus:4;mem:4096");
    scene.add_framework("f1", &["r1", "r2", "r3"]);
    assert_eq!(scene.offers(), one("f1", "r1", "a1", "cpus:4;mem:4096"));
    let suppressed = WorldChange::Suppress {
        framework_id: framework_id("f1"),
        roles: vec!["r3".to_owned()],
    };
    scene.tell(suppressed);
    scene.decline("f1", "r1", "a1", "cpus:4;mem:4096", 5 * SECOND);
    assert_eq!(scene.offers(), []);
    // Nobody is open to offers under the revived role, but under one of the others.
    scene.tell(WorldChange::Revive {
        framework_id: framework_id("f1"),
        roles: vec!["r3".to_owned()],
    });
    scene.tell(WorldChange::Suppress {
        framework_id: framework_id("f1"),
        roles: vec!["r3".to_owned()],
    });
    assert_eq!(scene.offers(), one("f1", "r2", "a1", "cpus:4;mem:4096"));
}
