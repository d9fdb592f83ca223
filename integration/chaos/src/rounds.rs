//! One fault after the other, each under load, each followed by the question whether all is as it has to be.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tepui_client::{Client, operator::Operator};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    draw::Draw,
    faults::Fault,
    framework::{Framework, Order},
    history::Sitting,
    house,
    lead::{self, Lead},
    machine,
    registers::{self, Group},
    seen::{Gaps, Seen},
    witness::Witness,
};

/// Groups of three clients, each asking without a pause.
const GROUPS: usize = 6;
/// Tasks that are launched before a fault, and from then on: more than can be lost with the old leader.
const LAUNCHES_BEFORE: u64 = 8;
const LAUNCHES_AFTER: u64 = 20;
/// Tasks that live from round to round.
const KEPT_TASKS: usize = 30;
/// Writes that must have been acknowledged before a fault.
const BUSY_WRITES: u64 = 50;
/// Nothing heals by itself after so long; figures are for people, this is not one.
const HEAL_LIMIT: Duration = Duration::from_secs(60);
const CHECK_LIMIT: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const RECONCILE_EVERY: Duration = Duration::from_secs(1);

/// What a round has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    pub(crate) gaps: Gaps,
    /// From the fault until all masters agree and both agents are back.
    pub(crate) healed: Duration,
}

pub(crate) struct Rounds {
    masters: Vec<String>,
    /// Their ports.
    agents: Vec<String>,
    marks: PathBuf,
    lead: Lead,
    witness: Witness,
    seen: Seen,
    groups: Vec<Group>,
    framework: Framework,
    draw: Draw,
    client: Client,
    /// Of the last round, for whoever looks into a failure.
    pub(crate) history: Vec<Sitting>,
}

impl Rounds {
    pub(crate) async fn prepare(
        masters: Vec<String>,
        agents: Vec<String>,
        marks: PathBuf,
        seed: u64,
    ) -> anyhow::Result<Rounds> {
        let (lead, seen) = (Lead::watch(masters.clone()), Seen::new());
        let group = |number: usize| {
            let wanders = number.is_multiple_of(2);
            let through = if wanders { masters.clone() } else { Vec::new() };
            Group::new(format!("g{number}"), lead.clone(), seen.clone(), through)
        };
        let groups = (0..GROUPS).map(group).collect();
        let shown = marks.display().to_string();
        let tasks = Draw::new(seed ^ 1);
        let framework =
            Framework::start(&masters, lead.clone(), seen.clone(), shown, tasks).await?;
        Ok(Rounds {
            witness: Witness::watch(&masters),
            masters,
            agents,
            marks,
            lead,
            seen,
            groups,
            framework,
            draw: Draw::new(seed),
            client: Client::default(),
            history: Vec::new(),
        })
    }

    /// Starts the tasks that live from round to round.
    pub(crate) async fn begin(&mut self) -> anyhow::Result<()> {
        let wanted = 2 * KEPT_TASKS as u64;
        self.framework.order(Order::Launch(wanted)).await?;
        let running = async || self.framework.ledger().count().running >= KEPT_TASKS;
        until(HEAL_LIMIT, "tasks to run", running).await?;
        self.settle().await?;
        self.audit()
    }

    pub(crate) async fn round(&mut self, number: usize, fault: Fault) -> anyhow::Result<Outcome> {
        let outcome = self.under_load(fault).await;
        // Two leaders explain whatever else broke.
        self.witness.verdict()?;
        let outcome = outcome?;
        let registers = registers::read_all(&self.lead).await?;
        for group in &mut self.groups {
            self.history.extend(group.look_back(&registers));
        }
        self.settle().await?;
        let surplus = self.framework.ledger().surplus(KEPT_TASKS);
        self.framework.order(Order::Kill(surplus)).await?;
        self.settle().await?;
        self.audit()?;
        self.listed().await?;
        check(&self.history).await?;
        self.tell(number, &outcome);
        Ok(outcome)
    }

    /// Ends the framework; how many writes were acknowledged in all rounds.
    pub(crate) async fn end(self) -> anyhow::Result<u64> {
        self.framework.end().await?;
        Ok(self.seen.acknowledged.load(Relaxed))
    }

    /// The fault itself, with clients and launches before, while and after.
    async fn under_load(&mut self, fault: Fault) -> anyhow::Result<Outcome> {
        self.history.clear();
        let end = Arc::new(AtomicBool::new(false));
        let mut groups = Vec::new();
        for mut group in self.groups.drain(..) {
            let end = Arc::clone(&end);
            groups.push(tokio::spawn(async move {
                let sat = group.run(&end).await;
                (group, sat)
            }));
        }
        let outcome = self.strike(fault).await;
        end.store(true, Relaxed);
        for group in groups {
            let (group, sittings) = group.await?;
            self.groups.push(group);
            self.history.extend(sittings?);
        }
        outcome
    }

    async fn strike(&mut self, fault: Fault) -> anyhow::Result<Outcome> {
        let (leader, began) = self.moment().await?;
        let old = [lead::port(&leader).to_string()];
        let agent = self.draw.between(0, self.agents.len() as u64) as usize;
        let both = [old[0].clone(), self.agents[agent].clone()];
        let masters = self.masters.iter().map(|it| lead::port(it).to_string());
        let all: Vec<String> = masters.collect();
        let ports = match fault {
            Fault::AllKilled => &all[..],
            Fault::LeaderAndAgentKilled => &both[..],
            _ => &old[..],
        };
        let (struck, mended) = fault.deeds();
        let (least_ms, most_ms) = fault.lasts_ms();
        house::order(struck, ports).await?;
        self.seen.fault(began);
        if fault == Fault::LeaderAndAgentKilled {
            self.framework.ledger().agent_killed();
        }
        self.framework.order(Order::Launch(LAUNCHES_AFTER)).await?;
        sleep(self.draw.pause(least_ms, most_ms)).await;
        house::order(mended, ports).await?;
        let healed = async || self.healed().await.unwrap_or(false);
        until(HEAL_LIMIT, "masters to agree and agents to be back", healed).await?;
        let healed = began.elapsed();
        let gaps = self.seen.served_again(HEAL_LIMIT).await?;
        Ok(Outcome {
            fault,
            gaps,
            healed,
        })
    }

    /// Waits for the moment to strike: clients are busy, and in half of the rounds a launch is under way. Who leads
    /// then, and when that is.
    async fn moment(&mut self) -> anyhow::Result<(String, Instant)> {
        self.framework.order(Order::Launch(LAUNCHES_BEFORE)).await?;
        let before = self.seen.acknowledged.load(Relaxed);
        let busy = async || self.seen.acknowledged.load(Relaxed) >= before + BUSY_WRITES;
        until(HEAL_LIMIT, "writes to be acknowledged", busy).await?;
        sleep(self.draw.pause(200, 1_500)).await;
        if self.draw.between(0, 2) == 0 {
            self.framework.order(Order::Launch(LAUNCHES_BEFORE)).await?;
            let launched = timeout(HEAL_LIMIT, self.seen.launch()).await;
            launched.context("no offer came on which to launch")?;
            sleep(self.draw.pause(0, 10)).await;
        }
        Ok((self.lead.found().await?, Instant::now()))
    }

    /// Whether all masters name the same leader, and it knows all agents.
    async fn healed(&self) -> anyhow::Result<bool> {
        let leader = self.lead.found().await?;
        for master in &self.masters {
            let (named, _) = lead::named_leader(&self.client, master).await?;
            if lead::port(&named) != lead::port(&leader) {
                return Ok(false);
            }
        }
        let agents = Operator::new(self.client.clone(), &leader)
            .json("/slaves")
            .await?;
        let agents = agents["slaves"].as_array().context("/slaves has a list")?;
        Ok(agents.iter().filter(|it| it["active"] == true).count() == self.agents.len())
    }

    /// Waits until every task has ended or runs, as far as the framework is told.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.framework.order(Order::Launch(0)).await?;
        let deadline = Instant::now() + HEAL_LIMIT;
        loop {
            self.framework.reconcile().await?;
            let settled = async || self.framework.ledger().unsettled().is_empty();
            if until(RECONCILE_EVERY, "tasks", settled).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let unsettled = self.framework.ledger().unsettled();
                bail!("tasks that do not settle: {}", unsettled.join(", "));
            }
        }
    }

    fn audit(&self) -> anyhow::Result<()> {
        let machine = machine::look(&self.marks).context("the marks cannot be read")?;
        let faults = self.framework.ledger().audit(&machine);
        if !faults.is_empty() {
            bail!(
                "tasks are lost, doubled or told wrongly:\n{}",
                faults.join("\n")
            );
        }
        Ok(())
    }

    /// The leader has to list each task that runs, once.
    async fn listed(&self) -> anyhow::Result<()> {
        let leader = self.lead.found().await?;
        let operator = Operator::new(self.client.clone(), leader);
        let tasks = operator.json("/tasks?limit=100000").await?;
        let tasks = tasks["tasks"].as_array().context("/tasks has a list")?;
        let running = tasks.iter().filter(|it| it["state"] == "TASK_RUNNING");
        let mut listed: Vec<&str> = running.filter_map(|it| it["id"].as_str()).collect();
        listed.sort_unstable();
        let expected: Vec<String> = self.framework.ledger().open_ids().into_iter().collect();
        if listed != expected {
            bail!("/tasks lists as running {listed:?}, expected {expected:?}");
        }
        Ok(())
    }

    fn tell(&self, number: usize, outcome: &Outcome) {
        let count = self.framework.ledger().count();
        let operations: usize = self.history.iter().map(|it| it.operations.len()).sum();
        let lost: usize = self.history.iter().map(Sitting::lost_writes).sum();
        let Outcome {
            fault,
            gaps,
            healed,
        } = outcome;
        eprintln!(
            "round {number}, {fault}: write after {}, offer {}, running {}, healed {}; {operations} operations in {} \
             histories, {lost} writes without answer; {} tasks run, {} finished, {} killed, {} never began",
            shown(gaps.write),
            shown(gaps.offer),
            shown(gaps.running),
            shown(Some(*healed)),
            self.history.len(),
            count.running,
            count.finished,
            count.killed,
            count.never_began,
        );
    }
}

pub(crate) fn shown(gap: Option<Duration>) -> String {
    gap.map_or_else(
        || "never".to_string(),
        |it| format!("{} ms", it.as_millis()),
    )
}

/// Waits until `look` is true.
async fn until(limit: Duration, what: &str, look: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let looking = async {
        while !look().await {
            sleep(LOOK_EVERY).await;
        }
    };
    let seen = timeout(limit, looking).await;
    seen.with_context(|| format!("waited {} s for {what}", limit.as_secs()))
}

/// Checks every sitting; one that the checker cannot decide in time counts as refused.
async fn check(sittings: &[Sitting]) -> anyhow::Result<()> {
    let (verdict, heard) = oneshot::channel();
    let sittings = sittings.to_vec();
    thread::spawn(move || {
        let checked = sittings.iter().try_for_each(Sitting::check);
        // Nobody hears a verdict that comes too late.
        let _ = verdict.send(checked);
    });
    let verdict = timeout(CHECK_LIMIT, heard).await.with_context(|| {
        format!(
            "the histories could not be checked within {} s",
            CHECK_LIMIT.as_secs()
        )
    })?;
    Ok(verdict??)
}

/// Writes what was recorded, for people.
pub(crate) fn write_down(sittings: &[Sitting], path: &Path) -> std::io::Result<()> {
    let lines: Vec<String> = sittings.iter().map(|it| format!("{it}\n")).collect();
    std::fs::write(path, lines.concat())
}
