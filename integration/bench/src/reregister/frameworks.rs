//! Frameworks that have tasks and want nothing more: subscribed, out of offers, and back after each change of leaders.

use std::time::Duration;

use tepui_client::{Client, Events, scheduler::Scheduler};
use tepui_protocol::v1::{
    FrameworkInfo,
    framework_info::{Capability, capability},
    scheduler::{Call, Event, call},
};
use tokio::{
    task::{JoinHandle, spawn_local},
    time::sleep,
};

/// Before a framework that could not subscribe tries again.
const PAUSE: Duration = Duration::from_millis(200);
/// It comes back long before.
const FAILOVER_SECONDS: f64 = 3_600.0;
const REFUSE_SECONDS: f64 = 3_600.0;

/// Ended with the value.
pub(crate) struct Frameworks {
    /// With their ids.
    pub(crate) infos: Vec<FrameworkInfo>,
    following: Vec<JoinHandle<()>>,
}

impl Frameworks {
    pub(crate) async fn subscribe(count: usize, masters: &[String]) -> anyhow::Result<Frameworks> {
        let (mut infos, mut following) = (Vec::new(), Vec::new());
        for number in 0..count {
            let info = info(number);
            let (scheduler, events) =
                Scheduler::subscribe(&Client::default(), masters, info.clone()).await?;
            scheduler
                .call(call::Type::Suppress, Call::default())
                .await?;
            infos.push(FrameworkInfo {
                id: Some(scheduler.framework_id.clone()),
                ..info
            });
            following.push(spawn_local(follow(scheduler, events)));
        }
        Ok(Frameworks { infos, following })
    }
}

impl Drop for Frameworks {
    fn drop(&mut self) {
        for following in &self.following {
            following.abort();
        }
    }
}

/// One that has no id yet.
pub(crate) fn info(number: usize) -> FrameworkInfo {
    let capability = |kind: capability::Type| Capability {
        r#type: Some(kind as i32),
    };
    FrameworkInfo {
        user: "root".into(),
        name: format!("shop-{number}"),
        roles: vec![format!("shop-{number}")],
        failover_timeout: Some(FAILOVER_SECONDS),
        checkpoint: Some(true),
        capabilities: vec![
            capability(capability::Type::MultiRole),
            capability(capability::Type::PartitionAware),
        ],
        ..Default::default()
    }
}

async fn follow(mut scheduler: Scheduler, mut events: Events<Event>) {
    loop {
        // An error is the end of the stream, too.
        while let Ok(Some(event)) = events.next().await {
            if let Some(offers) = event.offers {
                let ids = offers.offers.into_iter().map(|offer| offer.id).collect();
                // Offers of a leader that is gone are void.
                let _ = scheduler.decline(ids, REFUSE_SECONDS).await;
            }
        }
        events = loop {
            match scheduler.resubscribe().await {
                Ok(events) => break events,
                Err(_) => sleep(PAUSE).await,
            }
        };
        let _ = scheduler.call(call::Type::Suppress, Call::default()).await;
    }
}
