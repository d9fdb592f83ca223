//! A framework with tasks, on the SDK as anyone would use it: launches go on while masters die, and it comes back
//! by itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context, bail};
use tepui_client::{Client, Error, Events, scheduler::Scheduler};
use tepui_protocol::v1::{
    AgentId, CommandInfo, FrameworkInfo, Offer, Resource, TaskId, TaskInfo,
    scheduler::{Event, event::Type},
    value,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_local},
};

use crate::{
    draw::Draw,
    lead::Lead,
    ledger::{Kind, Ledger},
    machine,
    seen::Seen,
};

const TASK_CPUS: f64 = 0.05;
const TASK_MEM_MB: f64 = 16.0;
/// Tasks of one ACCEPT at most.
const MOST_AT_ONCE: u64 = 4;
/// An agent is offered again so soon after it was declined, and after some of it was taken.
const REFUSE_SECONDS: f64 = 0.1;
const FAILOVER_TIMEOUT_SECONDS: f64 = 600.0;

#[derive(Debug)]
pub(crate) enum Order {
    /// So many tasks more, as offers come.
    Launch(u64),
    Kill(Vec<(String, AgentId)>),
    /// Ask what became of every task whose end is not known; answered when all is asked.
    Reconcile(oneshot::Sender<()>),
}

/// Whoever holds it gives orders.
pub(crate) struct Framework {
    orders: mpsc::Sender<Order>,
    ledger: Arc<Mutex<Ledger>>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Framework {
    /// Subscribes, and goes on in the local set; tasks leave their marks in the directory `marks`.
    pub(crate) async fn start(
        masters: &[String],
        lead: Lead,
        seen: Seen,
        marks: String,
        draw: Draw,
    ) -> anyhow::Result<Framework> {
        let info = FrameworkInfo {
            user: std::env::var("USER").unwrap_or_else(|_| "root".to_string()),
            name: "chaos".to_string(),
            checkpoint: Some(true),
            failover_timeout: Some(FAILOVER_TIMEOUT_SECONDS),
            ..Default::default()
        };
        let leader = lead.found().await?;
        let (scheduler, events) = Scheduler::subscribe(&Client::default(), masters, info).await?;
        let (orders, received) = mpsc::channel(16);
        let ledger = Arc::<Mutex<Ledger>>::default();
        let actor = Running {
            scheduler,
            lead,
            leader,
            seen,
            marks,
            draw,
            to_launch: 0,
            launched: 0,
            ledger: Arc::clone(&ledger),
        };
        Ok(Framework {
            orders,
            ledger,
            running: spawn_local(actor.run(events, received)),
        })
    }

    /// Returns when the master was asked for every task whose end is not known.
    pub(crate) async fn reconcile(&mut self) -> anyhow::Result<()> {
        let (asked, all_asked) = oneshot::channel();
        self.order(Order::Reconcile(asked)).await?;
        all_asked.await.context("the framework has ended")
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// # Errors
    /// What ended the framework, if it has ended.
    pub(crate) async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        if self.orders.send(order).await.is_err() {
            (&mut self.running).await??;
            bail!("the framework has ended");
        }
        Ok(())
    }

    /// Ends the framework and all of its tasks.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        drop(self.orders);
        self.running.await?
    }
}

/// The ledger is whole after every statement.
fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Running {
    scheduler: Scheduler,
    lead: Lead,
    /// Where it is subscribed, as far as is known.
    leader: String,
    seen: Seen,
    marks: String,
    draw: Draw,
    to_launch: u64,
    launched: u64,
    ledger: Arc<Mutex<Ledger>>,
}

impl Running {
    async fn run(
        mut self,
        mut events: Events<Event>,
        mut orders: mpsc::Receiver<Order>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await?,
                    None => return Ok(self.scheduler.teardown().await?),
                },
                event = events.next() => match event {
                    Ok(Some(event)) => self.hear(event).await?,
                    // One that is stopped does not end its streams: the client finds out.
                    Ok(None) | Err(Error::Unreachable { .. }) => events = self.resubscribe().await?,
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    async fn resubscribe(&mut self) -> anyhow::Result<Events<Event>> {
        self.leader = self.lead.found_anew().await?;
        let again = self.scheduler.resubscribe().await;
        again.context("the framework could not come back")
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Launch(count) => self.to_launch = count,
            Order::Kill(tasks) => {
                for (value, agent_id) in tasks {
                    let kill = self.scheduler.kill(TaskId { value }, Some(agent_id));
                    self.lead.unless_lost(&self.leader, kill).await;
                }
            }
            Order::Reconcile(asked) => {
                // Chosen now: a master has forgotten a task whose end was acknowledged, and calls it lost.
                let open = lock(&self.ledger).reconcile();
                for (value, agent_id) in open {
                    let reconcile = self.scheduler.reconcile(TaskId { value }, Some(agent_id));
                    self.lead.unless_lost(&self.leader, reconcile).await;
                }
                // Who asked may have given up.
                let _ = asked.send(());
            }
        }
        Ok(())
    }

    async fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event.r#type() {
            Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    self.take(offer).await?;
                }
            }
            Type::Update => {
                let status = event.update.unwrap_or_default().status;
                let told = lock(&self.ledger).told(&status.task_id.value, status.state());
                if let Some(launched) = told {
                    self.seen.running(launched);
                }
                // What is not acknowledged comes again.
                let acknowledged = self.scheduler.acknowledge(&status);
                self.lead.unless_lost(&self.leader, acknowledged).await;
            }
            Type::Error => bail!(
                "the framework got an error: {}",
                event.error.unwrap_or_default().message
            ),
            _ => {}
        }
        Ok(())
    }

    /// Launches some tasks on an offer, or declines it.
    async fn take(&mut self, offer: Offer) -> anyhow::Result<()> {
        let count = self.draw.between(1, MOST_AT_ONCE + 1).min(self.to_launch);
        if count == 0 || !fits(&offer, count) {
            let decline = self.scheduler.decline(vec![offer.id], REFUSE_SECONDS);
            self.lead.unless_lost(&self.leader, decline).await;
            return Ok(());
        }
        self.to_launch -= count;
        let tasks: Vec<TaskInfo> = (0..count).map(|_| self.task(&offer.agent_id)).collect();
        let ids: Vec<String> = tasks.iter().map(|it| it.task_id.value.clone()).collect();
        self.seen.launching();
        let launch = self.scheduler.launch(&offer.id, tasks, REFUSE_SECONDS);
        match self.lead.unless_lost(&self.leader, launch).await {
            // A stream of before the change, or nobody read it or leads: the call went nowhere.
            Some(Err(
                Error::Refused {
                    status: 403 | 408, ..
                }
                | Error::NoLeader(_),
            )) => {
                for id in &ids {
                    lock(&self.ledger).refused(id);
                }
            }
            Some(Err(error)) if !error.is_change_of_leader() => {
                return Err(error).context("a launch was refused");
            }
            // Whether it was lost on the way will be told.
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Every other task ends by itself, some of them while no master leads.
    fn task(&mut self, agent_id: &AgentId) -> TaskInfo {
        self.launched += 1;
        let id = format!("task-{}", self.launched);
        let mark = machine::mark(&format!("{}/{id}", self.marks));
        let (kind, command) = if self.launched.is_multiple_of(2) {
            let pause = self.draw.pause(100, 3_000).as_secs_f64();
            (Kind::Short, format!("{mark}; exec sleep {pause}"))
        } else {
            (Kind::Long, format!("{mark}; exec sleep 1000000"))
        };
        lock(&self.ledger).launched(&id, kind, agent_id.clone(), Instant::now());
        TaskInfo {
            name: id.clone(),
            task_id: TaskId { value: id },
            agent_id: agent_id.clone(),
            resources: vec![scalar("cpus", TASK_CPUS), scalar("mem", TASK_MEM_MB)],
            command: Some(CommandInfo {
                shell: Some(true),
                value: Some(command),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_string(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    }
}

fn fits(offer: &Offer, tasks: u64) -> bool {
    let amount = |name: &str| -> f64 {
        let named = offer.resources.iter().filter(|it| it.name == name);
        let scalars = named.filter_map(|it| it.scalar.as_ref());
        scalars.map(|it| it.value).sum()
    };
    let tasks = tasks as f64;
    amount("cpus") >= tasks * TASK_CPUS && amount("mem") >= tasks * TASK_MEM_MB
}
