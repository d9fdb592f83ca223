//! Flags of Mesos 1.11's master (`src/master/flags.cpp`) that this one has not.

use super::Fate::{self, Only, Overlooked, Refused};

const MODULES: &str =
    "this master loads no modules; allocators and access lists have flags of their own";
const CONTACT: &str = "masters find each other by --peers, and are found by any of their HTTP addresses; --zk-port serves clients of ZooKeeper";
const WITHOUT: &str = "agents and frameworks are not asked at the bridge; put agents on a network of their own, and see --authenticate-http-frameworks";
const BOUNDED: &str = "regular expressions of offer constraints have fixed bounds";

/// Other names of flags that this master has.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("authenticate_http", "authenticate_http_readwrite"),
    ("max_slave_ping_timeouts", "max_agent_ping_timeouts"),
    ("slave_ping_timeout", "agent_ping_timeout"),
    ("slave_removal_rate_limit", "agent_removal_rate_limit"),
    ("slave_reregister_timeout", "agent_reregister_timeout"),
];

pub(super) const FLAGS: &[(&str, Fate)] = &[
    (
        "advertise_ip",
        Refused("expected --hostname with the name that others reach this master by"),
    ),
    (
        "advertise_port",
        Refused("the port is the same for all; expected --port"),
    ),
    (
        "allocator_agent_recovery_factor",
        Only(
            &["0.8"],
            "offers wait until 0.8 of the agents are back after an election",
        ),
    ),
    (
        "allocator_recovery_timeout",
        Only(
            &["10mins"],
            "offers wait at most 10mins for agents after an election",
        ),
    ),
    ("authenticate", Only(&["false"], WITHOUT)),
    ("authenticate_agents", Only(&["false"], WITHOUT)),
    ("authenticate_frameworks", Only(&["false"], WITHOUT)),
    ("authenticate_slaves", Only(&["false"], WITHOUT)),
    (
        "authentication_v0_timeout",
        Overlooked("frameworks speak HTTP, which is asked with each request"),
    ),
    ("authenticators", Only(&["crammd5"], MODULES)),
    ("authorizers", Only(&["local"], MODULES)),
    (
        "filter_gpu_resources",
        Only(
            &["true"],
            "agents with GPUs are for frameworks with GPU_RESOURCES",
        ),
    ),
    (
        "firewall_rules",
        Refused("expected --acls, whose get_endpoints says who reads which paths"),
    ),
    (
        "framework_sorter",
        Only(&["drf"], "expected --allocator, such as random"),
    ),
    ("hooks", Refused(MODULES)),
    ("http_authenticators", Only(&["basic"], MODULES)),
    (
        "ip_discovery_command",
        Refused("expected --ip with the address"),
    ),
    (
        "log_auto_initialize",
        Overlooked("the first master founds the group, and later ones are let in by it"),
    ),
    ("master_contender", Refused(CONTACT)),
    ("master_detector", Refused(CONTACT)),
    (
        "max_executors_per_agent",
        Refused("there is no port mapping by traffic control, which this bounds"),
    ),
    (
        "max_executors_per_slave",
        Refused("there is no port mapping by traffic control, which this bounds"),
    ),
    (
        "max_operator_event_stream_subscribers",
        Only(&["1000"], "1000 clients may subscribe"),
    ),
    ("memory_profiling", Overlooked("there is no jemalloc in it")),
    ("modules", Refused(MODULES)),
    ("modules_dir", Refused(MODULES)),
    (
        "offer_constraints_re2_max_mem",
        Only(&["4KB", "4096B"], BOUNDED),
    ),
    (
        "offer_constraints_re2_max_program_size",
        Only(&["100"], BOUNDED),
    ),
    (
        "publish_per_framework_metrics",
        Only(&["true"], "every framework has its metrics"),
    ),
    (
        "quorum",
        Overlooked("more than half of the masters in --peers decide"),
    ),
    (
        "recovery_agent_removal_limit",
        Only(
            &["100%"],
            "agents are never removed all at once; expected --agent-removal-rate-limit",
        ),
    ),
    (
        "recovery_slave_removal_limit",
        Only(
            &["100%"],
            "agents are never removed all at once; expected --agent-removal-rate-limit",
        ),
    ),
    (
        "registry",
        Only(
            &["replicated_log"],
            "the registry is replicated and on disk; for a trial expected another --work-dir",
        ),
    ),
    (
        "registry_fetch_timeout",
        Overlooked("a master has the registry on its own disk"),
    ),
    (
        "registry_store_timeout",
        Overlooked(
            "a master that cannot write ends, and one that cannot reach the others leads no more",
        ),
    ),
    (
        "registry_strict",
        Overlooked("what the registry does not know is never admitted"),
    ),
    (
        "role_sorter",
        Only(&["drf"], "expected --allocator, such as random"),
    ),
    (
        "user_sorter",
        Only(&["drf"], "expected --allocator, such as random"),
    ),
    (
        "webui_dir",
        Overlooked("the web admin is part of the program"),
    ),
    (
        "weights",
        Refused(
            "weights are kept and can be changed at any time; expected UPDATE_WEIGHTS, or PUT /weights",
        ),
    ),
    ("zk", Refused(CONTACT)),
    (
        "zk_session_timeout",
        Overlooked("expected --election-timeout-ms for how soon the loss of a leader is seen"),
    ),
];
