//! Looking at the machine: what each container uses and holds, and the load. Decides nothing.

use std::{collections::BTreeMap, path::PathBuf};

use tepui_kit::Context;

use crate::{
    actor::NodeActor,
    effect::{Input, Measured},
    oversubscription::Purpose,
    usage::Load,
};

impl NodeActor {
    pub(crate) fn measure(
        &self,
        purpose: Purpose,
        containers: Vec<String>,
        ctx: &mut Context<Self>,
    ) {
        let asked = containers.into_iter();
        let asked: Vec<_> = asked
            .map(|id| (id.clone(), self.runtime.usage(id)))
            .collect();
        let measured = Box::pin(async move {
            let mut statistics = BTreeMap::new();
            for (container_id, usage) in asked {
                if let Some(usage) = usage.await {
                    statistics.insert(container_id, usage);
                }
            }
            // A file of the kernel's, which it makes up at once.
            let text = std::fs::read_to_string("/proc/loadavg");
            let load = text.ok().and_then(|text| Load::parse(&text));
            Measured { statistics, load }
        });
        ctx.then(measured, move |actor, measured, ctx| {
            actor.input(Input::Measured { purpose, measured }, ctx);
        });
    }

    pub(crate) fn look_at_ports(&self, containers: Vec<String>, ctx: &mut Context<Self>) {
        let seen = self.runtime.listening_ports(containers);
        ctx.then(seen, |actor, listening, ctx| {
            actor.input(Input::PortsSeen(listening), ctx);
        });
    }

    pub(crate) fn weigh_disks(&self, directories: Vec<PathBuf>, ctx: &mut Context<Self>) {
        let weighed = self.runtime.disk_use(directories);
        ctx.then(weighed, |actor, used, ctx| {
            actor.input(Input::DisksWeighed(used), ctx);
        });
    }
}
