//! What can be allowed: each list of Mesos' `ACLs`, and what its rules are about.

/// What the second half of a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// Roles; `a/%` is all below `a`.
    Roles,
    /// Users, principals or the like, each by its own name.
    Names,
    /// Paths of endpoints that can be refused.
    Paths,
    /// All or none: there is nothing to name.
    Whole,
}

macro_rules! actions {
    ($($name:ident, $list:literal, $key:literal, $objects:ident;)*) => {
        /// One list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $($name,)*
        }

        impl Action {
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// The list's name in the file.
            pub const fn list(self) -> &'static str {
                match self { $(Action::$name => $list,)* }
            }

            /// What its rules call their objects.
            pub const fn key(self) -> &'static str {
                match self { $(Action::$name => $key,)* }
            }

            pub const fn objects(self) -> Objects {
                match self { $(Action::$name => Objects::$objects,)* }
            }
        }
    };
}

actions! {
    RegisterFrameworks, "register_frameworks", "roles", Roles;
    RunTasks, "run_tasks", "users", Names;
    TeardownFrameworks, "teardown_frameworks", "framework_principals", Names;
    ReserveResources, "reserve_resources", "roles", Roles;
    UnreserveResources, "unreserve_resources", "reserver_principals", Names;
    CreateVolumes, "create_volumes", "roles", Roles;
    DestroyVolumes, "destroy_volumes", "creator_principals", Names;
    ResizeVolumes, "resize_volumes", "roles", Roles;
    CreateBlockDisks, "create_block_disks", "roles", Roles;
    DestroyBlockDisks, "destroy_block_disks", "roles", Roles;
    CreateMountDisks, "create_mount_disks", "roles", Roles;
    DestroyMountDisks, "destroy_mount_disks", "roles", Roles;
    DestroyRawDisks, "destroy_raw_disks", "roles", Roles;
    GetQuotas, "get_quotas", "roles", Roles;
    UpdateQuotas, "update_quotas", "roles", Roles;
    ViewRoles, "view_roles", "roles", Roles;
    UpdateWeights, "update_weights", "roles", Roles;
    GetEndpoints, "get_endpoints", "paths", Paths;
    ViewFrameworks, "view_frameworks", "users", Names;
    ViewTasks, "view_tasks", "users", Names;
    ViewExecutors, "view_executors", "users", Names;
    ViewContainers, "view_containers", "users", Names;
    ViewStandaloneContainers, "view_standalone_containers", "users", Whole;
    ViewFlags, "view_flags", "flags", Whole;
    ViewResourceProviders, "view_resource_providers", "resource_providers", Whole;
    AccessSandboxes, "access_sandboxes", "users", Names;
    AccessMesosLogs, "access_mesos_logs", "logs", Whole;
    RegisterAgents, "register_agents", "agents", Whole;
    SetLogLevel, "set_log_level", "level", Whole;
    LaunchNestedContainersAsUser, "launch_nested_containers_as_user", "users", Names;
    LaunchNestedContainersUnderParentWithUser, "launch_nested_containers_under_parent_with_user", "users", Names;
    LaunchNestedContainerSessionsAsUser, "launch_nested_container_sessions_as_user", "users", Names;
    LaunchNestedContainerSessionsUnderParentWithUser, "launch_nested_container_sessions_under_parent_with_user", "users", Names;
    KillNestedContainers, "kill_nested_containers", "users", Names;
    WaitNestedContainers, "wait_nested_containers", "users", Names;
    RemoveNestedContainers, "remove_nested_containers", "users", Names;
    AttachContainersInput, "attach_containers_input", "users", Names;
    AttachContainersOutput, "attach_containers_output", "users", Names;
    LaunchStandaloneContainers, "launch_standalone_containers", "users", Whole;
    KillStandaloneContainers, "kill_standalone_containers", "users", Whole;
    WaitStandaloneContainers, "wait_standalone_containers", "users", Whole;
    RemoveStandaloneContainers, "remove_standalone_containers", "users", Whole;
    PruneImages, "prune_images", "images", Whole;
    ModifyResourceProviderConfigs, "modify_resource_provider_configs", "resource_providers", Whole;
    MarkResourceProvidersGone, "mark_resource_providers_gone", "resource_providers", Whole;
    GetMaintenanceSchedules, "get_maintenance_schedules", "machines", Whole;
    UpdateMaintenanceSchedules, "update_maintenance_schedules", "machines", Whole;
    GetMaintenanceStatuses, "get_maintenance_statuses", "machines", Whole;
    StartMaintenances, "start_maintenances", "machines", Whole;
    StopMaintenances, "stop_maintenances", "machines", Whole;
    DrainAgents, "drain_agents", "agents", Whole;
    DeactivateAgents, "deactivate_agents", "agents", Whole;
    ReactivateAgents, "reactivate_agents", "agents", Whole;
    MarkAgentsGone, "mark_agents_gone", "agents", Whole;
}

impl Action {
    /// The list of that name.
    pub fn of_list(name: &str) -> Option<Action> {
        let mut all = Action::ALL.iter().copied();
        all.find(|action| action.list() == name)
    }
}
