//! Clients that write and read registers through the leader, all the time: a register is the weight of a role.
//!
//! Reads are linearizable by promise: the leader answers from its view once that has all that was acknowledged, and
//! only under a lease. So what a deposed leader answers has to be no answer, or a right one: some groups read
//! through all masters in turn, also through one that is stopped and answers when it goes on.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Instant,
};

use anyhow::bail;
use futures_util::future::try_join3;
use tepui_client::{Client, Error, operator::Operator};
use tepui_protocol::v1::{
    WeightInfo,
    master::{
        Call, Response,
        call::{self, Type},
    },
};

use crate::{
    history::{Operation, Sitting, What},
    lead::{Lead, unless_late},
    seen::Seen,
};

/// What each client does in one sitting; few, since the checker's search grows with it.
const OPERATIONS: usize = 6;
/// Clients of a sitting: two that write, one that reads, and the same one after them.
const WRITERS: [u32; 2] = [0, 1];
const READER: u32 = 2;

/// What a follower and a leader that has just been elected answer; nothing was done then.
const NOT_LEADING: [&str; 2] = ["No leader elected", "Master has not finished recovery"];

/// Three clients at one register at a time.
pub(crate) struct Group {
    name: String,
    lead: Lead,
    client: Client,
    seen: Seen,
    /// Through which it reads; none for the leader.
    masters: Vec<String>,
    turn: AtomicUsize,
    keys: usize,
    next_value: AtomicU64,
    /// The register in use, and its value.
    current: Option<(String, u64)>,
    /// Registers with writes whose answer was lost: one may have its effect at any time, so they are only read.
    retired: Vec<Sitting>,
}

/// One sitting as it is recorded.
struct Recording {
    key: String,
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

enum Answer<T> {
    Done(T),
    /// It was not done.
    Refused,
    /// It was done, will be done, or will not.
    Lost,
}

impl Group {
    pub(crate) fn new(name: String, lead: Lead, seen: Seen, masters: Vec<String>) -> Group {
        Group {
            name,
            lead,
            client: Client::default(),
            seen,
            masters,
            turn: AtomicUsize::new(0),
            keys: 0,
            next_value: AtomicU64::new(1),
            current: None,
            retired: Vec::new(),
        }
    }

    /// Sits down again and again until it is told to end; what was recorded.
    pub(crate) async fn run(&mut self, end: &AtomicBool) -> anyhow::Result<Vec<Sitting>> {
        let mut sittings = Vec::new();
        while !end.load(Relaxed) {
            let (key, began_with) = self.current.take().unwrap_or_else(|| {
                self.keys += 1;
                (format!("{}-{}", self.name, self.keys), 0)
            });
            let sitting = self.sit(key, began_with).await?;
            sittings.push(sitting.clone());
            if sitting.lost_writes() == 0 {
                self.current = Some((sitting.key.clone(), sitting.last_read()));
            } else {
                self.retired.push(sitting);
            }
        }
        Ok(sittings)
    }

    async fn sit(&self, key: String, began_with: u64) -> anyhow::Result<Sitting> {
        let recording = Recording {
            key,
            clock: AtomicU64::new(0),
            operations: Mutex::default(),
        };
        let [one, other] = WRITERS;
        try_join3(
            Box::pin(self.write_some(&recording, one)),
            Box::pin(self.write_some(&recording, other)),
            Box::pin(self.read_some(&recording, OPERATIONS)),
        )
        .await?;
        // Nobody writes any more: what is read now is what the next sitting begins with.
        self.read_some(&recording, 1).await?;
        let operations = recording.operations.into_inner();
        Ok(Sitting {
            key: recording.key,
            began_with,
            operations: operations.unwrap_or_else(PoisonError::into_inner),
        })
    }

    async fn write_some(&self, recording: &Recording, client: u32) -> anyhow::Result<()> {
        for _ in 0..OPERATIONS {
            let value = self.next_value.fetch_add(1, Relaxed);
            let leader = self.lead.found().await?;
            let invoked = recording.tick();
            let asked = Instant::now();
            let answer = self.write(&leader, &recording.key, value).await?;
            let returned = match answer {
                Answer::Done(()) => {
                    let returned = recording.tick();
                    self.seen.write(asked);
                    Some(returned)
                }
                Answer::Refused => {
                    self.lead.found_anew().await?;
                    continue;
                }
                Answer::Lost => None,
            };
            recording.note(Operation {
                client,
                what: What::Write(value),
                invoked,
                returned,
            });
            if returned.is_none() {
                self.lead.found_anew().await?;
            }
        }
        Ok(())
    }

    async fn read_some(&self, recording: &Recording, count: usize) -> anyhow::Result<()> {
        let mut done = 0;
        while done < count {
            let leader = self.lead.found().await?;
            let invoked = recording.tick();
            let Answer::Done(value) = self.read(leader, &recording.key).await? else {
                self.lead.found_anew().await?;
                continue;
            };
            let returned = Some(recording.tick());
            recording.note(Operation {
                client: READER,
                what: What::Read(value),
                invoked,
                returned,
            });
            done += 1;
        }
        Ok(())
    }

    async fn write(&self, leader: &str, role: &str, value: u64) -> anyhow::Result<Answer<()>> {
        let weight = WeightInfo {
            role: Some(role.to_string()),
            weight: value as f64,
        };
        let call = Call {
            r#type: Some(Type::UpdateWeights as i32),
            update_weights: Some(call::UpdateWeights {
                weight_infos: vec![weight],
            }),
            ..Default::default()
        };
        let operator = Operator::new(self.client.clone(), leader);
        answer(self.lead.unless_lost(leader, operator.change(&call)).await)
    }

    async fn read(&self, leader: String, role: &str) -> anyhow::Result<Answer<u64>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let all = match self.masters.get(turn % self.masters.len().max(1)) {
            Some(master) => {
                let operator = Operator::new(self.client.clone(), master);
                answer(unless_late(operator.get(Type::GetWeights)).await)
            }
            None => weights(&self.lead, &self.client, &leader).await,
        };
        Ok(match all? {
            Answer::Done(response) => Answer::Done(weight_of(&response, role)),
            Answer::Refused => Answer::Refused,
            Answer::Lost => Answer::Lost,
        })
    }

    /// Looks at each of its registers in what was read while nobody wrote; gives back the sittings that have
    /// something new to say.
    pub(crate) fn look_back(&mut self, registers: &Response) -> Vec<Sitting> {
        let mut changed = Vec::new();
        if let Some((key, value)) = &self.current {
            let mut untouched = Sitting {
                key: key.clone(),
                began_with: *value,
                operations: Vec::new(),
            };
            untouched.read_later(READER, weight_of(registers, key));
            changed.push(untouched);
        }
        for sitting in &mut self.retired {
            let value = weight_of(registers, &sitting.key);
            // The same value again could not contradict anything.
            if value != sitting.last_read() {
                sitting.read_later(READER, value);
                changed.push(sitting.clone());
            }
        }
        changed
    }
}

impl Recording {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst)
    }

    fn note(&self, operation: Operation) {
        let operations = self.operations.lock();
        operations
            .unwrap_or_else(PoisonError::into_inner)
            .push(operation);
    }
}

/// All registers, read through the leader once there is one.
pub(crate) async fn read_all(lead: &Lead) -> anyhow::Result<Response> {
    let client = Client::default();
    loop {
        let leader = lead.found_anew().await?;
        if let Answer::Done(registers) = weights(lead, &client, &leader).await? {
            return Ok(registers);
        }
    }
}

async fn weights(lead: &Lead, client: &Client, leader: &str) -> anyhow::Result<Answer<Response>> {
    let operator = Operator::new(client.clone(), leader);
    answer(
        lead.unless_lost(leader, operator.get(Type::GetWeights))
            .await,
    )
}

fn weight_of(registers: &Response, role: &str) -> u64 {
    let weights = registers.get_weights.iter().flat_map(|it| &it.weight_infos);
    let mut own = weights.filter(|it| it.role() == role);
    // Whole numbers, and few enough of them to be exact.
    own.next().map_or(0, |it| it.weight as u64)
}

/// What an answer says about what was asked for.
///
/// # Errors
/// For an answer that a master must not give.
fn answer<T>(answer: Option<Result<T, Error>>) -> anyhow::Result<Answer<T>> {
    Ok(match answer {
        Some(Ok(value)) => Answer::Done(value),
        // Each master it went to sent it on.
        Some(Err(Error::NoLeader(_))) => Answer::Refused,
        // Nor did one read it that went on after it had been stopped for long.
        Some(Err(Error::Refused { status: 408, .. })) => Answer::Refused,
        Some(Err(Error::Refused { status: 503, text })) => {
            if NOT_LEADING.contains(&text.as_str()) {
                Answer::Refused
            } else {
                Answer::Lost
            }
        }
        Some(Err(error @ Error::Refused { .. })) => bail!("a master refused: {error}"),
        None
        | Some(Err(Error::Unreachable { .. } | Error::Timeout { .. } | Error::Malformed(_))) => {
            Answer::Lost
        }
    })
}
