use proptest::prelude::*;
use tepui_engine::{Durability, MemoryEngine};

use super::*;
use crate::{
    AGENT_DRAINING, MAX_REMOVED_FRAMEWORKS, MachineMode, MachineRecord, Maintenance, Outcome,
    QUOTA_V2,
};

pub(crate) struct Stage {
    engine: MemoryEngine,
    machine: RegistryMachine,
    index: u64,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            engine: MemoryEngine::new(&[REGISTRY]),
            machine: RegistryMachine::new(),
            index: 0,
        }
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let before = self.registry();
        self.index += 1;
        let mut batch = Batch::new();
        let bytes = command.encode();
        self.machine.check(&bytes).unwrap();
        let outcome = self.machine.apply(self.index, &bytes, &mut batch).unwrap();
        let outcome = Outcome::decode(&outcome).unwrap();
        let changed = self.registry() != before;
        assert_eq!(changed, outcome == Outcome::CHANGED, "{outcome:?}");
        assert!(changed || batch.is_empty(), "an unchanged state is written");
        self.registry().check().unwrap();
        self.engine.write(&batch, Durability::Buffered).unwrap();
        assert_eq!(self.machine.reader().bytes(), self.stored_bytes());
        outcome
    }

    fn stored_bytes(&self) -> usize {
        let mut bytes = 0;
        let mut count = |key: &[u8], value: &[u8]| {
            bytes += key.len() + value.len();
            ControlFlow::Continue(())
        };
        self.engine
            .scan(REGISTRY, &KeyRange::all(), &mut count)
            .unwrap();
        bytes
    }

    pub(crate) fn registry(&self) -> Registry {
        self.machine.reader().copy()
    }

    pub(crate) fn reloaded(&self) -> Registry {
        let mut machine = RegistryMachine::new();
        machine.load(&self.engine).unwrap();
        assert_eq!(machine.reader().bytes(), self.stored_bytes());
        machine.reader().copy()
    }
}

pub(crate) fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { .. })
}

pub(crate) fn id(text: &str) -> String {
    text.to_owned()
}

pub(crate) fn info(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

pub(crate) fn admit(agent: &str) -> Command {
    Command::AdmitAgent {
        id: id(agent),
        info: info("info"),
    }
}

#[test]
fn an_agent_is_in_one_state_and_a_gone_one_never_returns() {
    let mut stage = Stage::new();
    let unreachable = |at_nanos| Command::MarkUnreachable {
        id: id("a"),
        at_nanos,
    };
    let reachable = Command::MarkReachable {
        id: id("a"),
        info: info("new"),
    };
    let gone = Command::MarkGone {
        id: id("a"),
        at_nanos: 9,
    };
    assert!(refused(&stage.apply(unreachable(1))));
    assert_eq!(stage.apply(admit("a")), Outcome::CHANGED);
    assert!(refused(&stage.apply(admit("a"))));
    stage.apply(unreachable(1));
    assert!(refused(&stage.apply(admit("a"))));
    assert_eq!(stage.apply(reachable.clone()), Outcome::CHANGED);
    assert_eq!(stage.apply(reachable.clone()), Outcome::changed(false));
    assert_eq!(stage.apply(gone.clone()), Outcome::CHANGED);
    assert_eq!(stage.apply(gone), Outcome::changed(false));
    assert!(refused(&stage.apply(reachable)));
    assert!(refused(&stage.apply(admit("a"))));
    assert_eq!(stage.registry().gone[&id("a")], 9);
}

#[test]
fn draining_is_kept_while_unreachable_and_asks_for_its_capability() {
    let mut stage = Stage::new();
    stage.apply(admit("a"));
    let drained = Command::MarkDrained {
        id: id("a"),
        drain: info("drained"),
    };
    assert!(refused(&stage.apply(drained.clone())));
    stage.apply(Command::DrainAgent {
        id: id("a"),
        drain: info("draining"),
    });
    assert!(
        stage
            .registry()
            .minimum_capabilities
            .contains(AGENT_DRAINING)
    );
    stage.apply(Command::MarkUnreachable {
        id: id("a"),
        at_nanos: 1,
    });
    assert_eq!(stage.apply(drained), Outcome::CHANGED);
    stage.apply(Command::MarkReachable {
        id: id("a"),
        info: info("info"),
    });
    let agent = stage.registry().agents[&id("a")].clone();
    assert_eq!(
        (agent.drain, agent.deactivated),
        (Some(info("drained")), true)
    );
    stage.apply(Command::ReactivateAgent { id: id("a") });
    assert!(stage.registry().minimum_capabilities.is_empty());
}

#[test]
fn weights_and_quotas_are_set_by_role_and_the_last_quota_takes_its_condition_along() {
    let mut stage = Stage::new();
    let weights = |list: &[(&str, f64)]| Command::UpdateWeights {
        weights: list.iter().map(|(role, w)| (id(role), *w)).collect(),
    };
    stage.apply(weights(&[("a", 2.0)]));
    stage.apply(weights(&[("a", 1.0), ("b", 3.5)]));
    let expected = [(id("a"), 1.0), (id("b"), 3.5)].into();
    assert_eq!(stage.reloaded().weights, expected);

    let quota = |set: &[(&str, &str)], remove: &[&str]| Command::UpdateQuota {
        set: set
            .iter()
            .map(|(role, config)| (id(role), info(config)))
            .collect(),
        remove: remove.iter().map(|role| id(role)).collect(),
    };
    assert_eq!(stage.apply(quota(&[], &["a"])), Outcome::changed(false));
    assert!(stage.reloaded().minimum_capabilities.is_empty());
    stage.apply(quota(&[("a", "1")], &[]));
    stage.apply(quota(&[("a", "2"), ("b", "3")], &[]));
    let registry = stage.reloaded();
    let expected = [(id("a"), info("2")), (id("b"), info("3"))].into();
    assert_eq!(registry.quotas, expected);
    stage.apply(quota(&[], &["a"]));
    assert!(stage.reloaded().minimum_capabilities.contains(QUOTA_V2));
    stage.apply(quota(&[], &["b"]));
    let registry = stage.reloaded();
    assert!(registry.quotas.is_empty() && registry.minimum_capabilities.is_empty());
}

#[test]
fn pruning_forgets_by_age_and_by_number() {
    let mut stage = Stage::new();
    for (at_nanos, agent) in [(10, "b"), (20, "a"), (30, "d"), (40, "c")] {
        stage.apply(admit(agent));
        stage.apply(Command::MarkUnreachable {
            id: id(agent),
            at_nanos,
        });
    }
    let prune = |before_nanos, max| Command::Prune { before_nanos, max };
    assert_eq!(stage.apply(prune(5, 9)), Outcome::changed(false));
    stage.apply(prune(20, 9));
    let left = stage.registry().unreachable.into_keys();
    assert_eq!(left.collect::<Vec<_>>(), ["a", "c", "d"]);
    stage.apply(prune(0, 1));
    let left = stage.registry().unreachable.into_keys();
    assert_eq!(left.collect::<Vec<_>>(), ["c"]);
    assert_eq!(stage.reloaded(), stage.registry());
}

#[test]
fn counted_time_never_goes_back_and_a_connected_framework_has_no_deadline() {
    let mut stage = Stage::new();
    stage.apply(Command::AdmitFramework {
        id: id("f"),
        info: info("info"),
        suppressed: vec![],
    });
    let ends = |stage: &Stage| stage.registry().frameworks["f"].failover_ends_nanos;
    let away = |now_nanos, deadline| Command::FrameworksAway {
        now_nanos,
        deadlines: vec![(id("f"), deadline), (id("unknown"), 1)],
    };
    assert_eq!(stage.apply(away(10, 70)), Outcome::CHANGED);
    assert_eq!(
        (stage.registry().counted_nanos, ends(&stage)),
        (10, Some(70))
    );
    assert_eq!(
        stage.apply(Command::CountTime { now_nanos: 9 }),
        Outcome::changed(false)
    );
    assert_eq!(
        stage.apply(Command::CountTime { now_nanos: 11 }),
        Outcome::CHANGED
    );
    assert_eq!(stage.registry().counted_nanos, 11);
    stage.apply(Command::FrameworkConnected { id: id("f") });
    assert_eq!(ends(&stage), None);
    assert_eq!(stage.reloaded(), stage.registry());
}

#[test]
fn a_removed_framework_is_remembered_within_a_bound() {
    let mut stage = Stage::new();
    let admit = |framework: String| Command::AdmitFramework {
        id: framework,
        info: info("info"),
        suppressed: vec![id("r2"), id("r1"), id("r1")],
    };
    for number in 0..=MAX_REMOVED_FRAMEWORKS {
        stage.apply(admit(format!("f{number}")));
        stage.apply(Command::FrameworkDisconnected {
            id: format!("f{number}"),
            deadline_nanos: 7,
        });
        stage.apply(Command::RemoveFramework {
            id: format!("f{number}"),
            at_nanos: 1,
        });
    }
    assert!(refused(&stage.apply(admit(id("f1")))));
    assert_eq!(stage.apply(admit(id("f0"))), Outcome::CHANGED);
    assert_eq!(
        stage.registry().removed_frameworks.len(),
        MAX_REMOVED_FRAMEWORKS
    );
    assert_eq!(stage.reloaded(), stage.registry());
}

#[test]
fn one_bad_weight_refuses_them_all() {
    let mut stage = Stage::new();
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let weights = vec![(id("good"), 2.0), (id("bad"), bad)];
        assert!(refused(&stage.apply(Command::UpdateWeights { weights })));
    }
    assert!(stage.registry().weights.is_empty());
}

#[test]
fn whichever_record_is_damaged_it_is_named_and_nothing_is_opened() {
    for choice in 0..200 {
        let mut stage = Stage::new();
        for agent in ["a", "b", "c"] {
            stage.apply(admit(agent));
        }
        let (_, key) = stage.engine.damage_any(choice * 65_537).unwrap();
        let refused = RegistryMachine::new().load(&stage.engine);
        let text = refused.unwrap_err().to_string();
        let named = format!("registry, record {}: ", key.escape_ascii());
        for part in [&named, "checksum", "tepui cluster"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn a_registry_that_needs_more_is_not_opened() {
    let mut stage = Stage::new();
    let quota = Command::UpdateQuota {
        set: vec![(id("role"), info("quota"))],
        remove: Vec::new(),
    };
    stage.apply(quota);
    assert!(stage.reloaded().minimum_capabilities.contains(QUOTA_V2));
    let mut batch = Batch::new();
    batch.put(
        REGISTRY,
        tepui_engine::Key::new(b'c').text("TELEPATHY"),
        record::seal(VERSION, &[]),
    );
    stage.engine.write(&batch, Durability::Synced).unwrap();
    let error = RegistryMachine::new().load(&stage.engine).unwrap_err();
    assert!(error.to_string().contains("TELEPATHY"));
}

#[test]
fn a_newer_command_stops_the_member_instead_of_letting_it_drift() {
    let mut stage = Stage::new();
    let mut bytes = admit("a").encode().to_vec();
    bytes[0] = u8::MAX;
    let error = stage.machine.apply(1, &bytes, &mut Batch::new());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("run a newer version")
    );
    bytes[0] = 1;
    bytes.push(0);
    assert!(
        stage
            .machine
            .check(&bytes)
            .unwrap_err()
            .contains("1 bytes follow")
    );
    assert!(stage.machine.check(&[]).is_err());
}

#[test]
fn the_bytes_of_a_command_stay_as_they_are() {
    let expected = b"\x01\x81\xaaAdmitAgent\x82\xa2id\xa1a\xa4info\xc4\x04info";
    assert_eq!(admit("a").encode()[..], expected[..]);
}

fn as_refused(
    (framework, agent, role, until_nanos, resources): (String, String, String, i64, Bytes),
) -> crate::Refused {
    crate::Refused {
        framework,
        agent,
        role,
        until_nanos,
        resources,
    }
}

fn commands() -> impl Strategy<Value = Command> {
    let agent = || prop::sample::select(vec!["a", "b", "c"]).prop_map(id);
    let framework = || (0..60u8).prop_map(|number| format!("f{}", number % 4));
    let bytes = || prop::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from);
    let role = || prop::sample::select(vec!["r", "r/s", "\0"]).prop_map(id);
    let suppressed = || prop::collection::vec(role(), 0..3);
    let of_agents = prop_oneof![
        (agent(), bytes()).prop_map(|(id, info)| Command::AdmitAgent { id, info }),
        (agent(), bytes()).prop_map(|(id, info)| Command::UpdateAgent { id, info }),
        (agent(), 0..9i64).prop_map(|(id, at_nanos)| Command::MarkUnreachable { id, at_nanos }),
        (agent(), bytes()).prop_map(|(id, info)| Command::MarkReachable { id, info }),
        (agent(), 0..9i64).prop_map(|(id, at_nanos)| Command::MarkGone { id, at_nanos }),
        agent().prop_map(|id| Command::RemoveAgent { id }),
        (agent(), bytes()).prop_map(|(id, drain)| Command::DrainAgent { id, drain }),
        (agent(), bytes()).prop_map(|(id, drain)| Command::MarkDrained { id, drain }),
        agent().prop_map(|id| Command::DeactivateAgent { id }),
        agent().prop_map(|id| Command::ReactivateAgent { id }),
        (0..9i64, 0..3u64).prop_map(|(before_nanos, max)| Command::Prune { before_nanos, max }),
    ];
    let of_frameworks = prop_oneof![
        (framework(), bytes(), suppressed()).prop_map(|(id, info, suppressed)| {
            Command::AdmitFramework {
                id,
                info,
                suppressed,
            }
        }),
        (framework(), bytes(), suppressed()).prop_map(|(id, info, suppressed)| {
            Command::UpdateFramework {
                id,
                info,
                suppressed,
            }
        }),
        framework().prop_map(|id| Command::FrameworkConnected { id }),
        (framework(), any::<i64>())
            .prop_map(|(id, deadline_nanos)| Command::FrameworkDisconnected { id, deadline_nanos }),
        (
            0..9i64,
            prop::collection::vec((framework(), any::<i64>()), 0..3)
        )
            .prop_map(|(now_nanos, deadlines)| Command::FrameworksAway {
                now_nanos,
                deadlines,
            }),
        (-9..99i64).prop_map(|now_nanos| Command::CountTime { now_nanos }),
        (
            0..9i64,
            prop::collection::vec((framework(), agent(), role(), 0..30i64, bytes()), 0..4)
        )
            .prop_map(|(now_nanos, refused)| Command::RefuseOffers {
                now_nanos,
                refused: refused.into_iter().map(as_refused).collect(),
            }),
        (framework(), suppressed()).prop_map(|(id, roles)| Command::ForgetRefusals { id, roles }),
        (framework(), 0..9i64).prop_map(|(id, at_nanos)| Command::RemoveFramework { id, at_nanos }),
    ];
    let machine = (0..3u8, bytes()).prop_map(|(mode, info)| MachineRecord {
        mode: [MachineMode::Up, MachineMode::Draining, MachineMode::Down][usize::from(mode)],
        info,
    });
    let maintenance = (
        prop::option::of(bytes()),
        prop::collection::btree_map("[mn]", machine, 0..3),
    )
        .prop_map(|(schedule, machines)| Maintenance { schedule, machines });
    let weight = prop::sample::select(vec![1.0, 2.5, 0.0]);
    let of_cluster = prop_oneof![
        "[xy]".prop_map(|id| Command::SetClusterId { id }),
        prop::collection::vec((role(), weight), 0..3)
            .prop_map(|weights| Command::UpdateWeights { weights }),
        (
            prop::collection::vec((role(), bytes()), 0..3),
            prop::collection::vec(role(), 0..3)
        )
            .prop_map(|(set, remove)| Command::UpdateQuota { set, remove }),
        maintenance.prop_map(|maintenance| Command::UpdateSchedule { maintenance }),
        (role(), role(), bytes()).prop_map(|(collection, name, value)| Command::PutDocument {
            collection,
            name,
            value,
        }),
        (role(), role())
            .prop_map(|(collection, name)| Command::DeleteDocument { collection, name }),
    ];
    prop_oneof![4 => of_agents, 3 => of_frameworks, 3 => of_cluster]
}

proptest! {
    #[test]
    fn memory_disk_and_snapshot_tell_the_same(commands in prop::collection::vec(commands(), 1..60)) {
        let mut stage = Stage::new();
        for command in commands {
            stage.apply(command);
        }
        let registry = stage.registry();
        prop_assert_eq!(&stage.reloaded(), &registry);

        // Into a member that holds something else.
        let mut other = Stage::new();
        other.apply(admit("stale"));
        let mut batch = Batch::new();
        other.machine.restore(&stage.machine.snapshot(), &mut batch).unwrap();
        other.engine.write(&batch, Durability::Synced).unwrap();
        prop_assert_eq!(&other.registry(), &registry);
        prop_assert_eq!(&other.reloaded(), &registry);
        prop_assert_eq!(other.machine.snapshot(), stage.machine.snapshot());
    }

    #[test]
    fn commands_and_outcomes_read_back(command in commands(), reason: String) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
        let refused = Outcome::refused(reason);
        prop_assert_eq!(Outcome::decode(&refused.encode()), Ok(refused));
    }

    #[test]
    fn reading_garbage_never_panics(bytes: Vec<u8>) {
        let _ = (Command::decode(&bytes), Outcome::decode(&bytes), Registry::default().insert(&bytes, &bytes));
    }
}
