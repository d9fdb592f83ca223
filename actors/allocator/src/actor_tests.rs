use tepui_kit::{
    Random, Tell,
    stage::{Recorder, TestStage},
};

use super::*;
use crate::{
    core::Config,
    scene::{agent_added, agent_info, framework_added, framework_info, parse, recovered},
};

#[test]
fn proposals_follow_changes_and_the_clock() {
    TestStage::run(1, async |stage| {
        let master = Recorder::<Proposals>::new();
        let teller = master.teller();
        let link = stage.spawn().start_once(move || {
            let core = AllocatorCore::new(&Config::default(), Random::seeded(1));
            Allocator::new(core.expect("the default policy exists"), teller)
        });
        let total = parse("cpus:4;mem:4096");
        link.tell(agent_added(agent_info("a1"), total.clone()))
            .unwrap();
        let info = framework_info("f1", &["*"], &[]);
        link.tell(framework_added(info)).unwrap();
        stage.settle().await;
        let proposals = master.take();
        assert_eq!(proposals.len(), 1, "two changes of one moment are one run");
        assert_eq!(
            proposals[0].proposals[0].agents,
            [(agent_info("a1").id.unwrap().into(), total.into())]
        );

        let five = Some(Duration::from_secs(5));
        link.tell(recovered("f1", "*", "a1", "cpus:4;mem:4096", five))
            .unwrap();
        stage.advance(Duration::from_millis(4_900)).await;
        assert!(master.take().is_empty());
        stage.advance(Duration::from_millis(1_200)).await;
        assert_eq!(master.take().len(), 1);
    });
}
