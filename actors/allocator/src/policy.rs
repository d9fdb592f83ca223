//! What an allocation policy is, and which there are.
//!
//! Owns the trait and the list of names. A policy is pure: it proposes, and the core books.
//! To add one, write its file and add its line to [`POLICIES`].

use tepui_kit::Random;

use crate::{
    best_fit,
    bundle::Bundle,
    drf::Drf,
    places::PlaceSet,
    priority, random,
    world::{AgentIx, ClientIx, Note, World},
};

/// Something for a client on an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    pub agent: AgentIx,
    pub client: ClientIx,
    pub resources: Bundle,
}

/// What an allocation run is about: nothing else can have become possible since the last one.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Candidates {
    /// Any client may have become able to take something of these agents.
    pub agents: PlaceSet<AgentIx>,
    /// These clients may have become able to take something of any agent.
    pub clients: PlaceSet<ClientIx>,
}

impl Candidates {
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.clients.is_empty()
    }
}

/// Decides who is offered what.
pub trait Policy: Send {
    /// The name it is chosen by.
    fn name(&self) -> &'static str;

    /// Is told of each change of the world, so that nothing need be looked for in a run.
    fn follow(&mut self, world: &World, note: Note);

    /// Proposes for the candidates; together never more than is free, and nothing that
    /// [`crate::eligible::offer`] would not allow. What it proposes it counts as given at once. The core
    /// books it and tells with [`Note::ClientHolds`] what really is held, also if that is nothing.
    fn allocate(
        &mut self,
        world: &World,
        candidates: &Candidates,
        random: &mut Random,
    ) -> Vec<Grant>;

    /// How many takers are asked before this one, were one asked now; none where there is no such order. For people
    /// who ask, so it may look at all of them.
    fn ahead(&self, world: &World, client: ClientIx) -> Option<usize>;

    /// Whether its own books agree with the world; for invariants, so it may look everywhere.
    fn is_consistent(&self, world: &World) -> bool;
}

/// Makes a policy that knows nothing yet.
pub type Make = fn() -> Box<dyn Policy>;

/// The policies by name; the first is the default.
pub const POLICIES: &[(&str, Make)] = &[
    ("drf", || Box::<Drf>::default()),
    ("priority", priority::make),
    ("random", random::make),
    ("best-fit", best_fit::make),
];

/// Why there is no such policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no allocation policy `{name}`; choose one of: {}", names().join(", "))]
pub struct UnknownPolicy {
    pub name: String,
}

/// The names one can choose from.
pub fn names() -> Vec<&'static str> {
    POLICIES.iter().map(|(name, _)| *name).collect()
}

/// A fresh policy that knows nothing yet.
///
/// # Errors
/// [`UnknownPolicy`] if none has this name.
pub fn by_name(name: &str) -> Result<Box<dyn Policy>, UnknownPolicy> {
    let found = POLICIES.iter().find(|(known, _)| *known == name);
    let (_, make) = found.ok_or_else(|| UnknownPolicy {
        name: name.to_owned(),
    })?;
    Ok(make())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
