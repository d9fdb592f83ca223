//! A framework's scheduler: subscribe once, then call (Mesos: `POST /api/v1/scheduler`).

use tepui_protocol::{
    codec::json,
    v1::{
        AgentId, Filters, FrameworkId, FrameworkInfo, OfferId, TaskId, TaskInfo, TaskStatus,
        offer::{Operation, operation},
        scheduler::{Call, Event, call, call::Type, event},
    },
};

use crate::{
    Client, Error, Events, Masters, http,
    masters::{Doubt, Leader, WithoutMasters},
};

const PATH: &str = "/api/v1/scheduler";
const JSON: &str = "application/json";

/// A subscribed framework. Clone it to call from several tasks.
#[derive(Debug, Clone)]
pub struct Scheduler {
    masters: Masters,
    info: FrameworkInfo,
    /// Where it is subscribed.
    leader: Leader,
    stream_id: String,
    pub framework_id: FrameworkId,
}

/// A subscription as it begins.
struct Subscribed {
    stream_id: String,
    framework_id: FrameworkId,
    events: Events<Event>,
}

impl Scheduler {
    /// Subscribes at the leader of `masters`; waits for SUBSCRIBED, and a while for a leader where there is none.
    ///
    /// # Errors
    /// The last one, or the text of the ERROR event as [`Error::Refused`] with status 200.
    pub async fn subscribe(
        client: &Client,
        masters: &[String],
        info: FrameworkInfo,
    ) -> Result<(Scheduler, Events<Event>), Error> {
        let masters = Masters::new(client.clone(), masters);
        let (leader, subscribed) =
            Self::subscribe_anywhere(&masters, WithoutMasters::GiveUp, &info).await?;
        let scheduler = Scheduler {
            masters,
            info,
            leader,
            stream_id: subscribed.stream_id,
            framework_id: subscribed.framework_id,
        };
        Ok((scheduler, subscribed.events))
    }

    /// Subscribes again as the same framework, after the stream has ended, at whoever leads now. Offers of before are
    /// void; clones of before are of no use any more.
    ///
    /// # Errors
    /// As [`Scheduler::subscribe`].
    pub async fn resubscribe(&mut self) -> Result<Events<Event>, Error> {
        self.info.id = Some(self.framework_id.clone());
        let (leader, subscribed) =
            Self::subscribe_anywhere(&self.masters, WithoutMasters::Wait, &self.info).await?;
        self.leader = leader;
        self.stream_id = subscribed.stream_id;
        Ok(subscribed.events)
    }

    async fn subscribe_anywhere(
        masters: &Masters,
        without_masters: WithoutMasters,
        info: &FrameworkInfo,
    ) -> Result<(Leader, Subscribed), Error> {
        let subscribe = async |leader: &Leader| {
            let address = &leader.address;
            let mut subscribed =
                Self::subscribe_at(masters.client(), address, info.clone()).await?;
            let doubt = Doubt::new(masters.clone(), leader.clone());
            subscribed.events = subscribed.events.with_doubt(doubt);
            Ok((leader.clone(), subscribed))
        };
        masters.call_leader(without_masters, subscribe).await
    }

    async fn subscribe_at(
        client: &Client,
        master: &str,
        info: FrameworkInfo,
    ) -> Result<Subscribed, Error> {
        let call = Call {
            framework_id: info.id.clone(),
            r#type: Some(Type::Subscribe as i32),
            subscribe: Some(call::Subscribe {
                framework_info: info,
                ..Default::default()
            }),
            ..Default::default()
        };
        let headers = [("content-type", JSON), ("accept", JSON)];
        let body = encode(&call)?;
        let response = client
            .send(http::Call {
                address: master,
                path: PATH,
                body: Some(body),
                headers: &headers,
            })
            .await?;
        let stream_id = response
            .headers()
            .get("mesos-stream-id")
            .and_then(|id| id.to_str().ok())
            .ok_or_else(|| Error::Malformed("the subscription has no Mesos-Stream-Id".to_string()))?
            .to_string();
        let mut events = Events::<Event>::new(response);
        // As when the leader is lost in this very moment.
        let early_end = || Error::NoLeader("the stream ended before SUBSCRIBED".to_string());
        let first = events.next().await.map_err(|_| early_end())?;
        let first = first.ok_or_else(early_end)?;
        match (first.r#type(), first.subscribed, first.error) {
            (event::Type::Subscribed, Some(subscribed), _) => Ok(Subscribed {
                stream_id,
                framework_id: subscribed.framework_id,
                events,
            }),
            (_, _, Some(error)) => Err(Error::Refused {
                status: 200,
                text: error.message,
            }),
            (kind, ..) => Err(Error::Malformed(format!(
                "the stream began with {}",
                kind.as_str_name()
            ))),
        }
    }

    /// Sends any call; the framework's id and stream are filled in.
    ///
    /// # Errors
    /// See [`Error`]; `Ok` means accepted, results arrive as events.
    pub async fn call(&self, kind: Type, mut call: Call) -> Result<(), Error> {
        call.r#type = Some(kind as i32);
        call.framework_id = Some(self.framework_id.clone());
        let headers = [
            ("content-type", JSON),
            ("mesos-stream-id", self.stream_id.as_str()),
        ];
        let body = Some(encode(&call)?);
        let client = self.masters.client();
        let answer = async {
            let call = http::Call {
                address: &self.leader.address,
                path: PATH,
                body,
                headers: &headers,
            };
            http::read(client.send(call).await?).await.map(drop)
        };
        let masters = &self.masters;
        // Boxed: callers hold several of these.
        masters
            .unless_another_leads(&self.leader, Box::pin(answer))
            .await
    }

    /// Launches tasks on an offer; an empty list declines it.
    ///
    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn launch(
        &self,
        offer: &OfferId,
        tasks: Vec<TaskInfo>,
        refuse_seconds: f64,
    ) -> Result<(), Error> {
        let launch = Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.clone()],
            operations: vec![launch],
            filters: Some(Filters {
                refuse_seconds: Some(refuse_seconds),
            }),
        };
        self.call(
            Type::Accept,
            Call {
                accept: Some(accept),
                ..Default::default()
            },
        )
        .await
    }

    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn decline(&self, offers: Vec<OfferId>, refuse_seconds: f64) -> Result<(), Error> {
        let decline = call::Decline {
            offer_ids: offers,
            filters: Some(Filters {
                refuse_seconds: Some(refuse_seconds),
            }),
        };
        self.call(
            Type::Decline,
            Call {
                decline: Some(decline),
                ..Default::default()
            },
        )
        .await
    }

    /// Acknowledges an update, if it wants to be (it carries a uuid).
    ///
    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn acknowledge(&self, status: &TaskStatus) -> Result<(), Error> {
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else {
            return Ok(());
        };
        let acknowledge = call::Acknowledge {
            agent_id,
            task_id: status.task_id.clone(),
            uuid,
        };
        self.call(
            Type::Acknowledge,
            Call {
                acknowledge: Some(acknowledge),
                ..Default::default()
            },
        )
        .await
    }

    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn kill(&self, task_id: TaskId, agent_id: Option<AgentId>) -> Result<(), Error> {
        let kill = call::Kill {
            task_id,
            agent_id,
            kill_policy: None,
        };
        self.call(
            Type::Kill,
            Call {
                kill: Some(kill),
                ..Default::default()
            },
        )
        .await
    }

    /// Asks what became of a task; the answer comes as an update.
    ///
    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn reconcile(&self, task_id: TaskId, agent_id: Option<AgentId>) -> Result<(), Error> {
        let reconcile = call::Reconcile {
            tasks: vec![call::reconcile::Task { task_id, agent_id }],
        };
        self.call(
            Type::Reconcile,
            Call {
                reconcile: Some(reconcile),
                ..Default::default()
            },
        )
        .await
    }

    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn suppress(&self) -> Result<(), Error> {
        self.call(Type::Suppress, Call::default()).await
    }

    /// Ends the framework and all its tasks.
    ///
    /// # Errors
    /// See [`Scheduler::call`].
    pub async fn teardown(&self) -> Result<(), Error> {
        self.call(Type::Teardown, Call::default()).await
    }
}

fn encode(call: &Call) -> Result<bytes::Bytes, Error> {
    json::encode(call)
        .map(Into::into)
        .map_err(|error| Error::Malformed(error.to_string()))
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
