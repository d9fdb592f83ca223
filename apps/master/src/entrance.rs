//! Whether another master is let in: the judgement of what it says of itself in the handshake. A disk that is another
//! one's, older than what it acknowledged, or empty under a known name is met here.

use tepui_bridge::Membership;
use tepui_consensus::{Identity, Role, Status};
use tepui_engine::SharedEngine;

use crate::roster::Claim;
pub use crate::roster::{Roster, Verdict};

/// What the judging master knows.
pub struct Known<'a> {
    pub identity: &'a Identity,
    pub roster: &'a Roster,
    /// Where it remembers with which disk another one came, and what that one acknowledged.
    pub engine: &'a SharedEngine,
    pub cluster_id: Option<String>,
    pub status: Option<Status>,
}

impl Known<'_> {
    /// Who the other master is, and where it stands.
    ///
    /// # Errors
    /// The text of the refusal, for both sides' logs.
    pub fn admit<'a>(
        &self,
        theirs: &'a tepui_bridge::Identity,
    ) -> Result<(Verdict, &'a Membership), String> {
        let name = theirs.name.as_str();
        let Some(place) = &theirs.membership else {
            return Err(format!(
                "{name} is no master of this group and no agent; correct --name or --peers"
            ));
        };
        let claim = Claim {
            name,
            id: place.id,
            group: &place.group,
            same_cluster: self.cluster_id.is_some() && theirs.cluster_id.is_some(),
        };
        let status = self.status.as_ref();
        let is_counted_on = place
            .id
            .is_some_and(|id| status.is_some_and(|it| it.has_member(id)));
        let verdict = self.roster.judge(self.identity, claim, is_counted_on)?;
        let name_of = |_| name.to_owned();
        let id = match verdict {
            // It asks for its id next, and the group decides.
            Verdict::Joiner(_) => return Ok((verdict, place)),
            // Nobody here knows of it yet: its word alone leaves nothing on this disk.
            Verdict::Newer(id) => {
                Identity::is_recognised(self.engine, id, &place.disk, name_of)?;
                return Ok((verdict, place));
            }
            Verdict::Member(id) => id,
        };
        let known = self.roster.members.get(&id).and_then(|it| it.disk.as_ref());
        if known.is_some_and(|disk| *disk != place.disk) {
            return Err(format!(
                "{name} (id {id}) comes with another disk than it joined with; give it back the directory it had, or \
                 put it in its own place as a new master: `tepui cluster add {name}=ADDRESS --replace`, and start it \
                 with an empty directory and the others in --peers"
            ));
        }
        Identity::recognise(self.engine, id, &place.disk, name_of)?;
        if let Some(last) = place.last_index {
            let acknowledged = self.acknowledged(id);
            Identity::expect_log(self.engine, id, name, acknowledged, last)?;
        }
        Ok((verdict, place))
    }

    /// What is committed of what the member `id` acknowledged, as this master knows as the leader. More than that
    /// a log may lose rightly, to another leader.
    fn acknowledged(&self, id: u64) -> Option<u64> {
        let status = self.status.as_ref().filter(|it| it.role == Role::Leader)?;
        let mut acknowledged = status.acknowledged.iter();
        let (_, index) = acknowledged.find(|(it, _)| *it == id)?;
        Some((*index).min(status.committed_index))
    }
}
