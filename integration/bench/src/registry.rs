//! Durable writes of 200 bytes by one and many clients: three masters beside etcd and ZooKeeper, all up for the whole run and
//! measured in turns, with a bare loop of synced appends between.

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
    io::Write,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::{
    ensemble::{Client, Ensemble, MAX_KEYS, System},
    quantile, real_disk, spread,
};

/// Bytes of a record of the bare loop.
const BARE_BYTES: usize = 256;
const BARE_WRITES: usize = 100;
/// Clients of etcd that share a connection, as its own load generator lets them.
const CLIENTS_PER_CONNECTION: usize = 16;
/// What is written before anything is measured: a Java program starts slow.
const WARM_UP_WRITES: usize = 4_000;
const WARM_UP_CLIENTS: usize = 16;

/// Keys that are written.
const KEYS: usize = 16;
const _: () = assert!(KEYS <= MAX_KEYS);

#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryOptions {
    /// Clients that write at once, each one write after another
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 1024])]
    clients: Vec<usize>,
    /// Turns of each system
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each turn
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// What is measured [default: all that is installed]
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// Where the data lies, on a disk [default: the directory for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What one turn gave.
struct Turn {
    p50_ms: f64,
    p99_ms: f64,
    per_s: f64,
    syncs_per_write: f64,
}

type Turns = BTreeMap<(usize, System), Vec<Turn>>;

pub(crate) fn run(options: &RegistryOptions) -> anyhow::Result<Value> {
    let all = [
        System::Tepui,
        System::Etcd,
        System::EtcdJson,
        System::Zookeeper,
    ];
    let (systems, missing) = crate::present(&options.systems, &all);
    let base = real_disk(options.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (turns, mut bare) =
        LocalSet::new().block_on(&runtime, measure(options, &systems, &base))?;
    let bare_ms = quantile(&mut bare, 0.5);
    Ok(report(&turns, bare_ms, missing))
}

async fn measure(
    options: &RegistryOptions,
    systems: &[System],
    base: &Path,
) -> anyhow::Result<(Turns, Vec<f64>)> {
    let length = Duration::from_secs_f64(options.seconds);
    let mut ensembles = BTreeMap::new();
    for system in systems {
        let Entry::Vacant(place) = ensembles.entry(serves(*system)) else {
            continue;
        };
        let ensemble = Ensemble::start(*place.key(), None, base).await?;
        let clients = connect(&ensemble, ensemble.system, WARM_UP_CLIENTS).await?;
        load(clients, Until::Writes(WARM_UP_WRITES)).await?;
        place.insert(ensemble);
    }
    let mut turns = Turns::new();
    let mut bare = Vec::new();
    for round in 0..options.rounds {
        bare.extend(synced_appends(base)?);
        for clients in &options.clients {
            for system in systems {
                let ensemble = ensembles.get(&serves(*system)).context("it was started")?;
                let turn = take_turn(ensemble, *system, *clients, length).await?;
                eprintln!(
                    "round {} of {}: {:<10} {clients:>5} clients: p50 {:.2} ms, {:.0} writes/s",
                    round + 1,
                    options.rounds,
                    system.name(),
                    turn.p50_ms,
                    turn.per_s
                );
                turns.entry((*clients, *system)).or_default().push(turn);
            }
        }
    }
    Ok((turns, bare))
}

/// Both ways into etcd lead to the same three nodes.
fn serves(system: System) -> System {
    match system {
        System::EtcdJson => System::Etcd,
        other => other,
    }
}

async fn take_turn(
    ensemble: &Ensemble,
    system: System,
    clients: usize,
    length: Duration,
) -> anyhow::Result<Turn> {
    let leader = ensemble.leader().await?;
    let clients = connect(ensemble, system, clients).await?;
    let before = ensemble.syncs(leader).await?;
    let begin = Instant::now();
    let mut samples = load(clients, Until::Elapsed(length)).await?;
    let took = begin.elapsed().as_secs_f64();
    let syncs = ensemble.syncs(leader).await? - before;
    let writes = samples.len() as f64;
    Ok(Turn {
        p50_ms: quantile(&mut samples, 0.5),
        p99_ms: quantile(&mut samples, 0.99),
        per_s: writes / took,
        syncs_per_write: syncs as f64 / writes,
    })
}

/// Clients of the leader.
async fn connect(ensemble: &Ensemble, system: System, count: usize) -> anyhow::Result<Vec<Client>> {
    let address = ensemble.address(ensemble.leader().await?);
    let mut clients: Vec<Client> = Vec::with_capacity(count);
    while clients.len() < count {
        let shared = clients
            .last()
            .filter(|_| !clients.len().is_multiple_of(CLIENTS_PER_CONNECTION));
        let client = match shared.and_then(Client::beside) {
            Some(client) => client,
            None => {
                let mut client = Client::connect(system, &address).await?;
                // A connection that waits long for its first request is given up by an HTTP server.
                client.write(clients.len() % KEYS, 0).await?;
                client
            }
        };
        clients.push(client);
    }
    Ok(clients)
}

#[derive(Debug, Clone, Copy)]
enum Until {
    /// So many together.
    Writes(usize),
    Elapsed(Duration),
}

/// Lets each client write one key after another, without a pause; milliseconds of each write.
async fn load(clients: Vec<Client>, until: Until) -> anyhow::Result<Vec<f64>> {
    let samples = Rc::new(RefCell::new(Vec::with_capacity(1 << 16)));
    let begin = Instant::now();
    let mut tasks = Vec::with_capacity(clients.len());
    for (index, mut client) in clients.into_iter().enumerate() {
        let samples = Rc::clone(&samples);
        tasks.push(tokio::task::spawn_local(async move {
            let mut sent = 0;
            loop {
                let over = match until {
                    Until::Writes(count) => samples.borrow().len() >= count,
                    Until::Elapsed(length) => begin.elapsed() >= length,
                };
                if over {
                    return anyhow::Ok(());
                }
                sent += 1;
                let start = Instant::now();
                client.write(index % KEYS, sent).await?;
                let took = start.elapsed().as_secs_f64() * 1_000.0;
                samples.borrow_mut().push(took);
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(samples.take())
}

/// Milliseconds of appending a record and waiting for the disk.
fn synced_appends(base: &Path) -> anyhow::Result<Vec<f64>> {
    let mut file = tempfile::tempfile_in(base)?;
    let record = [7; BARE_BYTES];
    let mut samples = Vec::with_capacity(BARE_WRITES);
    for _ in 0..BARE_WRITES {
        let start = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        samples.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(samples)
}

fn report(turns: &Turns, bare_ms: f64, missing: Vec<String>) -> Value {
    let of = |clients: usize, system: System, what: fn(&Turn) -> f64| {
        let turns = turns.get(&(clients, system))?;
        Some(quantile(
            &mut turns.iter().map(what).collect::<Vec<_>>(),
            0.5,
        ))
    };
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let p50 = |clients, system| of(clients, system, |turn| turn.p50_ms);
    let per_s = |clients, system| of(clients, system, |turn| turn.per_s);
    let faster = |clients| {
        let (grpc, json) = (
            per_s(clients, System::Etcd),
            per_s(clients, System::EtcdJson),
        );
        grpc.into_iter().chain(json).reduce(f64::max)
    };
    let etcd_p50 = [p50(1, System::Etcd), p50(1, System::EtcdJson)];
    let etcd_p50 = etcd_p50.into_iter().flatten().reduce(f64::min);
    let subject = p50(1, System::Tepui);
    let rows: Vec<Value> = turns.iter().map(|(key, turns)| row(*key, turns)).collect();
    json!({
        "name": "registry",
        "subject_ms": subject,
        "bare_ms": bare_ms,
        "ratio": ratio(subject, Some(bare_ms)),
        "p50_at_1_to_etcd": ratio(subject, etcd_p50),
        "per_s_at_64_to_etcd": ratio(per_s(64, System::Tepui), faster(64)),
        "per_s_at_64_to_zookeeper": ratio(per_s(64, System::Tepui), per_s(64, System::Zookeeper)),
        "missing": missing,
        "rows": rows,
    })
}

fn row((clients, system): (usize, System), turns: &[Turn]) -> Value {
    let of = |what: fn(&Turn) -> f64| spread(turns.iter().map(what).collect());
    json!({
        "system": system.name(),
        "clients": clients,
        "p50_ms": of(|turn| turn.p50_ms),
        "p99_ms": of(|turn| turn.p99_ms),
        "writes_per_s": of(|turn| turn.per_s),
        "syncs_per_write": of(|turn| turn.syncs_per_write),
    })
}
