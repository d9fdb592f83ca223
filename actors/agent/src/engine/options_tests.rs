use super::*;

fn applied(parameters: &[(&str, &str)]) -> Result<Value, String> {
    let mut create = json!({"Env": ["A=task"], "HostConfig": {"NetworkMode": "bridge", "CpuPeriod": 1, "CpuQuota": 2}});
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(key, value)| Parameter {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    apply(&mut create, &parameters)?;
    Ok(create)
}

#[test]
fn options_of_docker_run_as_its_api_takes_them() {
    let made = applied(&[
        ("label", "a=b=c"),
        ("l", "bare"),
        ("env", "B=x=y"),
        ("user", "1:2"),
        ("memory-swap", "128m"),
        ("shm-size", "1GiB"),
        ("ulimit", "nofile=10:20"),
        ("ulimit", "core=-1"),
        ("cap-add", "NET_ADMIN"),
        ("cap-drop", "KILL"),
        ("device", "/dev/null:/dev/mine:r"),
        ("device", "/dev/zero"),
        ("read-only", "true"),
        ("tmpfs", "/run:size=1m"),
        ("log-opt", "max-size=10m"),
        ("net-alias", "other"),
        ("p", "127.0.0.1:8080:80"),
        ("cpus", "1.5"),
    ])
    .expect("all are known");
    let host = &made["HostConfig"];
    assert_eq!(made["Labels"], json!({"a": "b=c", "bare": ""}));
    assert_eq!(made["Env"], json!(["A=task", "B=x=y"]));
    assert_eq!(made["User"], "1:2");
    assert_eq!(
        (&host["MemorySwap"], &host["ShmSize"]),
        (&json!(128 << 20), &json!(1 << 30))
    );
    assert_eq!(
        host["Ulimits"],
        json!([{"Name": "nofile", "Soft": 10, "Hard": 20}, {"Name": "core", "Soft": -1, "Hard": -1}])
    );
    assert_eq!(
        (&host["CapAdd"], &host["CapDrop"]),
        (&json!(["NET_ADMIN"]), &json!(["KILL"]))
    );
    assert_eq!(
        host["Devices"],
        json!([
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"},
            {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/zero", "CgroupPermissions": "rwm"},
        ])
    );
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Tmpfs"], json!({"/run": "size=1m"}));
    assert_eq!(host["LogConfig"]["Config"], json!({"max-size": "10m"}));
    assert_eq!(
        host["PortBindings"],
        json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]})
    );
    assert_eq!(
        made["NetworkingConfig"]["EndpointsConfig"]["bridge"]["Aliases"],
        json!(["other"])
    );
    // The engine refuses both.
    assert_eq!(
        (host.get("CpuQuota"), &host["NanoCpus"]),
        (None, &json!(1_500_000_000))
    );
}

#[test]
fn a_parameter_replaces_the_variable_of_its_name() {
    let made = applied(&[("env", "AA=other"), ("e", "A=parameter")]).expect("it is known");
    assert_eq!(made["Env"], json!(["AA=other", "A=parameter"]));
    let made = applied(&[("env", "A=first"), ("env", "A=last")]).expect("it is known");
    assert_eq!(made["Env"], json!(["A=last"]));
}

#[test]
fn mounts_are_asked_for_as_the_api_has_them() {
    let made = applied(&[
        ("mount", "type=bind,src=/data,dst=/inside,readonly"),
        (
            "mount",
            "type=bind,source=/data,target=/two,ro=false,bind-propagation=rslave",
        ),
        ("mount", "source=named,destination=/named,volume-nocopy"),
        (
            "mount",
            "type=tmpfs,dst=/run,tmpfs-size=64m,tmpfs-mode=1777",
        ),
    ])
    .expect("all are known");
    assert_eq!(
        made["HostConfig"]["Mounts"],
        json!([
            {"Type": "bind", "Source": "/data", "Target": "/inside", "ReadOnly": true},
            {"Type": "bind", "Source": "/data", "Target": "/two", "ReadOnly": false, "BindOptions": {"Propagation": "rslave"}},
            {"Type": "volume", "Source": "named", "Target": "/named", "VolumeOptions": {"NoCopy": true}},
            {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 64 << 20, "Mode": 0o1777}},
        ])
    );
}

#[test]
fn gpus_are_requests_for_devices() {
    let request =
        |value| applied(&[("gpus", value)]).map(|it| it["HostConfig"]["DeviceRequests"].clone());
    for (value, expected) in [
        ("all", json!({"Capabilities": [["gpu"]], "Count": -1})),
        ("2", json!({"Capabilities": [["gpu"]], "Count": 2})),
        (
            "\"device=0,GPU-1\"",
            json!({"Capabilities": [["gpu"]], "DeviceIDs": ["0", "GPU-1"]}),
        ),
    ] {
        assert_eq!(request(value), Ok(json!([expected])));
    }
}

#[test]
fn what_is_so_in_any_case_is_taken_and_changes_nothing() {
    let plain = applied(&[]);
    for (key, value) in [
        ("rm", "true"),
        ("rm", "false"),
        ("interactive", "true"),
        ("i", ""),
        ("tty", "false"),
    ] {
        assert_eq!(applied(&[(key, value)]), plain, "{key}={value}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_its_name_and_nonsense_by_its_value() {
    for key in ["restart", "name", "detach", "cidfile", "x"] {
        let error = applied(&[(key, "1")]).expect_err("it is not known");
        assert!(error.contains(&format!("parameter '{key}'")), "{error}");
    }
    for (key, value) in [
        ("memory", "much"),
        ("memory", "64x"),
        ("ulimit", "nofile"),
        ("env", "A"),
        ("cpus", "-1"),
        ("cpus", "inf"),
        ("read-only", "yes"),
        ("device", "null"),
        ("pids-limit", "1.5"),
        ("rm", "perhaps"),
        ("tty", "true"),
        ("mount", "type=bind,dst=/inside"),
        ("mount", "type=npipe,dst=/inside"),
        ("mount", "src=named"),
        ("mount", "src=named,dst=/a,unknown=1"),
        ("gpus", "some"),
        ("gpus", "device="),
    ] {
        let error = applied(&[(key, value)]).expect_err("it makes no sense");
        assert!(
            error.contains(&format!("has the value '{value}'; expected")),
            "{error}"
        );
    }
}
