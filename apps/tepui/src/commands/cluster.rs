//! `tepui cluster …`: the group of masters, and backups of its registry.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use tepui_client::{Masters, operator::Operator};
use tepui_master::backup::{self, Contents};

use super::of_leader;
use crate::{
    cli::{
        AddArgs, BackupArgs, ClusterCommand, ListArgs, NameArgs, RestoreArgs, Target, VerifyArgs,
    },
    output,
};

const PATH: &str = "/tepui/v1/cluster";
/// Between two looks whether a change is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Some master is missing, or was not changed in time.
const AMISS: u8 = 1;
/// Nobody leads.
const NO_LEADER: u8 = 3;

pub(crate) async fn run(command: ClusterCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Status(args) => status(args).await,
        ClusterCommand::Add(args) => add(args).await,
        ClusterCommand::Remove(args) => remove(args).await,
        ClusterCommand::TransferLeader(args) => transfer(args).await,
        ClusterCommand::Backup(args) => back_up(args).await,
        ClusterCommand::Restore(args) => restore(&args),
        ClusterCommand::Verify(args) => verify(&args),
    }
}

/// What the first master that answers shows.
async fn look(target: &Target) -> anyhow::Result<Value> {
    let client = super::client(target)?;
    let mut trouble = None;
    let mut leaderless = None;
    for master in &target.master {
        match Operator::new(client.clone(), master).json(PATH).await {
            // One that was cut off or removed knows less than the others.
            Ok(shown) if shown["leader"].is_null() => leaderless = Some(shown),
            Ok(shown) => return Ok(shown),
            Err(error) => trouble = Some(error),
        }
    }
    leaderless.ok_or_else(|| {
        let trouble = trouble.map_or_else(|| anyhow!("nobody was asked"), super::in_words);
        trouble.context(format!("--master {}", target.master.join(",")))
    })
}

async fn status(args: ListArgs) -> anyhow::Result<ExitCode> {
    let shown = look(&args.target).await?;
    if args.json {
        output::lines([shown.to_string()])?;
    } else {
        print_status(&shown)?;
    }
    Ok(
        match (shown["leader"].is_null(), shown["healthy"] == true) {
            (true, _) => ExitCode::from(NO_LEADER),
            (false, false) => ExitCode::from(AMISS),
            (false, true) => ExitCode::SUCCESS,
        },
    )
}

fn print_status(shown: &Value) -> anyhow::Result<()> {
    let header = [
        "MASTER",
        "ID",
        "ROLE",
        "TERM",
        "APPLIED",
        "LAG",
        "REACHABLE",
        "BRIDGE",
        "HTTP",
        "DISK",
    ];
    let members = list(shown);
    let row = |member: &Value| -> Vec<String> {
        let disk = text(member, "disk");
        vec![
            text(member, "name"),
            text(member, "id"),
            text(member, "role"),
            text(member, "term"),
            text(member, "applied_index"),
            text(member, "lag"),
            if member["reachable"] == true {
                "yes"
            } else {
                "no"
            }
            .to_string(),
            text(member, "address"),
            text(member, "http"),
            disk.split('-').next().unwrap_or_default().to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    output::table(&header, &rows, "no masters")?;
    let troubles = members.iter().filter(|member| member["reachable"] != true);
    let troubles = troubles.map(|member| {
        let why = member["trouble"].as_str().unwrap_or("it does not answer");
        format!("{} cannot be reached: {why}", text(member, "name"))
    });
    output::lines(troubles)?;
    let leader = match shown["leader"].as_str() {
        Some(leader) => format!("{leader} leads in term {}", shown["term"]),
        None => "nobody leads: a majority of the masters must run and reach each other".to_string(),
    };
    let id = text(shown, "cluster_id");
    let cluster = match shown["cluster_name"].as_str() {
        Some(name) => format!("{name} ({id})"),
        None => id,
    };
    let answered = text(shown, "answered_by");
    output::lines([format!(
        "{leader}; cluster {cluster}, as {answered} sees it"
    )])?;
    Ok(())
}

fn list(shown: &Value) -> Vec<Value> {
    shown["members"].as_array().cloned().unwrap_or_default()
}

fn text(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_string(),
        other => other.to_string(),
    }
}

/// Asks the leader for a change.
async fn change(target: &Target, call: &Value) -> anyhow::Result<Value> {
    let answer = of_leader(target, async |operator| operator.post(PATH, call).await).await?;
    serde_json::from_slice(&answer).context("the answer is no JSON")
}

/// Waits until `done` says so of what the masters show.
async fn until(target: &Target, seconds: u64, done: impl Fn(&Value) -> bool) -> Option<Value> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        // While the lead changes there is no answer, or none that tells.
        if let Ok(shown) = look(target).await
            && !shown["leader"].is_null()
            && done(&shown)
        {
            return Some(shown);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let Some((name, address)) = args.member.split_once('=') else {
        bail!(
            "'{}' has no name: expected NAME=HOST:PORT of the new master's bridge, such as m4=10.0.0.4:5060",
            args.member
        );
    };
    let call = json!({"type": "ADD", "name": name, "address": address, "replace": args.replace});
    let id = change(&args.target, &call).await?["id"].clone();
    eprintln!("tepui: {name} may join as member {id}; waiting for it");
    let joined = until(&args.target, args.patience.wait, |shown| {
        let members = list(shown);
        let settled = members.iter().all(|member| member["role"] != "leaving");
        settled
            && members
                .iter()
                .any(|it| it["id"] == id && it["voter"] == true && it["reachable"] == true)
    });
    if joined.await.is_some() {
        output::lines([format!("{name} is a master of the group (id {id})")])?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "tepui: {name} has not joined within {} s: start it with an empty --work-dir, --name {name} and the other \
         masters in --peers; it joins whenever it comes, `tepui cluster status` shows how far it is, and `tepui \
         cluster remove {name}` calls it off",
        args.patience.wait
    );
    Ok(ExitCode::from(AMISS))
}

async fn remove(args: NameArgs) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    let call = json!({"type": "REMOVE", "name": name});
    let id = change(&args.target, &call).await?["id"].clone();
    let gone = until(&args.target, args.patience.wait, |shown| {
        list(shown).iter().all(|member| member["id"] != id)
    });
    if gone.await.is_some() {
        output::lines([format!(
            "{name} (id {id}) has left the group; stop it, its directory is of no use any more"
        )])?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "tepui: {name} has not left within {} s; `tepui cluster status` shows what is missing, and the change goes \
         on by itself",
        args.patience.wait
    );
    Ok(ExitCode::from(AMISS))
}

async fn transfer(args: NameArgs) -> anyhow::Result<ExitCode> {
    let call = json!({"type": "TRANSFER_LEADER", "name": args.name});
    let answer = change(&args.target, &call).await?;
    output::lines([format!(
        "{} leads in term {}",
        text(&answer, "leader"),
        answer["term"]
    )])?;
    Ok(ExitCode::SUCCESS)
}

async fn back_up(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let client = super::client(&args.target)?;
    let masters = Masters::new(client.clone(), &args.target.master);
    let path = format!("{PATH}/backup");
    let fetched = masters.call(async |leader: &str| client.get(leader, &path).await);
    let bytes = fetched
        .await
        .with_context(|| format!("--master {}", args.target.master.join(",")))?;
    let contents = backup::verify(&bytes).context("the backup that came")?;
    write_whole(&args.file, &bytes).with_context(|| args.file.display().to_string())?;
    output::lines(shown(&contents))?;
    Ok(ExitCode::SUCCESS)
}

/// The file is there whole and on disk, or as it was before.
fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(format!(".{}.unfinished", std::process::id()));
    let written = (|| {
        let mut options = fs::File::options();
        // The registry holds what its users alone should see.
        let options = options.write(true).create_new(true).mode(0o600);
        let mut out = options.open(&unfinished)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&unfinished, file)?;
        fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // What is left of it is of no use; the error that is told is the first.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| file.display().to_string())
}

fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let bytes = read(&args.file)?;
    let restored = backup::restore(&bytes, &args.work_dir, &args.name)
        .with_context(|| args.file.display().to_string())?;
    output::lines(shown(&restored.contents))?;
    output::lines([format!(
        "restored into {} as a new group of one master, {} (id {}). Before it is started: no master of the old group \
         may run any more, since agents follow this one from now on. Start it: tepui master --work-dir {} --name {}; \
         then let others join by `tepui cluster add NAME=HOST:PORT`",
        args.work_dir.display(),
        args.name,
        restored.member_id,
        args.work_dir.display(),
        args.name
    )])?;
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let contents =
        backup::verify(&read(&args.file)?).with_context(|| args.file.display().to_string())?;
    if args.json {
        let facts = json!({
            "cluster_id": contents.cluster_id,
            "index": contents.index,
            "term": contents.term,
            "taken_at": contents.taken_at_nanos / 1_000_000_000,
            "program": contents.program,
            "sha256": contents.digest,
            "masters": contents.masters,
            "agents": contents.agents,
            "frameworks": contents.frameworks,
        });
        output::lines([facts.to_string()])?;
    } else {
        output::lines(shown(&contents))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(contents: &Contents) -> [String; 3] {
    [
        format!(
            "cluster {}, everything up to entry {} of term {}",
            contents.cluster_id.as_deref().unwrap_or("-"),
            contents.index,
            contents.term
        ),
        format!(
            "masters {}; {} agents, {} frameworks",
            contents.masters.join(","),
            contents.agents,
            contents.frameworks
        ),
        format!("sha256 {}", contents.digest),
    ]
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
