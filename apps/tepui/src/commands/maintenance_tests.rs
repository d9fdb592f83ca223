use tepui_protocol::v1::maintenance::cluster_status::DrainingMachine;

use super::*;

fn machine(hostname: &str, ip: &str) -> MachineId {
    MachineId {
        hostname: Some(hostname.to_string()),
        ip: Some(ip.to_string()),
    }
}

fn window(start: i64, machine_ids: Vec<MachineId>) -> Window {
    Window {
        machine_ids,
        unavailability: Unavailability {
            start: TimeInfo { nanoseconds: start },
            duration: Some(DurationInfo {
                nanoseconds: 90_000_000_000,
            }),
        },
    }
}

fn hosts(names: &[&str]) -> HostsArgs {
    HostsArgs {
        hosts: names.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn windows_of_other_machines_stay() {
    let schedule = Schedule {
        windows: vec![
            window(1, vec![machine("a", "10.0.0.1"), machine("b", "10.0.0.2")]),
            window(2, vec![machine("c", "10.0.0.3")]),
        ],
    };
    let left = without(
        schedule,
        &[machine("A", "10.0.0.1"), machine("c", "10.0.0.3")],
    );
    assert_eq!(left.windows, [window(1, vec![machine("b", "10.0.0.2")])]);
}

#[test]
fn a_machine_is_meant_by_any_of_its_names() {
    let known = [
        Known {
            machine: machine("north", "10.0.0.1"),
            agents: vec!["x-S1".to_string(), "x-S2".to_string()],
        },
        Known {
            machine: machine("south", "10.0.0.2"),
            agents: vec!["x-S3".to_string()],
        },
    ];
    let north = machine("north", "10.0.0.1");
    for host in [
        "north",
        "NORTH",
        "10.0.0.1",
        "north/10.0.0.1",
        "nor",
        "x-S1",
        "S2",
    ] {
        let found = meant(&hosts(&[host]), &known, false).expect(host);
        assert_eq!(found, std::slice::from_ref(&north), "{host}");
    }
    let alike = [
        Known {
            machine: machine("north-2", "10.0.0.3"),
            agents: Vec::new(),
        },
        Known {
            machine: north.clone(),
            agents: Vec::new(),
        },
    ];
    let found = meant(&hosts(&["north"]), &alike, false).unwrap();
    assert_eq!(found, std::slice::from_ref(&north));
    // Two agents of one machine are one machine.
    assert_eq!(
        meant(&hosts(&["S1", "S2"]), &known, false).unwrap(),
        [north]
    );
    let new = meant(&hosts(&["west/10.0.0.9"]), &known, true).unwrap();
    assert_eq!(new, [machine("west", "10.0.0.9")]);
    let error = format!("{:#}", meant(&hosts(&["west"]), &known, true).unwrap_err());
    assert!(
        error.contains("no machine is called 'west'; there are north/10.0.0.1, south/10.0.0.2"),
        "{error}"
    );
    assert!(meant(&hosts(&["west/10.0.0.9"]), &known, false).is_err());
}

#[test]
fn the_machine_of_an_agent_is_where_it_answers() {
    let agent = json!({"hostname": "h", "pid": "slave(1)@[::1]:5051"});
    assert_eq!(machine_of(&agent), Some(machine("h", "::1")));
    assert_eq!(machine_of(&json!({"hostname": "h"})), None);
}

#[test]
fn modes_and_answers_are_shown_with_the_schedule() {
    let schedule = Schedule {
        windows: vec![window(
            5,
            vec![machine("a", "10.0.0.1"), machine("b", "10.0.0.2")],
        )],
    };
    let status = ClusterStatus {
        draining_machines: vec![DrainingMachine {
            id: machine("a", "10.0.0.1"),
            statuses: Vec::new(),
        }],
        down_machines: vec![machine("b", "10.0.0.2")],
    };
    let shown = machines(&schedule, &status);
    let modes: Vec<&Value> = shown.iter().map(|it| &it["mode"]).collect();
    assert_eq!(modes, ["DRAINING", "DOWN"]);
    assert_eq!(
        (&shown[0]["start_nanos"], &shown[0]["duration_secs"]),
        (&json!(5), &json!(90.0))
    );
    assert_eq!(answers(&shown[0], "ACCEPT"), "-");
}
