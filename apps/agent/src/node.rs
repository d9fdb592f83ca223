//! What the agent's edges say to its actor, as one handle: so that they can be tested without it.

use tepui_kit::{Ask, Tell};
use tepui_messages::agent::{
    ContainerUsage, ExecutorCall, ExecutorStreamLost, ExecutorSubscribe, GetNodeState, LaunchGuest,
    MasterConnected, MasterLost, RemoveGuest, SignalContainer, WaitGuest,
};
use tepui_protocol::node;

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

/// What the connection to the master needs of it.
pub(crate) trait Orders:
    Tell<MasterConnected>
    + Tell<MasterLost>
    + Tell<node::RunTask>
    + Tell<node::RunTaskGroup>
    + Tell<node::KillTask>
    + Tell<node::ShutdownExecutor>
    + Tell<node::ShutdownFramework>
    + Tell<node::UpdateFramework>
    + Tell<node::DrainAgent>
    + Tell<node::ShutdownAgent>
    + Tell<node::AcknowledgeUpdate>
    + Tell<node::ApplyOperation>
    + Tell<node::AcknowledgeOperation>
    + Tell<node::ToExecutor>
    + 'static
{
}

impl<T> Orders for T where
    T: Tell<MasterConnected>
        + Tell<MasterLost>
        + Tell<node::RunTask>
        + Tell<node::RunTaskGroup>
        + Tell<node::KillTask>
        + Tell<node::ShutdownExecutor>
        + Tell<node::ShutdownFramework>
        + Tell<node::UpdateFramework>
        + Tell<node::DrainAgent>
        + Tell<node::ShutdownAgent>
        + Tell<node::AcknowledgeUpdate>
        + Tell<node::ApplyOperation>
        + Tell<node::AcknowledgeOperation>
        + Tell<node::ToExecutor>
        + 'static
{
}
