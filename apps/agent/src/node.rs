//! What the agent's edges say to its actor, as one handle: so that they can be tested without it.

use tepui_kit::{Ask, Tell};
use tepui_messages::{
    agent::{
        ContainerUsage, ExecutorCall, ExecutorStreamLost, ExecutorSubscribe, GetNodeState,
        LaunchGuest, MasterConnected, MasterLost, RemoveGuest, SignalContainer, WaitGuest,
    },
    master::AgentPeer,
};

/// What the HTTP endpoints need of the node.
pub(crate) trait Node:
    Ask<ExecutorSubscribe>
    + Ask<ExecutorCall>
    + Tell<ExecutorStreamLost>
    + Ask<GetNodeState>
    + Ask<ContainerUsage>
    + Ask<LaunchGuest>
    + Ask<SignalContainer>
    + Ask<WaitGuest>
    + Ask<RemoveGuest>
{
}

impl<T> Node for T where
    T: Ask<ExecutorSubscribe>
        + Ask<ExecutorCall>
        + Tell<ExecutorStreamLost>
        + Ask<GetNodeState>
        + Ask<ContainerUsage>
        + Ask<LaunchGuest>
        + Ask<SignalContainer>
        + Ask<WaitGuest>
        + Ask<RemoveGuest>
{
}

/// What the connection to the master needs of it: what a master sends, and what becomes of the connection.
pub(crate) trait Orders:
    AgentPeer + Tell<MasterConnected> + Tell<MasterLost> + 'static
{
}

impl<T> Orders for T where T: AgentPeer + Tell<MasterConnected> + Tell<MasterLost> + 'static {}
