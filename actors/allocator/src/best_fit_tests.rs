use crate::{core::Config, scene::Scene};

#[test]
fn what_is_begun_is_offered_before_what_is_empty() {
    let config = Config {
        policy: "best-fit".to_owned(),
        ..Config::default()
    };
    for seed in 0..20 {
        let mut scene = Scene::with(&config, seed);
        for (agent, total) in [
            ("empty", "cpus:4;mem:400"),
            ("half", "cpus:8;mem:800"),
            ("full", "cpus:16;mem:1600"),
        ] {
            scene.add_agent(agent, total);
        }
        scene.add_framework("f1", &["*"]);
        scene.settle();
        scene.take_proposals();
        // Of the largest machine the least part is free; it matters what part, not how much.
        scene.tell_suppressed("f1");
        scene.recover("f1", "*", "empty", "cpus:4;mem:400");
        scene.recover("f1", "*", "half", "cpus:4;mem:100");
        scene.recover("f1", "*", "full", "cpus:3;mem:300");
        scene.settle();
        scene.tell_revived("f1");
        let offers = scene.offers().into_iter();
        let agents: Vec<String> = offers.map(|(_, _, agent, _)| agent).collect();
        assert_eq!(agents, ["full", "half", "empty"], "seed {seed}");
    }
}
