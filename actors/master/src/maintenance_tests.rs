use serde_json::{Value, json};
use tepui_messages::master::Answer;
use tepui_protocol::v1::{MachineId, machine_info::Mode, maintenance::Schedule};

use crate::stage::{Stage, decode};

fn refused(stage: &mut Stage, call: Value) -> String {
    let before = stage.changes.len();
    let answer = stage.operator(call.clone());
    assert_eq!(answer.status, 400, "{call}: {answer:?}");
    assert_eq!(stage.changes.len(), before, "nothing changed");
    answer.text
}

pub(crate) fn window(machines: Value) -> Value {
    json!({"machine_ids": machines, "unavailability": {"start": {"nanoseconds": 0}}})
}

pub(crate) fn schedule(windows: Value) -> Value {
    json!({"type": "UPDATE_MAINTENANCE_SCHEDULE",
        "update_maintenance_schedule": {"schedule": {"windows": windows}}})
}

pub(crate) fn start(machines: Value) -> Value {
    json!({"type": "START_MAINTENANCE", "start_maintenance": {"machines": machines}})
}

pub(crate) fn stop(machines: Value) -> Value {
    json!({"type": "STOP_MAINTENANCE", "stop_maintenance": {"machines": machines}})
}

#[test]
fn schedules_are_checked() {
    let mut stage = Stage::new();
    let a = json!({"hostname": "a"});
    let mut negative = window(json!([a]));
    negative["unavailability"]["duration"] = json!({"nanoseconds": -1});
    let table = [
        (
            json!([window(json!([]))]),
            "List of machines in the maintenance window is empty",
        ),
        (json!([negative]), "Unavailability 'duration' is negative"),
        (
            json!([window(json!([{}]))]),
            "Both 'hostname' and 'ip' for a machine are empty",
        ),
        (
            json!([window(json!([{"ip": "x"}]))]),
            "Failed to parse 'x' as an IP address",
        ),
        (
            json!([window(json!([a])), window(json!([a]))]),
            "Machine '{\"hostname\":\"a\"}' appears more than once in the schedule",
        ),
    ];
    for (windows, text) in table {
        assert_eq!(refused(&mut stage, schedule(windows)), text);
    }
}

#[test]
fn machines_go_from_up_through_draining_to_down_and_back() {
    let mut stage = Stage::new();
    let a = json!({"hostname": "a", "ip": "10.0.0.1"});
    let name = "Machine '{\"hostname\":\"a\",\"ip\":\"10.0.0.1\"}'";
    let says = |stage: &mut Stage, call: Value, text: &str| {
        assert_eq!(refused(stage, call), text);
    };
    says(&mut stage, start(json!([])), "List of machines is empty");
    says(
        &mut stage,
        start(json!([a])),
        &format!("{name} is not part of a maintenance schedule"),
    );
    assert_eq!(
        stage.operator(schedule(json!([window(json!([a]))]))),
        Answer::OK
    );
    says(
        &mut stage,
        start(json!([a, a])),
        &format!("{name} appears more than once in the schedule"),
    );
    says(
        &mut stage,
        stop(json!([a])),
        &format!("{name} is not in DOWN mode and cannot be brought up"),
    );
    assert_eq!(stage.operator(start(json!([a]))), Answer::OK);
    says(
        &mut stage,
        start(json!([a])),
        &format!("{name} is not in DRAINING mode and cannot be brought down"),
    );
    says(
        &mut stage,
        schedule(json!([])),
        &format!("{name} is deactivated and cannot be removed from the schedule"),
    );
    stage.fail_over();
    assert_eq!(stage.operator(stop(json!([a]))), Answer::OK);
    assert!(stage.core.maintenance.schedule.windows.is_empty());
    let modes = stage.core.maintenance.machines.iter();
    let modes: Vec<_> = modes.map(|machine| machine.mode()).collect();
    assert_eq!(modes, [tepui_protocol::v1::machine_info::Mode::Up]);
    says(
        &mut stage,
        start(json!([a])),
        &format!("{name} is not in DRAINING mode and cannot be brought down"),
    );
    let again = stage.operator(schedule(json!([window(json!([a]))])));
    assert_eq!(again, Answer::OK);
    assert_eq!(stage.operator(start(json!([a]))), Answer::OK);
}

/// The schedule, and the machines that are not up, as the next leader finds them.
fn maintained(stage: &mut Stage) -> (Schedule, Vec<(MachineId, Mode)>) {
    stage.fail_over();
    let maintenance = &stage.core.maintenance;
    let machines = maintenance.machines.iter();
    let machines = machines.filter(|machine| machine.mode() != Mode::Up);
    let mut machines: Vec<_> = machines
        .map(|machine| (machine.id.clone(), machine.mode()))
        .collect();
    machines.sort_by(|a, b| a.0.hostname.cmp(&b.0.hostname));
    (maintenance.schedule.clone(), machines)
}

fn three() -> [Value; 3] {
    [
        json!({"ip": "0.0.0.1"}),
        json!({"hostname": "b"}),
        json!({"hostname": "c", "ip": "0.0.0.3"}),
    ]
}

#[test]
fn schedules_grow_and_shrink_and_outlive_the_leader() {
    let mut stage = Stage::new();
    let [a, b, c] = three();
    let mut later = window(json!([a, b, c]));
    later["unavailability"]["start"]["nanoseconds"] = json!(7);
    let table = [
        (json!([window(json!([a]))]), 1),
        (json!([window(json!([a])), window(json!([b]))]), 2),
        (json!([window(json!([a])), window(json!([b, c]))]), 3),
        (json!([later]), 3),
        (json!([window(json!([b, c]))]), 2),
        (json!([]), 0),
    ];
    for (windows, count) in table {
        assert_eq!(stage.operator(schedule(windows.clone())), Answer::OK);
        let (found, machines) = maintained(&mut stage);
        assert_eq!(found, decode(&json!({"windows": windows})));
        assert_eq!(machines.len(), count, "{machines:?}");
        assert!(machines.iter().all(|(_, mode)| *mode == Mode::Draining));
        for machine in &stage.core.maintenance.machines {
            let windows = found.windows.iter();
            let mut windows = windows.filter(|window| window.machine_ids.contains(&machine.id));
            let unavailability = windows.next().map(|window| &window.unavailability);
            assert_eq!(machine.unavailability.as_ref(), unavailability);
        }
    }
}

#[test]
fn machines_that_are_up_again_leave_their_windows_and_the_others_stay() {
    let mut stage = Stage::new();
    let [a, b, c] = three();
    let id = |machine: &Value| -> MachineId { decode(machine) };
    let windows = json!([window(json!([a])), window(json!([b, c]))]);
    stage.operator(schedule(windows));
    assert_eq!(stage.operator(start(json!([a, b]))), Answer::OK);
    let (_, machines) = maintained(&mut stage);
    assert_eq!(
        machines,
        [
            (id(&a), Mode::Down),
            (id(&b), Mode::Down),
            (id(&c), Mode::Draining)
        ]
    );
    assert_eq!(stage.operator(stop(json!([a]))), Answer::OK);
    let (found, machines) = maintained(&mut stage);
    assert_eq!(found, decode(&json!({"windows": [window(json!([b, c]))]})));
    assert_eq!(machines, [(id(&b), Mode::Down), (id(&c), Mode::Draining)]);
    stage.operator(start(json!([c])));
    assert_eq!(stage.operator(stop(json!([b, c]))), Answer::OK);
    let (found, machines) = maintained(&mut stage);
    assert!(found.windows.is_empty() && machines.is_empty());
}

#[test]
fn agents_of_a_machine_that_goes_down_end_and_are_not_let_in_until_it_is_up() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let other = stage.agent("cpus:4;mem:4096");
    let fw = stage.subscribe(json!({}));
    stage.run(&fw, &node, "t", "cpus:1;mem:32");
    stage.told(&fw);
    stage.ordered(&node);
    let host = node.request.agent_info.hostname.to_uppercase();
    let machine = json!({"hostname": host, "ip": "127.0.0.1"});
    // One component alone names no agent.
    let half = json!({"hostname": other.request.agent_info.hostname});
    stage.operator(schedule(json!([window(json!([machine, half]))])));
    assert_eq!(stage.operator(start(json!([machine, half]))), Answer::OK);
    assert_eq!(
        stage.ordered(&node),
        ["shutdown: Operator initiated 'Machine DOWN'"]
    );
    let told = stage.told(&fw);
    assert_eq!(told[..2], ["INVERSE_OFFERS", "RESCIND_INVERSE_OFFER"]);
    assert!(told[2].starts_with("t TASK_LOST"), "{told:?}");
    let left: Vec<_> = stage.core.agents.keys().collect();
    assert_eq!(left, [&other.id]);
    let mut request = node.request.clone();
    request.agent_info.id = None;
    let (_, registration) = stage.register(request.clone());
    assert_eq!(registration.shutdown, Some(true));
    assert_eq!(stage.operator(stop(json!([machine]))), Answer::OK);
    let (_, registration) = stage.register(request);
    assert_eq!(registration.refusal, None);
}

#[test]
fn no_agent_slips_onto_a_machine_while_that_it_is_down_is_being_written() {
    let mut stage = Stage::new();
    let node = stage.agent("cpus:4;mem:4096");
    let host = node.request.agent_info.hostname.clone();
    let machine = json!({"hostname": host, "ip": "127.0.0.1"});
    stage.operator(schedule(json!([window(json!([machine]))])));
    stage.hold_writes = true;
    stage.operator_asks(start(json!([machine])));
    let mut request = node.request;
    request.agent_info.id = None;
    request.pid = "slave(1)@127.0.0.1:9".to_string();
    let peer = tepui_messages::master::PeerId(stage.next());
    stage.begin_registration(peer, request);
    stage.release_writes();
    assert!(stage.core.agents.is_empty());
}

#[test]
fn starts_of_maintenance_that_overlap_do_not_undo_each_other() {
    let mut stage = Stage::new();
    let [a, b] = ["a", "b"].map(|name| json!({"hostname": name}));
    stage.operator(schedule(json!([window(json!([a, b]))])));
    stage.hold_writes = true;
    stage.operator_asks(start(json!([a])));
    stage.operator_asks(start(json!([b])));
    stage.release_writes();
    let modes: Vec<_> = stage
        .core
        .maintenance
        .machines
        .iter()
        .map(|machine| machine.mode())
        .collect();
    assert_eq!(modes, [tepui_protocol::v1::machine_info::Mode::Down; 2]);
}

#[test]
fn machines_go_down_and_come_up_while_disks_are_nearly_full() {
    use tepui_protocol::v1::machine_info::Mode;
    let mut record = tepui_messages::change::MaintenanceRecord::default();
    let grows = |to, record: &_| crate::commands::change_maintenance(to, record).grows();
    assert!(!grows(Mode::Draining, &record), "an empty schedule");
    record.schedule.windows.push(Default::default());
    assert_eq!(
        [Mode::Draining, Mode::Down, Mode::Up].map(|to| grows(to, &record)),
        [true, false, false]
    );
}
