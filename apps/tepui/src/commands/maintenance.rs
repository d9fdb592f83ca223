//! `tepui maintenance`: which machines are scheduled to go, and which are down.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tepui_protocol::v1::{
    DurationInfo, MachineId, TimeInfo, Unavailability,
    maintenance::{ClusterStatus, Schedule, Window},
    master::{
        Call,
        call::{StartMaintenance, StopMaintenance, Type, UpdateMaintenanceSchedule},
    },
};

use super::{
    calls, ids,
    lists::{Column, list, print, text},
    moments, why,
};
use crate::{
    cli::{HostsArgs, MaintenanceArgs, MaintenanceCommand, ScheduleArgs, Target},
    output,
};

const MACHINE: ids::Kind = ids::Kind {
    one: "machine",
    many: "machines",
    listed_by: "tepui agents",
};

pub(crate) async fn maintenance(args: MaintenanceArgs) -> anyhow::Result<ExitCode> {
    let target = &args.list.target;
    match args.command {
        None => show(target, args.list.json).await,
        Some(MaintenanceCommand::Schedule(schedule)) => plan(target, schedule).await,
        Some(MaintenanceCommand::Cancel(hosts)) => cancel(target, hosts).await,
        Some(MaintenanceCommand::Down(hosts)) => down(target, hosts).await,
        Some(MaintenanceCommand::Up(hosts)) => up(target, hosts).await,
    }
}

async fn schedule(target: &Target) -> anyhow::Result<Schedule> {
    let answer = calls::ask(target, Type::GetMaintenanceSchedule).await?;
    Ok(answer.get_maintenance_schedule.unwrap_or_default().schedule)
}

async fn status(target: &Target) -> anyhow::Result<ClusterStatus> {
    let answer = calls::ask(target, Type::GetMaintenanceStatus).await?;
    Ok(answer.get_maintenance_status.unwrap_or_default().status)
}

async fn show(target: &Target, json: bool) -> anyhow::Result<ExitCode> {
    let (schedule, status) = (schedule(target).await?, status(target).await?);
    let columns: &[Column] = &[
        ("MACHINE", |machine| text(machine, "hostname")),
        ("ADDRESS", |machine| text(machine, "ip")),
        ("MODE", |machine| text(machine, "mode").to_lowercase()),
        ("FROM", |machine| {
            machine["start_nanos"]
                .as_i64()
                .map_or_else(|| "-".to_string(), moments::shown)
        }),
        ("FOR", |machine| match &machine["duration_secs"] {
            Value::Null => "-".to_string(),
            secs => why::seconds(secs),
        }),
        ("ACCEPTED BY", |machine| answers(machine, "ACCEPT")),
        ("DECLINED BY", |machine| answers(machine, "DECLINE")),
    ];
    let machines = machines(&schedule, &status);
    let empty = "no machine is scheduled or down; `tepui maintenance schedule HOST --start +1h --duration 2h` schedules one";
    print(&machines, json, columns, empty)
}

/// Frameworks that have answered so to their inverse offers.
fn answers(machine: &Value, status: &str) -> String {
    let answers = list(machine, "answers");
    let answers = answers.iter().filter(|it| it["status"] == status);
    let names: Vec<String> = answers.map(|it| text(it, "framework_id")).collect();
    match names.is_empty() {
        true => "-".to_string(),
        false => names.join(","),
    }
}

/// Each machine of the schedule, with its mode and what frameworks answered.
fn machines(schedule: &Schedule, status: &ClusterStatus) -> Vec<Value> {
    let down: BTreeSet<String> = status.down_machines.iter().map(name).collect();
    let mut shown = Vec::new();
    for window in &schedule.windows {
        let during = &window.unavailability;
        for machine in &window.machine_ids {
            let draining = status.draining_machines.iter();
            let mut draining = draining.filter(|it| name(&it.id) == name(machine));
            let answers = draining.next().map_or(&[][..], |it| &it.statuses);
            let answers = answers.iter().map(|it| {
                json!({"framework_id": it.framework_id.value, "status": it.status().as_str_name()})
            });
            let is_down = down.contains(&name(machine));
            shown.push(json!({
                "hostname": machine.hostname,
                "ip": machine.ip,
                "mode": if is_down { "DOWN" } else { "DRAINING" },
                "start_nanos": during.start.nanoseconds,
                "duration_secs": during.duration.map(|it| it.nanoseconds as f64 / 1e9),
                "answers": answers.collect::<Vec<_>>(),
            }));
        }
    }
    shown
}

/// `host/address`, as the master compares them.
fn name(machine: &MachineId) -> String {
    format!("{}/{}", machine.hostname().to_lowercase(), machine.ip())
}

fn names(machines: &[MachineId]) -> String {
    let names: Vec<String> = machines.iter().map(name).collect();
    names.join(", ")
}

/// What may be meant: machines of agents, and those that are scheduled.
async fn known(target: &Target, schedule: &Schedule) -> anyhow::Result<Vec<Known>> {
    let mut known: Vec<Known> = Vec::new();
    let scheduled = schedule.windows.iter().flat_map(|it| &it.machine_ids);
    for machine in scheduled {
        known.push(Known {
            machine: machine.clone(),
            agents: Vec::new(),
        });
    }
    for agent in ids::slaves(target).await? {
        let Some(machine) = machine_of(&agent) else {
            continue;
        };
        let same = known
            .iter_mut()
            .find(|it| name(&it.machine) == name(&machine));
        match same {
            Some(same) => same.agents.push(text(&agent, "id")),
            None => known.push(Known {
                machine,
                agents: vec![text(&agent, "id")],
            }),
        }
    }
    Ok(known)
}

struct Known {
    machine: MachineId,
    /// Ids of those there.
    agents: Vec<String>,
}

impl Known {
    /// All that it is called, its agents' ids and their ends among them.
    fn names(&self) -> Vec<String> {
        let ends = self.agents.iter();
        let ends = ends.filter_map(|id| id.rsplit_once('-').map(|(_, end)| end.to_string()));
        let mut names: Vec<String> = self.agents.iter().cloned().chain(ends).collect();
        names.extend(self.machine.hostname.clone());
        names.extend(self.machine.ip.clone());
        names.push(name(&self.machine));
        names
    }
}

/// Of an agent as `/slaves` shows it; one that is away has no address.
fn machine_of(agent: &Value) -> Option<MachineId> {
    let (_, address) = agent["pid"].as_str()?.split_once('@')?;
    let (ip, _) = address.rsplit_once(':')?;
    Some(MachineId {
        hostname: Some(text(agent, "hostname")),
        ip: Some(ip.trim_matches(['[', ']']).to_string()),
    })
}

/// The machines that are meant, each once. Where `may_be_new` one that nobody knows may be given as HOST/ADDRESS.
fn meant(hosts: &HostsArgs, known: &[Known], may_be_new: bool) -> anyhow::Result<Vec<MachineId>> {
    let mut meant: Vec<MachineId> = Vec::new();
    for host in &hosts.hosts {
        let machine = machine_meant(host, known, may_be_new)?;
        if !meant.iter().any(|it| name(it) == name(&machine)) {
            meant.push(machine);
        }
    }
    Ok(meant)
}

fn machine_meant(host: &str, known: &[Known], may_be_new: bool) -> anyhow::Result<MachineId> {
    let called = |it: &&Known| it.names().iter().any(|it| it.eq_ignore_ascii_case(host));
    let mut called = known.iter().filter(called);
    // One whose whole name it is goes before one whose name begins so.
    if let (Some(one), None) = (called.next(), called.next()) {
        return Ok(one.machine.clone());
    }
    if may_be_new && let Some((hostname, ip)) = host.split_once('/') {
        return Ok(MachineId {
            hostname: Some(hostname.to_string()),
            ip: Some(ip.to_string()),
        });
    }
    let candidates = known.iter().map(|it| ids::Candidate {
        id: name(&it.machine),
        names: it.names(),
        known_as: None,
    });
    let chosen = ids::choose(MACHINE, host, candidates.collect());
    let chosen = match chosen {
        Err(error) if may_be_new => bail!("{error}; HOST/ADDRESS names one that has no agents"),
        chosen => chosen?,
    };
    let machine = known.iter().find(|it| name(&it.machine) == chosen.id);
    let machine = machine.context("the machine that was chosen is one of them")?;
    Ok(machine.machine.clone())
}

async fn plan(target: &Target, args: ScheduleArgs) -> anyhow::Result<ExitCode> {
    let start = moments::moment("--start", &args.start, SystemTime::now())?;
    let start = moments::nanos(start).with_context(|| format!("--start {}", args.start))?;
    let duration = args.duration.as_deref();
    let duration = duration.map(|text| moments::span("--duration", text));
    let duration: Option<Duration> = duration.transpose()?;
    let before = schedule(target).await?;
    let machines = meant(&args.hosts, &known(target, &before).await?, true)?;
    let mut after = without(before, &machines);
    after.windows.push(Window {
        machine_ids: machines.clone(),
        unavailability: Unavailability {
            start: TimeInfo { nanoseconds: start },
            duration: duration.map(|it| DurationInfo {
                nanoseconds: i64::try_from(it.as_nanos()).unwrap_or(i64::MAX),
            }),
        },
    });
    let names = names(&machines);
    replace(target, &format!("schedule {names}"), after).await?;
    let lasts = duration.map(|it| format!(" for {}", why::seconds(&it.as_secs_f64().into())));
    output::lines([format!(
        "scheduled from {}{}: {names}; `tepui maintenance down` takes them down",
        moments::shown(start),
        lasts.unwrap_or_default()
    )])?;
    Ok(ExitCode::SUCCESS)
}

/// The schedule with nothing of these machines.
fn without(mut schedule: Schedule, machines: &[MachineId]) -> Schedule {
    let leaving: BTreeSet<String> = machines.iter().map(name).collect();
    for window in &mut schedule.windows {
        window.machine_ids.retain(|it| !leaving.contains(&name(it)));
    }
    schedule
        .windows
        .retain(|window| !window.machine_ids.is_empty());
    schedule
}

/// Puts a schedule in the place of the one there is: Mesos has no call that changes a part of it.
async fn replace(target: &Target, doing: &str, schedule: Schedule) -> anyhow::Result<()> {
    let call = Call {
        r#type: Some(Type::UpdateMaintenanceSchedule as i32),
        update_maintenance_schedule: Some(UpdateMaintenanceSchedule { schedule }),
        ..Call::default()
    };
    calls::change(target, doing, &call).await
}

/// Machines of the schedule that are meant.
async fn scheduled(
    target: &Target,
    hosts: &HostsArgs,
) -> anyhow::Result<(Schedule, Vec<MachineId>)> {
    let schedule = schedule(target).await?;
    let machines = meant(hosts, &known(target, &schedule).await?, false)?;
    let planned = schedule.windows.iter().flat_map(|it| &it.machine_ids);
    let planned: BTreeSet<String> = planned.map(name).collect();
    if let Some(other) = machines.iter().map(name).find(|it| !planned.contains(it)) {
        bail!(
            "machine {other} is not scheduled; `tepui maintenance` lists those that are, `tepui maintenance schedule` \
             adds it"
        );
    }
    Ok((schedule, machines))
}

async fn cancel(target: &Target, hosts: HostsArgs) -> anyhow::Result<ExitCode> {
    let (before, machines) = scheduled(target, &hosts).await?;
    let names = names(&machines);
    let after = without(before, &machines);
    replace(target, &format!("take {names} out of the schedule"), after).await?;
    output::lines([format!("not scheduled any more: {names}")])?;
    Ok(ExitCode::SUCCESS)
}

async fn down(target: &Target, hosts: HostsArgs) -> anyhow::Result<ExitCode> {
    let (_, machines) = scheduled(target, &hosts).await?;
    let names = names(&machines);
    let call = Call {
        r#type: Some(Type::StartMaintenance as i32),
        start_maintenance: Some(StartMaintenance { machines }),
        ..Call::default()
    };
    calls::change(target, &format!("take {names} down"), &call).await?;
    output::lines([format!(
        "down, their agents are shut down: {names}; after `tepui maintenance up` they may be started again"
    )])?;
    Ok(ExitCode::SUCCESS)
}

async fn up(target: &Target, hosts: HostsArgs) -> anyhow::Result<ExitCode> {
    let (_, machines) = scheduled(target, &hosts).await?;
    let names = names(&machines);
    let call = Call {
        r#type: Some(Type::StopMaintenance as i32),
        stop_maintenance: Some(StopMaintenance { machines }),
        ..Call::default()
    };
    calls::change(target, &format!("bring {names} up"), &call).await?;
    output::lines([format!("up, and not scheduled any more: {names}")])?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[path = "maintenance_tests.rs"]
mod tests;
