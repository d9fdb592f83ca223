//! `/state` and `/state-summary`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_protocol::v1::{MasterInfo, TaskState};

use super::{
    agents::{Info, PlainAgent},
    frameworks::{Summary, frameworks},
    values::{Fields, List, Object, optional, seconds},
};
use crate::{
    ViewConfig,
    world::{Agent, Framework, TaskCounts, Usage, World},
};

/// What a master of this version can, by Mesos' names. The v1 schema does not know the last.
const CAPABILITIES: [&str; 3] = ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"];

/// States that `/state-summary` counts, in its order.
const COUNTED: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

/// `/state`.
pub struct State<'a> {
    pub world: &'a World,
    pub config: &'a ViewConfig,
}

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { world, config } = self;
        let mut map = serializer.serialize_map(None)?;
        self.build(&mut map)?;
        self.leader(&mut map)?;
        if world.shows_flags() {
            let log_file = config.external_log_file.as_ref();
            optional(&mut map, "log_dir", config.log_dir.as_ref())?;
            optional(&mut map, "external_log_file", log_file)?;
            map.serialize_entry("flags", &config.flags)?;
        }
        let agents = || {
            let agents = world.agents.iter();
            agents.map(|(id, agent)| Object(PlainAgent(agent, world.usage_of(id))))
        };
        map.serialize_entry("slaves", &List(agents))?;
        let recovered = || world.recovered.values().map(|info| Object(Info(info)));
        map.serialize_entry("recovered_slaves", &List(recovered))?;
        frameworks(world, None, &mut map)?;
        // Always empty since Mesos 1.2 and 1.3; tools still read them.
        map.serialize_entry("orphan_tasks", &[(); 0])?;
        map.serialize_entry("unregistered_frameworks", &[(); 0])?;
        map.end()
    }
}

impl State<'_> {
    fn build<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let config = self.config;
        map.serialize_entry("version", &config.version)?;
        optional(map, "git_sha", config.git_sha.as_ref())?;
        optional(map, "git_branch", config.git_branch.as_ref())?;
        optional(map, "git_tag", config.git_tag.as_ref())?;
        map.serialize_entry("build_date", &config.build_date)?;
        map.serialize_entry("build_time", &config.build_time)?;
        map.serialize_entry("build_user", &config.build_user)
    }

    fn leader<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self { world, config } = self;
        let master = world.master.as_deref();
        let started = master.map_or(0.0, |master| seconds(master.started_at));
        map.serialize_entry("start_time", &started)?;
        let elected = master.map(|master| seconds(master.elected_at));
        optional(map, "elected_time", elected)?;
        map.serialize_entry("id", master.map_or("", |master| &master.info.id))?;
        map.serialize_entry("pid", &config.pid)?;
        map.serialize_entry("hostname", &config.hostname)?;
        map.serialize_entry("capabilities", &CAPABILITIES)?;
        let active = world.active_agents();
        map.serialize_entry("activated_slaves", &(active as f64))?;
        let inactive = world.agents.len() - active;
        map.serialize_entry("deactivated_slaves", &(inactive as f64))?;
        let unreachable = world.unreachable.len() as f64;
        map.serialize_entry("unreachable_slaves", &unreachable)?;
        let info = master.map(|master| &master.info);
        let domain = info.and_then(|info| info.domain.as_ref());
        optional(map, "domain", domain)?;
        optional(map, "leader", info.map(MasterInfo::pid))?;
        optional(map, "leader_info", info.map(|info| Object(Leader(info))))?;
        let cluster = master.and_then(|master| master.cluster.as_ref());
        optional(map, "cluster", cluster)
    }
}

struct Leader<'a>(&'a MasterInfo);

impl Fields for Leader<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.0;
        map.serialize_entry("id", &info.id)?;
        map.serialize_entry("pid", info.pid())?;
        map.serialize_entry("port", &info.port)?;
        map.serialize_entry("hostname", info.hostname())?;
        optional(map, "domain", info.domain.as_ref())
    }
}

/// `/state-summary`.
pub struct StateSummary<'a> {
    pub world: &'a World,
    pub config: &'a ViewConfig,
}

impl Serialize for StateSummary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { world, config } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("hostname", &config.hostname)?;
        let cluster = world
            .master
            .as_ref()
            .and_then(|master| master.cluster.as_ref());
        optional(&mut map, "cluster", cluster)?;
        let agents = || {
            let agents = world.agents.iter();
            agents.map(|(id, agent)| Object(CountedAgent(agent, world.usage_of(id))))
        };
        map.serialize_entry("slaves", &List(agents))?;
        let frameworks = || {
            world
                .frameworks
                .values()
                .map(|f| Object(CountedFramework(f)))
        };
        map.serialize_entry("frameworks", &List(frameworks))?;
        map.end()
    }
}

struct CountedAgent<'a>(&'a Agent, &'a Usage);

impl Fields for CountedAgent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(agent, usage) = self;
        PlainAgent(agent, usage).write(map)?;
        counts(&usage.tasks, map)?;
        map.serialize_entry("framework_ids", &List(|| usage.frameworks.keys()))
    }
}

struct CountedFramework<'a>(&'a Framework);

impl Fields for CountedFramework<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        Summary(self.0).write(map)?;
        counts(&self.0.counts, map)?;
        map.serialize_entry("slave_ids", &List(|| self.0.agents.keys()))
    }
}

fn counts<M: SerializeMap>(counts: &TaskCounts, map: &mut M) -> Result<(), M::Error> {
    for state in COUNTED {
        map.serialize_entry(state.as_str_name(), &counts.of(state))?;
    }
    Ok(())
}
