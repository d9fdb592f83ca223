//! What always holds of a [`World`]: every sum that is kept equals the sum taken anew.

use std::collections::BTreeMap;

use tepui_protocol::resources::Resources;

use super::{
    Framework, MAX_ENDED_OFFERS, OpenOffer, TaskCounts, Totals, World, tasks::holds_resources,
    totals::Put,
};

impl World {
    /// Checks all sums and bounds. Costs a walk over everything: for tests and simulation.
    ///
    /// # Errors
    /// Which sum or bound is off.
    pub fn check(&self) -> Result<(), String> {
        self.sums_of_frameworks_hold()?;
        self.sums_of_agents_hold()?;
        self.totals_hold()?;
        self.bounds_hold()
    }

    fn sums_of_frameworks_hold(&self) -> Result<(), String> {
        for framework in self.all_frameworks() {
            let (mut used, mut offered) = (Resources::new(), Resources::new());
            self.used_by(framework, |_, resources| used += &resources);
            self.offered_to(framework, |_, resources| offered += &resources);
            let id = framework.id();
            same(&framework.used.sum(), &used, || format!("used by {id}"))?;
            same(&framework.offered.sum(), &offered, || {
                format!("offered to {id}")
            })?;
            let (mut counts, mut agents) = (TaskCounts::default(), BTreeMap::new());
            for task in framework.all_tasks() {
                counts.add(task.state());
                *agents.entry(task.agent_id.value.clone()).or_default() += 1;
            }
            same(&framework.counts, &counts, || format!("tasks of {id}"))?;
            same(&framework.agents, &agents, || format!("agents of {id}"))?;
        }
        Ok(())
    }

    fn sums_of_agents_hold(&self) -> Result<(), String> {
        let mut used = BTreeMap::<String, Resources>::new();
        let mut offered = BTreeMap::<String, Resources>::new();
        let mut frameworks = BTreeMap::<String, BTreeMap<String, u64>>::new();
        for (id, framework) in &self.frameworks {
            self.used_by(framework, |agent, resources| {
                *used.entry(agent.to_owned()).or_default() += &resources;
            });
            self.offered_to(framework, |agent, resources| {
                *offered.entry(agent.to_owned()).or_default() += &resources;
            });
            for task in framework.all_tasks() {
                let agent = frameworks.entry(task.agent_id.value.clone()).or_default();
                *agent.entry(id.clone()).or_default() += 1;
            }
        }
        let agents = used.keys().chain(offered.keys()).chain(frameworks.keys());
        for id in agents.chain(self.usage.keys()) {
            let usage = self.usage_of(id);
            let taken = |sums: &BTreeMap<String, Resources>| sums.get(id).cloned();
            let name = |what: &'static str| move || format!("{what} on {id}");
            same(&usage.used, &taken(&used).unwrap_or_default(), name("used"))?;
            let taken = taken(&offered).unwrap_or_default();
            same(&usage.offered, &taken, name("offered"))?;
            let taken = frameworks.get(id).cloned().unwrap_or_default();
            same(&usage.frameworks, &taken, name("frameworks"))?;
        }
        Ok(())
    }

    fn totals_hold(&self) -> Result<(), String> {
        let mut totals = Totals::default();
        for agent in self.agents.values() {
            totals.total(&agent.total, Put::On);
        }
        for usage in self.usage.values() {
            totals.used(&usage.used, Put::On);
            totals.offered(&usage.offered, Put::On);
        }
        for framework in self.frameworks.values() {
            totals.offers += framework.offers.len();
            for task in framework.all_tasks() {
                totals.tasks.add(task.state());
            }
        }
        same(&self.totals, &totals, || "of the cluster".to_owned())
    }

    fn bounds_hold(&self) -> Result<(), String> {
        let kept = self.kept();
        let is_bounded = self.completed.len() <= kept.frameworks
            && self.ended_offers.len() <= MAX_ENDED_OFFERS
            && self.all_frameworks().all(|framework| {
                framework.completed.len() <= kept.tasks
                    && framework.unreachable.len() <= kept.unreachable_tasks
            });
        let error = || "more is remembered than the bounds allow".to_owned();
        is_bounded.then_some(()).ok_or_else(error)
    }

    fn used_by(&self, framework: &Framework, mut add: impl FnMut(&str, Resources)) {
        for task in framework.tasks.values() {
            if holds_resources(task.state()) {
                let resources = Resources::from_proto_unchecked(&task.resources);
                add(&task.agent_id.value, resources);
            }
        }
        for ((agent, _), executor) in &framework.executors {
            add(agent, Resources::from_proto_unchecked(&executor.resources));
        }
    }

    fn offered_to(&self, framework: &Framework, mut add: impl FnMut(&str, Resources)) {
        for OpenOffer { offer, .. } in framework.offers.values() {
            let resources = Resources::from_proto_unchecked(&offer.resources);
            add(&offer.agent_id.value, resources);
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    kept: &T,
    anew: &T,
    name: impl Fn() -> String,
) -> Result<(), String> {
    if kept == anew {
        return Ok(());
    }
    Err(format!(
        "the sum {} is kept as {kept:?} and is {anew:?}",
        name()
    ))
}
