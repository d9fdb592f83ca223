use tepui_bridge::{Bridge, Reason, memory_pair};
use tepui_protocol::message::{Tell, TellError};

use super::*;

/// A side that understands nothing.
struct Deaf(Role);

impl Service for Deaf {
    fn hello(&self) -> Hello {
        Hello::new(self.0, self.0.to_string(), "0")
    }

    fn router(&self, _: &Peer) -> Arc<Router> {
        Arc::default()
    }
}

/// The agent's side and the master's, which has no turn to write before the test awaits something.
async fn agent() -> (Peer, Peer) {
    let agent = Bridge::new(Settings::default(), Arc::new(Deaf(Role::Agent)));
    let master = Bridge::new(settings(), Arc::new(Deaf(Role::Master)));
    memory_pair(&agent, &master).await.unwrap()
}

#[tokio::test]
async fn an_agent_whose_order_was_lost_is_cut_so_that_it_returns() {
    let (_, orders) = agent().await;
    let order = || node::RunTask::default();
    while orders.tell(order()).is_ok() {}
    assert_eq!(orders.tell(order()), Err(TellError::Closed));
    assert_eq!(orders.closed().await.reason, Reason::Overflow);
    let (_, orders) = agent().await;
    let mut large = order();
    large.task.data = Some(vec![0; 17 << 20].into());
    orders.tell(large).unwrap();
    assert!(matches!(
        orders.closed().await.reason,
        Reason::Unsendable(_)
    ));
}

#[tokio::test]
async fn messages_to_executors_leave_room_for_orders() {
    let (agent, orders) = agent().await;
    while orders.tell(node::ToExecutor::default()).is_ok() {}
    for _ in 0..20_000 {
        orders.tell(node::RunTask::default()).unwrap();
    }
    orders.close("done");
    let end = agent.closed().await.reason;
    assert_eq!(end, Reason::ClosedThere("done".to_owned()));
}
