//! The catalogue of what may cross a machine: each message's number and its reply. It only ever grows.
//!
//! Numbers 1 to 999 are ours; 1000 to 1999 are kept for modules that others add.

use crate::message::{Message, Wire};
use crate::node;

macro_rules! catalogue {
    ($($kind:literal $message:path => $reply:ty $(, best_effort = $best_effort:literal)?;)*) => {
        $(
            impl Message for $message {
                type Reply = $reply;
            }
            impl Wire for $message {
                const KIND: u16 = $kind;
                $(const BEST_EFFORT: bool = $best_effort;)?
            }
        )*
        /// Number and name of every message, in order.
        pub const KINDS: &[(u16, &str)] = &[$(($kind, stringify!($message))),*];
    };
}

catalogue! {
    1 node::RegisterAgent => node::AgentRegistration;
    2 node::RunTask => ();
    3 node::RunTaskGroup => ();
    4 node::KillTask => ();
    5 node::ShutdownExecutor => ();
    6 node::ShutdownFramework => ();
    7 node::UpdateFramework => ();
    8 node::ShutdownAgent => ();
    9 node::AcknowledgeUpdate => ();
    10 node::ToExecutor => (), best_effort = true;
    11 node::StatusUpdate => ();
    12 node::ExecutorExited => ();
    13 node::ToFramework => (), best_effort = true;
    14 node::AgentLeaves => ();
    15 node::DescribeMailboxes => node::Mailboxes;
    16 node::RaftMessage => ();
    17 node::JoinGroup => node::JoinedGroup;
    18 node::DescribeMember => node::MemberState;
    19 node::ApplyOperation => ();
    20 node::AcknowledgeOperation => ();
    21 node::OperationUpdate => ();
    22 node::DrainAgent => ();
    23 node::OversubscribedResources => ();
    24 node::RegisterAgentPart => node::AgentRegistration;
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(super::KINDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
