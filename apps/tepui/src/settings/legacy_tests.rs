use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use clap::CommandFactory;

use super::*;

/// All flags of Mesos 1.11's daemons, and their older names.
const OF_MASTER: &str = "\
    acls advertise_ip advertise_port agent_ping_timeout agent_removal_rate_limit agent_reregister_timeout \
    allocation_interval allocator allocator_agent_recovery_factor allocator_recovery_timeout authenticate \
    authenticate_agents authenticate_frameworks authenticate_http authenticate_http_frameworks \
    authenticate_http_readonly authenticate_http_readwrite authenticate_slaves authentication_v0_timeout \
    authenticators authorizers cluster credentials domain external_log_file fair_sharing_excluded_resource_names \
    filter_gpu_resources firewall_rules framework_sorter hooks hostname hostname_lookup http_authenticators \
    http_framework_authenticators initialize_driver_logging ip ip_discovery_command log_auto_initialize log_dir \
    logbufsecs logging_level master_contender master_detector max_agent_ping_timeouts max_completed_frameworks \
    max_completed_tasks_per_framework max_executors_per_agent max_executors_per_slave \
    max_operator_event_stream_subscribers max_slave_ping_timeouts max_unreachable_tasks_per_framework \
    memory_profiling min_allocatable_resources modules modules_dir offer_constraints_re2_max_mem \
    offer_constraints_re2_max_program_size offer_timeout port publish_per_framework_metrics quiet quorum \
    rate_limits recovery_agent_removal_limit recovery_slave_removal_limit registry registry_fetch_timeout \
    registry_gc_interval registry_max_agent_age registry_max_agent_count registry_store_timeout registry_strict \
    require_agent_domain role_sorter roles root_submissions slave_ping_timeout slave_removal_rate_limit \
    slave_reregister_timeout user_sorter webui_dir weights whitelist work_dir zk zk_session_timeout";
const OF_AGENT: &str = "\
    acls advertise_ip advertise_port agent_features agent_subsystems allowed_capabilities allowed_devices \
    appc_simple_discovery_uri_prefix appc_store_dir attributes authenticate_http_executors \
    authenticate_http_readonly authenticate_http_readwrite authenticatee authentication_backoff_factor \
    authentication_timeout_max authentication_timeout_min authorizer bounding_capabilities \
    cgroups_cpu_enable_pids_and_tids_count cgroups_destroy_timeout cgroups_enable_cfs cgroups_hierarchy \
    cgroups_limit_swap cgroups_net_cls_primary_handle cgroups_net_cls_secondary_handles cgroups_root \
    check_agent_port_range_only container_disk_watch_interval container_logger container_ports_isolated_range \
    container_ports_watch_interval containerizers credential csi_plugin_config_dir default_container_dns \
    default_container_info default_container_shm_size default_role disallow_sharing_agent_ipc_namespace \
    disallow_sharing_agent_pid_namespace disk_profile_adaptor disk_watch_interval docker docker_config \
    docker_ignore_runtime docker_kill_orphans docker_mesos_image docker_registry docker_remove_delay docker_socket \
    docker_stop_timeout docker_store_dir docker_volume_checkpoint_dir docker_volume_chown domain \
    domain_socket_location effective_capabilities egress_burst egress_ceil_limit egress_flow_classifier_parent \
    egress_rate_limit_per_container egress_rate_per_cpu egress_unique_flow_per_container \
    enforce_container_disk_quota enforce_container_ports ephemeral_ports_per_container eth0_name \
    executor_environment_variables executor_registration_timeout executor_reregistration_retry_interval \
    executor_reregistration_timeout executor_secret_key executor_shutdown_grace_period external_log_file \
    fetcher_cache_dir fetcher_cache_size fetcher_stall_timeout firewall_rules frameworks_home gc_delay \
    gc_disk_headroom gc_non_executor_container_sandboxes hadoop_home hooks host_path_volume_force_creation \
    hostname hostname_lookup http_authenticators http_command_executor http_credentials \
    http_executor_domain_sockets http_heartbeat_interval image_gc_config image_providers image_provisioner_backend \
    ingress_burst ingress_ceil_limit ingress_isolate_existing_containers ingress_rate_limit_per_container \
    ingress_rate_per_cpu initialize_driver_logging ip ip6 ip6_discovery_command ip_discovery_command isolation \
    jwt_secret_key launcher launcher_dir lo_name log_dir logbufsecs logging_level master master_detector \
    max_completed_executors_per_framework maximum_egress_rate_limit maximum_ingress_rate_limit memory_profiling \
    minimum_egress_rate_limit minimum_ingress_rate_limit modules modules_dir network_cni_config_dir \
    network_cni_metrics network_cni_plugins_dir network_cni_root_dir_persist network_enable_rate_statistics \
    network_enable_snmp_statistics network_enable_socket_statistics_details \
    network_enable_socket_statistics_summary network_link_speed network_rate_statistics_interval \
    network_rate_statistics_window nvidia_gpu_devices oversubscribed_resources_interval perf_duration perf_events \
    perf_interval port qos_controller qos_correction_interval_min quiet reconfiguration_policy recover \
    recovery_timeout registration_backoff_factor resource_estimator resource_provider_config_dir resources \
    revocable_cpu_low_priority runtime_dir sandbox_directory seccomp_config_dir seccomp_profile_name \
    secret_resolver slave_subsystems strict switch_user systemd_enable_support systemd_runtime_directory \
    volume_gid_range work_dir xfs_kill_containers xfs_project_range xfs_quota_headroom zk_session_timeout";

fn with(given: &[&str], variables: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
    let given = given.iter().map(OsString::from).collect();
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let found = translate(given, variables)?;
    let arguments = found.arguments.into_iter();
    let arguments = arguments.map(|it| it.into_string().unwrap()).collect();
    Ok((arguments, found.notes))
}

#[test]
fn flags_are_spelt_as_mesos_spells_them_too() {
    let given = [
        "tepui",
        "agent",
        "--work_dir=/w_d",
        "--no-switch_user",
        "--no-network-cni-metrics",
        "--ip",
        "--cgroups_enable_cfs",
        "x_y",
        "--",
        "--executor_environment_variables={\"A_B\": \"c=d\"}",
    ];
    let expected = [
        "tepui",
        "agent",
        "--work-dir=/w_d",
        "--switch-user=false",
        "--network-cni-metrics=false",
        "--ip",
        "--cgroups-enable-cfs",
        "x_y",
        "--",
        "--executor-environment-variables={\"A_B\": \"c=d\"}",
    ];
    let (arguments, notes) = with(&given, &[]).unwrap();
    assert_eq!(arguments, expected);
    assert!(notes.is_empty());
    // What a command line of ours says of its own is left alone.
    let other = ["tepui", "exec", "task", "--no-tty", "--", "a", "--b_c"];
    assert_eq!(with(&other, &[("MESOS_MODULES", "x")]).unwrap().0, other);
    let master = ["tepui", "master", "--root_submissions=false"];
    assert_eq!(with(&master, &[]).unwrap().0[2], "--root-submissions=false");
    let of_environment = |given: &[&str], more| {
        let variables = [("MESOS_AUTHENTICATE_HTTP", "true"), more];
        with(given, &variables).unwrap().0.split_off(2)
    };
    let (master, none) = (["tepui", "master"], ("HOME", "/"));
    let ours = "--authenticate-http-readwrite=true";
    assert_eq!(of_environment(&master, none), [ours]);
    let newer = ("MESOS_AUTHENTICATE_HTTP_READWRITE", "false");
    assert!(of_environment(&master, newer).is_empty());
    let given = ["tepui", "master", "--authenticate_http_readwrite=false"];
    let expected = ["--authenticate-http-readwrite=false"];
    assert_eq!(of_environment(&given, none), expected);
    let older = with(&["tepui", "master", "--slave_ping_timeout=5secs"], &[]);
    assert_eq!(older.unwrap().0[2], "--agent-ping-timeout=5secs");
}

#[test]
fn a_value_that_is_no_text_is_left_as_it_is() {
    let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let given = ["tepui", "agent"].map(OsString::from).into_iter();
    let given = given.chain([argument(b"--work_dir=/w\xff_d=")]).collect();
    let found = translate(given, std::iter::empty()).unwrap();
    assert_eq!(found.arguments[2], argument(b"--work-dir=/w\xff_d="));
}

#[test]
fn what_has_no_meaning_here_is_overlooked_with_a_word_or_refused_with_what_to_do() {
    let agent = |flag: &str| with(&["tepui", "agent", flag], &[]);
    for taken in [
        "--launcher=linux",
        "--image_providers=docker",
        "--authorizer=local",
    ] {
        assert_eq!(
            agent(taken).unwrap(),
            (vec!["tepui".to_owned(), "agent".to_owned()], vec![]),
            "{taken}"
        );
    }
    let (arguments, notes) = agent("--log_dir=/var/log").unwrap();
    assert_eq!(arguments.len(), 2);
    assert_eq!(
        notes,
        ["--log_dir is overlooked: the log lies in log/ of the work directory"]
    );
    for (flag, word) in [
        ("--image_providers=APPC", "type DOCKER only"),
        ("--modules=file:///m", "no modules"),
        (
            "--xfs-project-range=[1-2]",
            "--enforce-container-disk-quota",
        ),
        ("--egress_rate_limit_per_container=1MB", "CNI"),
    ] {
        let refused = agent(flag).unwrap_err();
        assert!(
            refused.starts_with("--") && refused.contains(word),
            "{refused}"
        );
    }
    let environment = |name, value| with(&["tepui", "agent"], &[(name, value)]);
    assert!(
        environment("MESOS_MODULES", "x")
            .unwrap_err()
            .starts_with("MESOS_MODULES: ")
    );
    assert_eq!(environment("MESOS_STRICT", "true").unwrap().1.len(), 1);
    assert_eq!(
        environment("MESOS_IMAGE_PROVIDERS", "docker")
            .unwrap()
            .1
            .len(),
        0
    );
    assert_eq!(environment("MESOS_SANDBOX", "/s").unwrap().1.len(), 0);
}

/// A flag is ours or has its fate, and never both: what is overlooked or refused before ours are looked at cannot be set.
#[test]
fn every_flag_of_mesos_has_an_answer() {
    let command = crate::cli::Cli::command();
    for (name, theirs) in [("master", OF_MASTER), ("agent", OF_AGENT)] {
        let daemon = Daemon::of(name).unwrap();
        let ours = command.find_subcommand(name).unwrap().get_arguments();
        let ours: Vec<_> = ours.filter_map(|it| it.get_long()).collect();
        let is_ours = |flag: &str| ours.contains(&daemon.ours(flag).replace('_', "-").as_str());
        for flag in theirs.split(' ') {
            assert!(
                is_ours(flag) != daemon.fate(flag).is_some(),
                "{name} --{flag}"
            );
        }
        for (flag, _) in daemon.flags {
            assert!(theirs.split(' ').any(|it| it == *flag), "{name} --{flag}");
        }
    }
}

#[test]
fn a_master_refuses_what_it_would_do_without() {
    let master = |flag: &str| with(&["tepui", "master", flag], &[]);
    for taken in ["--registry=replicated_log", "--no-authenticate_frameworks"] {
        assert_eq!(master(taken).unwrap().1.len(), 0, "{taken}");
    }
    let notes = master("--quorum=2").unwrap().1;
    assert_eq!(
        notes,
        ["--quorum is overlooked: more than half of the masters in --peers decide"]
    );
    assert!(
        master("--zk=zk://a:2181/mesos")
            .unwrap_err()
            .contains("--peers")
    );
    let environment = with(&["tepui", "master"], &[("MESOS_ZK", "zk://a:2181/mesos")]);
    assert!(environment.unwrap_err().starts_with("MESOS_ZK: "));
}
