//! `DockerInfo.parameters`: options of `docker run`, as its API takes them. One that would do something else than the
//! framework thinks is refused by its name, never left out.

use serde_json::{Value, json};
use tepui_protocol::v1::Parameter;

use super::push;

/// What an option sets.
enum Place {
    /// A text, of the container.
    Text(&'static str),
    /// A text of its `HostConfig`, as all that follow.
    HostText(&'static str),
    Flag(&'static str),
    Number(&'static str),
    Bytes(&'static str),
    /// An item of a list.
    Item(&'static str),
    /// `KEY=VALUE` of a map.
    Pair(&'static str),
}

/// By the long name.
fn place(key: &str) -> Option<Place> {
    use Place::{Bytes, Flag, HostText, Item, Number, Pair, Text};
    Some(match key {
        "hostname" => Text("Hostname"),
        "domainname" => Text("Domainname"),
        "user" => Text("User"),
        "workdir" => Text("WorkingDir"),
        "mac-address" => Text("MacAddress"),
        "stop-signal" => Text("StopSignal"),
        "net" | "network" => HostText("NetworkMode"),
        "ipc" => HostText("IpcMode"),
        "pid" => HostText("PidMode"),
        "uts" => HostText("UTSMode"),
        "userns" => HostText("UsernsMode"),
        "cgroupns" => HostText("CgroupnsMode"),
        "cgroup-parent" => HostText("CgroupParent"),
        "cpuset-cpus" => HostText("CpusetCpus"),
        "cpuset-mems" => HostText("CpusetMems"),
        "runtime" => HostText("Runtime"),
        "isolation" => HostText("Isolation"),
        "volume-driver" => HostText("VolumeDriver"),
        "privileged" => Flag("Privileged"),
        "read-only" => Flag("ReadonlyRootfs"),
        "init" => Flag("Init"),
        "oom-kill-disable" => Flag("OomKillDisable"),
        "publish-all" => Flag("PublishAllPorts"),
        "cpu-shares" => Number("CpuShares"),
        "cpu-period" => Number("CpuPeriod"),
        "cpu-quota" => Number("CpuQuota"),
        "blkio-weight" => Number("BlkioWeight"),
        "pids-limit" => Number("PidsLimit"),
        "oom-score-adj" => Number("OomScoreAdj"),
        "memory-swappiness" => Number("MemorySwappiness"),
        "memory" => Bytes("Memory"),
        "memory-swap" => Bytes("MemorySwap"),
        "memory-reservation" => Bytes("MemoryReservation"),
        "kernel-memory" => Bytes("KernelMemory"),
        "shm-size" => Bytes("ShmSize"),
        "volume" => Item("Binds"),
        "volumes-from" => Item("VolumesFrom"),
        "cap-add" => Item("CapAdd"),
        "cap-drop" => Item("CapDrop"),
        "security-opt" => Item("SecurityOpt"),
        "group-add" => Item("GroupAdd"),
        "add-host" => Item("ExtraHosts"),
        "dns" => Item("Dns"),
        "dns-search" => Item("DnsSearch"),
        "dns-opt" | "dns-option" => Item("DnsOptions"),
        "link" => Item("Links"),
        "device-cgroup-rule" => Item("DeviceCgroupRules"),
        "sysctl" => Pair("Sysctls"),
        "storage-opt" => Pair("StorageOpt"),
        _ => return None,
    })
}

/// The long name of a short one.
fn long(key: &str) -> &str {
    match key {
        "l" => "label",
        "e" => "env",
        "u" => "user",
        "w" => "workdir",
        "h" => "hostname",
        "v" => "volume",
        "m" => "memory",
        "c" => "cpu-shares",
        "p" => "publish",
        "P" => "publish-all",
        "i" => "interactive",
        "t" => "tty",
        other => other,
    }
}

/// Sets what the parameters say in the body of `containers/create`, above what is there.
///
/// Errors: the first that is not known or makes no sense, in words for the framework.
pub(super) fn apply(create: &mut Value, parameters: &[Parameter]) -> Result<(), String> {
    for Parameter { key, value } in parameters {
        let set = match place(long(key)) {
            Some(place) => simple(create, &place, value),
            None => special(create, long(key), value),
        };
        set.map_err(|expected| match expected {
            Some(expected) => format!(
                "The Docker parameter '{key}' has the value '{value}'; expected {expected}"
            ),
            None => format!(
                "This agent does not know the Docker parameter '{key}'; it knows the options of docker run that say what a \
                 container is, such as env, label, user, volume and ulimit"
            ),
        })?;
    }
    Ok(())
}

/// What was expected; `None`: the parameter is not known.
type Wrong = Option<&'static str>;

fn simple(create: &mut Value, place: &Place, value: &str) -> Result<(), Wrong> {
    if let Place::Text(name) = place {
        create[*name] = value.into();
        return Ok(());
    }
    let host = &mut create["HostConfig"];
    match place {
        Place::Text(_) => {}
        Place::HostText(name) => host[*name] = value.into(),
        Place::Flag(name) => host[*name] = flag(value)?.into(),
        Place::Number(name) => host[*name] = number(value)?.into(),
        Place::Bytes(name) => host[*name] = bytes(value)?.into(),
        Place::Item(name) => push(&mut host[*name], value.into()),
        Place::Pair(name) => {
            let (key, value) = pair(value)?;
            host[*name][key] = value.into();
        }
    }
    Ok(())
}

fn special(create: &mut Value, key: &str, value: &str) -> Result<(), Wrong> {
    match key {
        "label" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            create["Labels"][name] = value.into();
        }
        "env" => variable(create, value)?,
        "rm" | "interactive" => {
            // The agent removes what has ended, and there is no input: with Mesos it is /dev/null.
            flag(value)?;
        }
        "tty" => {
            // What a terminal says has no frames, by which output is told apart.
            if flag(value)? {
                return Err(Some("false: such a container has no terminal"));
            }
        }
        "mount" => push(&mut create["HostConfig"]["Mounts"], mount(value)?),
        "gpus" => {
            let request = gpus(value)?;
            push(&mut create["HostConfig"]["DeviceRequests"], request);
        }
        "entrypoint" => create["Entrypoint"] = json!([value]),
        "expose" => create["ExposedPorts"][port(value)] = json!({}),
        "publish" => publish(create, value)?,
        "stop-timeout" => create["StopTimeout"] = number(value)?.into(),
        "cpus" => cpus(&mut create["HostConfig"], value)?,
        "ulimit" => {
            let expected = Some("NAME=SOFT[:HARD]");
            let (name, limits) = value.split_once('=').ok_or(expected)?;
            let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
            let limit = |text: &str| text.parse::<i64>().map_err(|_| expected);
            let ulimit = json!({"Name": name, "Soft": limit(soft)?, "Hard": limit(hard)?});
            push(&mut create["HostConfig"]["Ulimits"], ulimit);
        }
        "device" => {
            let mut parts = value.split(':');
            let host = parts.next().filter(|it| it.starts_with('/'));
            let host = host.ok_or(Some("/dev/NAME[:/dev/NAME][:rwm]"))?;
            let mut rest: Vec<&str> = parts.collect();
            let permissions = rest.pop_if(|it| !it.starts_with('/')).unwrap_or("rwm");
            let inner = rest.pop().unwrap_or(host);
            let device = json!({"PathOnHost": host, "PathInContainer": inner, "CgroupPermissions": permissions});
            push(&mut create["HostConfig"]["Devices"], device);
        }
        "tmpfs" => {
            let (path, options) = value.split_once(':').unwrap_or((value, ""));
            create["HostConfig"]["Tmpfs"][path] = options.into();
        }
        "log-driver" => create["HostConfig"]["LogConfig"]["Type"] = value.into(),
        "log-opt" => {
            let (name, value) = pair(value)?;
            create["HostConfig"]["LogConfig"]["Config"][name] = value.into();
        }
        "net-alias" | "network-alias" => {
            push(&mut endpoint(create)["Aliases"], value.into());
        }
        "ip" => endpoint(create)["IPAMConfig"]["IPv4Address"] = value.into(),
        "ip6" => endpoint(create)["IPAMConfig"]["IPv6Address"] = value.into(),
        _ => return Err(None),
    }
    Ok(())
}

fn cpus(host: &mut Value, value: &str) -> Result<(), Wrong> {
    let expected = Some("a number of CPUs");
    let cpus: f64 = value.parse().map_err(|_| expected)?;
    if !(cpus > 0.0 && cpus < 1e6) {
        return Err(expected);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below the bound looked at above"
    )]
    let nanos = (cpus * 1e9) as i64;
    host["NanoCpus"] = nanos.into();
    // The engine takes one of the two.
    if let Some(host) = host.as_object_mut() {
        host.remove("CpuPeriod");
        host.remove("CpuQuota");
    }
    Ok(())
}

/// It stands behind all others, as with Mesos, and replaces the one of its name.
fn variable(create: &mut Value, value: &str) -> Result<(), Wrong> {
    let (name, _) = pair(value)?;
    if let Some(env) = create["Env"].as_array_mut() {
        let name_of = |it: &Value| Some(it.as_str()?.split('=').next()?.to_owned());
        env.retain(|it| name_of(it).as_deref() != Some(name));
    }
    push(&mut create["Env"], value.into());
    Ok(())
}

/// How the container is attached to its network. The network must be named before.
fn endpoint(create: &mut Value) -> &mut Value {
    let network = create["HostConfig"]["NetworkMode"].as_str();
    let network = network.unwrap_or_default().to_owned();
    &mut create["NetworkingConfig"]["EndpointsConfig"][network]
}

/// `type=bind,src=/on/the/machine,dst=/inside,readonly`: an item of the engine's `Mounts`.
fn mount(value: &str) -> Result<Value, Wrong> {
    let expected = Some(
        "type=bind, volume or tmpfs, src=WHAT, dst=WHERE, readonly, bind-propagation=…, volume-nocopy, tmpfs-size=… or \
         tmpfs-mode=…, with commas between",
    );
    let mut mount = json!({"Type": "volume"});
    for option in value.split(',') {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key {
            "type" if matches!(value, "bind" | "volume" | "tmpfs") => mount["Type"] = value.into(),
            "src" | "source" => mount["Source"] = value.into(),
            "dst" | "destination" | "target" => mount["Target"] = value.into(),
            "readonly" | "ro" => mount["ReadOnly"] = flag(value).map_err(|_| expected)?.into(),
            "bind-propagation" => mount["BindOptions"]["Propagation"] = value.into(),
            "volume-nocopy" => {
                mount["VolumeOptions"]["NoCopy"] = flag(value).map_err(|_| expected)?.into();
            }
            "tmpfs-size" => {
                mount["TmpfsOptions"]["SizeBytes"] = bytes(value).map_err(|_| expected)?.into();
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| expected)?;
                mount["TmpfsOptions"]["Mode"] = mode.into();
            }
            _ => return Err(expected),
        }
    }
    let is_path = |it: &Value| it.as_str().is_some_and(|it| it.starts_with('/'));
    let is_whole =
        is_path(&mount["Target"]) && (mount["Type"] != "bind" || is_path(&mount["Source"]));
    is_whole.then_some(mount).ok_or(expected)
}

/// `all`, a count, or `device=ID[,ID…]`: an item of the engine's `DeviceRequests`.
fn gpus(value: &str) -> Result<Value, Wrong> {
    let expected = Some("all, a count, or device=ID[,ID…]");
    let mut request = json!({"Capabilities": [["gpu"]]});
    // On a command line the quotes keep the ids of several together.
    let devices = value.trim_matches('"').strip_prefix("device=");
    match (value, devices) {
        ("all", _) => request["Count"] = (-1).into(),
        (_, Some("")) => return Err(expected),
        (_, Some(ids)) => request["DeviceIDs"] = ids.split(',').collect(),
        (count, None) => {
            let count: u32 = count.parse().map_err(|_| expected)?;
            request["Count"] = count.into();
        }
    }
    Ok(request)
}

/// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`.
fn publish(create: &mut Value, value: &str) -> Result<(), Wrong> {
    let expected = Some("[[IP:]HOST_PORT:]CONTAINER_PORT[/PROTOCOL]");
    let mut parts = value.rsplitn(3, ':');
    let inner = port(parts.next().filter(|it| !it.is_empty()).ok_or(expected)?);
    let (host, ip) = (parts.next().unwrap_or_default(), parts.next());
    let binding = json!({"HostIp": ip.unwrap_or_default(), "HostPort": host});
    create["ExposedPorts"][&inner] = json!({});
    push(&mut create["HostConfig"]["PortBindings"][&inner], binding);
    Ok(())
}

fn port(value: &str) -> String {
    match value.contains('/') {
        true => value.to_owned(),
        false => format!("{value}/tcp"),
    }
}

fn flag(value: &str) -> Result<bool, Wrong> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Some("true or false")),
    }
}

fn number(value: &str) -> Result<i64, Wrong> {
    value.parse().map_err(|_| Some("a whole number"))
}

fn pair(value: &str) -> Result<(&str, &str), Wrong> {
    let pair = value.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.ok_or(Some("NAME=value"))
}

/// As Docker reads sizes: `64m`, `1g`, `512kb`, `2GiB`; -1 is none.
fn bytes(value: &str) -> Result<i64, Wrong> {
    let expected = Some("a size such as 64m, 1g or 512kb");
    if value == "-1" {
        return Ok(-1);
    }
    let lower = value.trim().to_ascii_lowercase();
    let digits = lower.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = lower.split_at(digits.unwrap_or(lower.len()));
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(expected),
    };
    let number: f64 = number.parse().map_err(|_| expected)?;
    let bytes = number * 2_f64.powi(shift);
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    let whole = (bytes < 9e15).then_some(bytes as i64);
    whole.ok_or(expected)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
