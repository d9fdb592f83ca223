use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tepui_engine::keys::{AGENT_FAMILIES, CHECKPOINT};
use tepui_engine::{Damage, DamagedLog, KeyRange, MemoryEngine, Options, RocksEngine, collect};

use super::streams::MAX_TOLD;
use super::*;

const MAX_ACKNOWLEDGED: usize = 40;

fn engine() -> MemoryEngine {
    MemoryEngine::new(&AGENT_FAMILIES)
}

fn open(engine: &MemoryEngine) -> (Checkpoint, Recovered) {
    Checkpoint::open(Arc::new(engine.clone()), MAX_ACKNOWLEDGED).unwrap()
}

fn agent(id: &str) -> AgentRecord {
    AgentRecord {
        agent_id: Some(id.to_owned()),
        info: Bytes::from_static(b"info\0\xff"),
        boot_id: "boot".to_owned(),
    }
}

fn stream(task: &str) -> StreamKey {
    StreamKey {
        framework_id: "f".to_owned(),
        task_id: task.to_owned(),
    }
}

fn append(task: &str, uuid: u8) -> Change {
    Change::AppendUpdate {
        stream: stream(task),
        uuid: [uuid; 16],
        update: Bytes::from(vec![uuid; 3]),
    }
}

fn task(framework: &str, id: &str, state: i32) -> TaskRecord {
    TaskRecord {
        framework_id: framework.to_owned(),
        executor_id: "e".to_owned(),
        task_id: id.to_owned(),
        info: Bytes::from_static(b"task"),
        state,
        container_id: None,
        group: None,
        kill: None,
    }
}

fn container(framework: &str, id: &str) -> ContainerRecord {
    ContainerRecord {
        framework_id: framework.to_owned(),
        executor_id: "e".to_owned(),
        container_id: id.to_owned(),
        info: Bytes::new(),
        shim: Some(ShimRecord {
            pid: 7,
            start_time_ticks: 99,
        }),
        sandbox: "sandbox/e".to_owned(),
        resources: Bytes::from_static(b"cpus"),
        served: None,
    }
}

fn past(path: &[&str], unix_nanos: i64) -> PastRecord {
    PastRecord {
        path: path.iter().map(|it| (*it).to_owned()).collect(),
        ended: Ended {
            unix_nanos,
            info: Bytes::from_static(b"info"),
            sandbox: None,
        },
    }
}

fn uuids(recovered: &Recovered, task: &str) -> Vec<(u8, bool)> {
    let updates = recovered.streams.get(&stream(task));
    updates
        .into_iter()
        .flatten()
        .map(|update| (update.uuid[0], update.acknowledged))
        .collect()
}

#[test]
fn a_kernel_crash_forgets_what_was_not_synced_and_nothing_else() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    let id = Change::PutAgent(agent("a-1"));
    checkpoint.commit(&[id], Durability::Synced).unwrap();
    checkpoint
        .commit(&[append("t", 1)], Durability::Synced)
        .unwrap();
    let launch = [
        Change::PutContainer(container("f", "c")),
        Change::PutTask(task("f", "t", 6)),
    ];
    checkpoint.commit(&launch, Durability::Buffered).unwrap();
    assert_eq!(engine.unsynced(), 1);
    engine.crash();
    let (_, recovered) = open(&engine);
    assert_eq!(recovered.agent, Some(agent("a-1")));
    assert_eq!(uuids(&recovered, "t"), [(1, false)]);
    assert!(recovered.containers.is_empty() && recovered.tasks.is_empty());
}

#[test]
fn updates_keep_their_order_over_restarts_and_duplicates_are_dropped() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    let first = [append("t", 9), append("t", 5), append("other", 1)];
    checkpoint.commit(&first, Durability::Synced).unwrap();
    let (checkpoint, _) = open(&engine);
    let acknowledge = Change::AcknowledgeUpdate {
        replaces: false,
        stream: stream("t"),
        uuid: [9; 16],
    };
    let second = [append("t", 1), append("t", 9), acknowledge];
    checkpoint.commit(&second, Durability::Synced).unwrap();
    let (checkpoint, recovered) = open(&engine);
    assert_eq!(uuids(&recovered, "t"), [(9, true), (5, false), (1, false)]);
    let remove = Change::RemoveStream {
        stream: stream("t"),
    };
    checkpoint.commit(&[remove], Durability::Synced).unwrap();
    let recovered = checkpoint.load().unwrap();
    assert!(uuids(&recovered, "t").is_empty());
    assert_eq!(uuids(&recovered, "other"), [(1, false)]);
}

#[test]
fn a_task_that_tells_of_itself_for_weeks_leaves_a_bounded_number_of_records() {
    let engine = engine();
    let (mut checkpoint, _) = open(&engine);
    let count = MAX_ACKNOWLEDGED as u128 + 100;
    for number in 0..count {
        let uuid = number.to_be_bytes();
        let stream = stream("t");
        let update = Change::AppendUpdate {
            stream: stream.clone(),
            uuid,
            update: Bytes::from_static(b"running"),
        };
        let replaces = true;
        let acknowledge = Change::AcknowledgeUpdate {
            stream,
            uuid,
            replaces,
        };
        let changes = [update, acknowledge];
        checkpoint.commit(&changes, Durability::Buffered).unwrap();
        if number == count / 2 {
            checkpoint = open(&engine).0;
        }
    }
    let (_, recovered) = open(&engine);
    let [last] = &recovered.streams[&stream("t")][..] else {
        panic!("only the newest is needed: it tells the state")
    };
    assert_eq!(last.uuid, (count - 1).to_be_bytes());
    assert!(last.acknowledged);
    // With it they are as many as may be, and they are the latest.
    let earlier = &recovered.acknowledged[&stream("t")];
    let latest = count - MAX_ACKNOWLEDGED as u128..count - 1;
    assert!(earlier.iter().copied().eq(latest.map(u128::to_be_bytes)));
    let records = collect(&engine, CHECKPOINT, &KeyRange::all()).unwrap();
    assert_eq!(records.len(), MAX_ACKNOWLEDGED + 1);
}

#[test]
fn a_task_whose_state_changes_for_weeks_leaves_its_first_update_and_the_last_ones() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    for uuid in 0..MAX_ACKNOWLEDGED as u8 {
        let acknowledge = Change::AcknowledgeUpdate {
            stream: stream("t"),
            uuid: [uuid; 16],
            replaces: false,
        };
        let changes = [append("t", uuid), acknowledge];
        checkpoint.commit(&changes, Durability::Synced).unwrap();
    }
    let recovered = checkpoint.load().unwrap();
    let left: Vec<_> = uuids(&recovered, "t").into_iter().map(|it| it.0).collect();
    let last = MAX_ACKNOWLEDGED as u8;
    let last = last - (MAX_TOLD as u8 - 1)..last;
    assert_eq!(left, [0].into_iter().chain(last).collect::<Vec<_>>());
    assert_eq!(
        recovered.acknowledged[&stream("t")].len() + left.len(),
        MAX_ACKNOWLEDGED
    );
}

#[test]
fn removing_a_framework_removes_all_of_it_and_nothing_else() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    let mut changes = Vec::new();
    for id in ["f", "f2"] {
        let framework = FrameworkRecord {
            framework_id: id.to_owned(),
            info: Bytes::new(),
        };
        changes.push(Change::PutFramework(framework));
        changes.push(Change::PutTask(task(id, "t", 1)));
        changes.push(Change::PutContainer(container(id, "c")));
    }
    changes.push(append("t", 1));
    changes.push(Change::RemoveFramework {
        framework_id: "f".to_owned(),
    });
    checkpoint.commit(&changes, Durability::Synced).unwrap();
    let recovered = checkpoint.load().unwrap();
    assert_eq!(recovered.frameworks.keys().collect::<Vec<_>>(), ["f2"]);
    assert_eq!(recovered.tasks, [task("f2", "t", 1)]);
    assert_eq!(recovered.containers, [container("f2", "c")]);
    assert!(recovered.streams.is_empty());
}

#[test]
fn what_has_ended_outlives_its_framework_until_that_lives_again_or_is_forgotten() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    let all = [
        past(&["f", "c2", "t"], 1),
        past(&["f", "c"], 2),
        past(&["f", "c2"], 3),
        past(&["f"], 4),
        past(&["f2"], 5),
    ];
    let put = all.iter().rev().cloned().map(Change::PutPast);
    let mut changes: Vec<_> = put.collect();
    changes.push(Change::RemoveFramework {
        framework_id: "f".to_owned(),
    });
    checkpoint.commit(&changes, Durability::Synced).unwrap();
    let kept = |changes: &[Change]| {
        checkpoint.commit(changes, Durability::Synced).unwrap();
        checkpoint.load().unwrap().past
    };
    assert_eq!(kept(&[]), all);
    let path = past(&["f", "c2"], 0).path;
    let fewer = [1, 3, 4].map(|at: usize| all[at].clone());
    assert_eq!(kept(&[Change::RemovePast { path }]), fewer);
    let framework = FrameworkRecord {
        framework_id: "f".to_owned(),
        info: Bytes::new(),
    };
    let lives = Change::PutFramework(framework);
    assert_eq!(kept(&[lives]), [all[1].clone(), all[4].clone()]);
    assert_eq!(kept(&[Change::RemoveAgent]), []);
}

#[test]
fn a_batch_lands_wholly_or_not_at_all() {
    let engine = engine();
    let (checkpoint, _) = open(&engine);
    engine.fail_sync_after(0);
    let changes = [Change::PutAgent(agent("a")), append("t", 1)];
    checkpoint.commit(&changes, Durability::Synced).unwrap_err();
    engine.crash();
    let (_, recovered) = open(&engine);
    assert_eq!(recovered, Recovered::default());
}

/// A small world with every kind of record.
fn everything() -> Vec<Change> {
    vec![
        Change::PutAgent(agent("a")),
        Change::PutDocument {
            name: "resources".to_owned(),
            value: Bytes::from_static(b"disk"),
        },
        Change::PutFramework(FrameworkRecord {
            framework_id: "f".to_owned(),
            info: Bytes::from_static(b"f"),
        }),
        Change::PutContainer(container("f", "c1")),
        Change::PutContainer(container("f", "c2")),
        Change::PutTask(task("f", "t1", 1)),
        Change::PutTask(task("f", "t2", 2)),
        Change::PutPast(past(&["f", "c0"], 1)),
        append("t1", 1),
        append("t1", 2),
        append("t2", 3),
        Change::AcknowledgeUpdate {
            replaces: false,
            stream: stream("t1"),
            uuid: [1; 16],
        },
    ]
}

/// Records of the small world that are there a second time: agent and framework.
const COPIES: usize = 2;

fn on_disk(path: &std::path::Path) -> Result<RocksEngine, EngineError> {
    let options = Options {
        damaged_log: DamagedLog::KeepBefore,
        ..Options::default()
    };
    RocksEngine::open(path, &AGENT_FAMILIES, &options)
}

/// Writes the small world to disk, each change synced by itself; opened again, it moves from the log to a table.
fn world_on_disk(reopened: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let directory = directory.unwrap();
    let (checkpoint, _) = Checkpoint::open(
        Arc::new(on_disk(directory.path()).unwrap()),
        MAX_ACKNOWLEDGED,
    )
    .unwrap();
    let more = (0..60).map(|number| Change::PutTask(task("f", &format!("t9{number:02}"), 3)));
    for change in everything().into_iter().chain(more) {
        checkpoint.commit(&[change], Durability::Synced).unwrap();
    }
    drop(checkpoint);
    if reopened {
        on_disk(directory.path()).unwrap();
    }
    directory
}

/// Flips a bit of each of the files with this ending, at about a hundred places, and opens the checkpoint.
fn flip_each(directory: &std::path::Path, ending: &str, mut look: impl FnMut(usize, Recovered)) {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        files.push((
            path.file_name().unwrap().to_owned(),
            std::fs::read(&path).unwrap(),
        ));
    }
    let of_kind = |name: &std::ffi::OsStr| name.to_str().unwrap().ends_with(ending);
    let victims = files
        .iter()
        .filter(|(name, bytes)| of_kind(name) && !bytes.is_empty());
    let (mut flips, mut refused) = (0, 0);
    for (victim, bytes) in victims {
        for at in (0..bytes.len()).step_by(bytes.len() / 100 + 1) {
            let copy = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
            let copy = copy.unwrap();
            for (name, bytes) in &files {
                let mut bytes = bytes.clone();
                if name == victim {
                    bytes[at] ^= 1 << (at % 8);
                }
                std::fs::write(copy.path().join(name), bytes).unwrap();
            }
            flips += 1;
            let engine = match on_disk(copy.path()) {
                Ok(engine) => engine,
                // What leads to the records is damaged, not one of them: that is refused, not taken for nothing.
                Err(error) => {
                    let place = copy.path().to_str().unwrap();
                    assert!(matches!(error, EngineError::Damaged { .. }), "{error}");
                    assert!(error.to_string().contains(place), "{error}");
                    refused += 1;
                    continue;
                }
            };
            let (_, recovered) = Checkpoint::open(Arc::new(engine), MAX_ACKNOWLEDGED).unwrap();
            look(at, recovered);
        }
    }
    assert!(flips > 50 && refused < flips / 2, "{refused} of {flips}");
}

#[test]
fn a_bit_flipped_in_the_log_on_disk_costs_what_was_written_behind_it() {
    let directory = world_on_disk(false);
    let whole = Checkpoint::open(
        Arc::new(on_disk(world_on_disk(false).path()).unwrap()),
        MAX_ACKNOWLEDGED,
    );
    let whole = whole.unwrap().1;
    flip_each(directory.path(), ".log", |at, recovered| {
        assert!(recovered.damaged.is_empty(), "byte {at}");
        let kept = recovered.containers.len() + recovered.tasks.len();
        assert_eq!(
            recovered.containers[..],
            whole.containers[..recovered.containers.len()]
        );
        assert_eq!(recovered.tasks[..], whole.tasks[..recovered.tasks.len()]);
        assert!(kept == 0 || recovered.agent == whole.agent, "byte {at}");
    });
}

#[test]
fn a_bit_flipped_in_a_table_on_disk_is_named_and_the_agent_starts() {
    let directory = world_on_disk(true);
    let whole = Checkpoint::open(
        Arc::new(on_disk(directory.path()).unwrap()),
        MAX_ACKNOWLEDGED,
    );
    let whole = whole.unwrap().1;
    let mut named = 0;
    flip_each(directory.path(), ".sst", |at, recovered| {
        if recovered.damaged.is_empty() {
            assert_eq!(recovered, whole, "byte {at}");
            return;
        }
        named += 1;
        let text = recovered.damaged[0].to_string();
        assert!(text.contains("check the disk"), "{text}");
        let stands = |record: &TaskRecord| whole.tasks.contains(record);
        assert!(recovered.tasks.iter().all(stands), "byte {at}");
    });
    assert!(named > 10, "{named}");
}

proptest! {
    #[test]
    fn one_damaged_record_is_named_and_all_others_stand(victim: prop::sample::Index, at: usize, cut: bool) {
        let engine = engine();
        let (checkpoint, _) = open(&engine);
        checkpoint.commit(&everything(), Durability::Synced).unwrap();
        let whole = collect(&engine, CHECKPOINT, &KeyRange::all()).unwrap();
        let (key, value) = &whole[victim.index(whole.len())];
        let damage = if cut { Damage::Truncate(at % value.len()) } else { Damage::Flip(at) };
        engine.damage(CHECKPOINT, key, damage);

        let (_, recovered) = open(&engine);
        prop_assert_eq!(recovered.damaged.len(), 1);
        prop_assert_eq!(&recovered.damaged[0].key, key);
        let records = usize::from(recovered.agent.is_some())
            + recovered.documents.len()
            + recovered.frameworks.len()
            + recovered.containers.len()
            + recovered.tasks.len()
            + recovered.past.len();
        let updates: Vec<&RecoveredUpdate> = recovered.streams.values().flatten().collect();
        let acknowledged = updates.iter().filter(|update| update.acknowledged).count()
            + recovered.acknowledged.values().map(Vec::len).sum::<usize>();
        let twice = matches!(recovered.damaged[0].kind, Kind::Agent | Kind::Framework);
        let lost = usize::from(!twice);
        prop_assert_eq!(records + updates.len() + acknowledged, whole.len() - COPIES - lost);
    }

    #[test]
    fn recovery_equals_a_plain_model(steps in prop::collection::vec((0..5u8, 0..3u8, 0..6u8), 0..40)) {
        let engine = engine();
        let (mut checkpoint, _) = open(&engine);
        let mut model: BTreeMap<String, Vec<(u8, bool)>> = BTreeMap::new();
        let mut earlier: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
        for (action, task, uuid) in steps {
            let name = format!("t{task}");
            let updates = model.entry(name.clone()).or_default();
            let earlier = earlier.entry(name.clone()).or_default();
            let change = match action {
                0 | 1 => {
                    if updates.iter().all(|(known, _)| *known != uuid) && !earlier.contains(&uuid) {
                        updates.push((uuid, false));
                        append(&name, uuid)
                    } else {
                        continue;
                    }
                }
                2 | 3 => {
                    let Some(head) = updates.iter().position(|it| !it.1) else {
                        continue;
                    };
                    updates[head].1 = true;
                    let uuid = [updates[head].0; 16];
                    let replaces = action == 2;
                    if replaces && head > 0 {
                        earlier.insert(updates.remove(head - 1).0);
                    }
                    Change::AcknowledgeUpdate { stream: stream(&name), uuid, replaces }
                }
                _ => {
                    updates.clear();
                    earlier.clear();
                    Change::RemoveStream { stream: stream(&name) }
                }
            };
            checkpoint.commit(&[change], Durability::Synced).unwrap();
            checkpoint = open(&engine).0;
        }
        let recovered = checkpoint.load().unwrap();
        for (name, updates) in model {
            prop_assert_eq!(uuids(&recovered, &name), updates);
            let known = recovered.acknowledged.get(&stream(&name)).into_iter().flatten();
            let known: BTreeSet<u8> = known.map(|uuid| uuid[0]).collect();
            prop_assert_eq!(known, earlier.remove(&name).unwrap_or_default());
        }
    }
}
