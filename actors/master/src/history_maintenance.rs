//! What operators and schedulers do about maintenance and deactivation in the histories.

use serde_json::json;

use crate::history::World;

impl World {
    /// Mode 0 and 1 schedule the machine for one time or another, 2 takes it down, 3 brings it up.
    pub(crate) fn maintain(&mut self, agent: usize, mode: u8) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let machine = json!({"hostname": node.request.agent_info.hostname, "ip": "127.0.0.1"});
        let call = match mode {
            2 => json!({"type": "START_MAINTENANCE", "start_maintenance": {"machines": [machine]}}),
            3 => json!({"type": "STOP_MAINTENANCE", "stop_maintenance": {"machines": [machine]}}),
            start => {
                let unavailability = json!({"start": {"nanoseconds": start}});
                let window = json!({"machine_ids": [machine], "unavailability": unavailability});
                json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
                    "update_maintenance_schedule": {"schedule": {"windows": [window]}}})
            }
        };
        self.stage.operator_asks(call);
    }

    pub(crate) fn deactivate(&mut self, agent: usize, off: bool) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let (kind, field) = if off {
            ("DEACTIVATE_AGENT", "deactivate_agent")
        } else {
            ("REACTIVATE_AGENT", "reactivate_agent")
        };
        let id = json!({"agent_id": {"value": node.id}});
        self.stage.operator_asks(json!({"type": kind, field: id}));
    }

    pub(crate) fn drain(&mut self, agent: usize, gone: bool) {
        let Some((_, node)) = self.node(agent) else {
            return;
        };
        let drain = json!({"agent_id": {"value": node.id}, "mark_gone": gone});
        self.stage
            .operator_asks(json!({"type": "DRAIN_AGENT", "drain_agent": drain}));
    }

    /// All that it was asked, so far as it knows.
    pub(crate) fn answer_inverse(&mut self, framework: usize, accept: bool, seconds: u8) {
        let Some(scheduler) = self.scheduler(framework) else {
            return;
        };
        let standing = self.stage.core.inverse.offers.values();
        let mine = standing.filter(|it| it.framework_id == scheduler.id);
        let ids: Vec<_> = mine.map(|it| json!({"value": it.offer.id.value})).collect();
        let (kind, field) = if accept {
            ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers")
        } else {
            ("DECLINE_INVERSE_OFFERS", "decline_inverse_offers")
        };
        let filters = json!({"refuse_seconds": seconds});
        self.stage.call(
            &scheduler,
            json!({"type": kind, field: {"inverse_offer_ids": ids, "filters": filters}}),
        );
    }
}
