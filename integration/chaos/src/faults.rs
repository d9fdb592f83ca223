//! What happens in a round, for how long, and in which order.

use std::fmt;

use crate::house::Deed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Fault {
    LeaderKilled,
    LeaderStopped,
    /// Its disk takes long for each sync, at most several seconds.
    LeaderSlow,
    /// And one agent with it.
    LeaderAndAgentKilled,
    AllKilled,
    /// Cut off from the other masters only: agents, frameworks and clients still reach it.
    LeaderIsolated,
    /// It hears nothing from the other masters, and they hear it.
    LeaderDeaf,
    /// It is heard by no other master, and hears them.
    LeaderMute,
    /// Its link is down: nobody reaches it.
    LeaderUnplugged,
}

impl Fault {
    /// What begins it, and what ends it.
    pub(crate) fn deeds(self) -> (Deed, Deed) {
        match self {
            Fault::LeaderKilled | Fault::LeaderAndAgentKilled | Fault::AllKilled => {
                (Deed::Kill, Deed::Start)
            }
            Fault::LeaderStopped => (Deed::Pause, Deed::Resume),
            Fault::LeaderSlow => (Deed::Slow, Deed::Quicken),
            Fault::LeaderIsolated => (Deed::Isolate, Deed::Mend),
            Fault::LeaderDeaf => (Deed::Deafen, Deed::Mend),
            Fault::LeaderMute => (Deed::Mute, Deed::Mend),
            Fault::LeaderUnplugged => (Deed::Unplug, Deed::Mend),
        }
    }

    /// Between so many milliseconds and so many.
    pub(crate) fn lasts_ms(self) -> (u64, u64) {
        match self {
            Fault::AllKilled => (50, 1_000),
            Fault::LeaderKilled | Fault::LeaderAndAgentKilled => (50, 3_000),
            Fault::LeaderStopped => (50, 6_000),
            // Long enough for another leader, and for both to be asked meanwhile.
            Fault::LeaderSlow
            | Fault::LeaderIsolated
            | Fault::LeaderDeaf
            | Fault::LeaderMute
            | Fault::LeaderUnplugged => (2_000, 5_000),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::LeaderKilled => "leader killed",
            Fault::LeaderStopped => "leader stopped",
            Fault::LeaderSlow => "leader's disk slow",
            Fault::LeaderAndAgentKilled => "leader and agent killed",
            Fault::AllKilled => "all masters killed",
            Fault::LeaderIsolated => "leader cut off from the other masters",
            Fault::LeaderDeaf => "leader hears no other master",
            Fault::LeaderMute => "leader is heard by no other master",
            Fault::LeaderUnplugged => "leader cut off from everybody",
        })
    }
}

/// So many times the leader is killed; between, now and then, something else happens.
pub(crate) fn kills(kills: usize) -> Vec<Fault> {
    let after = |kill: usize| {
        let stopped = kill.is_multiple_of(4).then_some(Fault::LeaderStopped);
        let slow = kill.is_multiple_of(6).then_some(Fault::LeaderSlow);
        let agent = kill
            .is_multiple_of(5)
            .then_some(Fault::LeaderAndAgentKilled);
        let all = kill.is_multiple_of(10).then_some(Fault::AllKilled);
        [Some(Fault::LeaderKilled), stopped, slow, agent, all]
    };
    (1..=kills).flat_map(after).flatten().collect()
}

/// So many cuts, each kind in its turn; the first ones are those that leave the most to go wrong.
pub(crate) fn cuts(cuts: usize) -> Vec<Fault> {
    let kinds = [
        Fault::LeaderIsolated,
        Fault::LeaderDeaf,
        Fault::LeaderMute,
        Fault::LeaderUnplugged,
    ];
    kinds.into_iter().cycle().take(cuts).collect()
}
