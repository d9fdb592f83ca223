use super::*;

fn shown(settings: &[Setting]) -> Vec<String> {
    settings
        .iter()
        .map(|s| {
            format!(
                "{}={}{}",
                s.file,
                s.value,
                if s.only_raise { " ↑" } else { "" }
            )
        })
        .collect()
}

fn all() -> Limits {
    Limits {
        cpu_request_milli: Some(1500),
        cpu_limit_milli: Some(2000),
        memory_request_bytes: Some(64 << 20),
        memory_limit_bytes: Some(128 << 20),
        limit_swap: true,
        processes: Some(100),
    }
}

#[test]
fn v1_settings_follow_mesos() {
    assert_eq!(
        shown(&initial(&all(), Version::V1)),
        [
            "cpu.shares=1536",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=200000",
            "memory.limit_in_bytes=134217728",
            "memory.memsw.limit_in_bytes=134217728",
            "memory.soft_limit_in_bytes=67108864",
            "pids.max=100",
        ]
    );
}

#[test]
fn v2_settings_say_the_same() {
    assert_eq!(
        shown(&initial(&all(), Version::V2)),
        [
            "cpu.weight=150",
            "cpu.max=200000 100000",
            "memory.max=134217728",
            "memory.swap.max=0",
            "memory.low=67108864",
            "pids.max=100",
        ]
    );
}

#[test]
fn an_update_only_raises_the_hard_limit_and_makes_room_for_swap_first() {
    let settings = shown(&update(&all(), Version::V1));
    assert_eq!(
        settings[3..5],
        [
            "memory.memsw.limit_in_bytes=134217728 ↑",
            "memory.limit_in_bytes=134217728 ↑"
        ]
    );
}

#[test]
fn small_requests_are_lifted_to_the_least_the_kernel_or_mesos_takes() {
    let tiny = Limits {
        cpu_request_milli: Some(1),
        cpu_limit_milli: Some(1),
        memory_request_bytes: Some(1),
        memory_limit_bytes: Some(1),
        ..Limits::default()
    };
    assert_eq!(
        shown(&initial(&tiny, Version::V1)),
        [
            "cpu.shares=2",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=1000",
            "memory.limit_in_bytes=33554432",
            "memory.soft_limit_in_bytes=33554432",
        ]
    );
    assert_eq!(initial(&tiny, Version::V2)[0].value, "1");
    assert!(initial(&Limits::default(), Version::V1).is_empty());
    assert_eq!(weight(u64::MAX), MAX_WEIGHT);
}

#[test]
fn a_limit_of_cpu_can_be_taken_away() {
    let free = Limits {
        cpu_limit_milli: Some(u64::MAX),
        ..Limits::default()
    };
    let v1 = ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=-1"];
    assert_eq!(shown(&update(&free, Version::V1)), v1);
    assert_eq!(shown(&update(&free, Version::V2)), ["cpu.max=max 100000"]);
}

#[test]
fn who_may_have_more_memory_than_requested_is_killed_the_sooner_the_less_it_requested() {
    let score = |request: Option<u64>, limit: Option<u64>, machine: u64| {
        let limits = Limits {
            memory_request_bytes: request.map(|it| it << 20),
            memory_limit_bytes: limit.map(|it| it << 20),
            ..Limits::default()
        };
        oom_score_adj(&limits, machine << 20)
    };
    assert_eq!(score(Some(512), Some(1024), 2048), Some(750));
    assert_eq!(score(Some(1024), Some(1 << 40), 2048), Some(500));
    // Both are 32 MB.
    assert_eq!(score(Some(1), Some(8), 2048), None);
    assert_eq!(score(Some(1), Some(64), 3200), Some(990));
    for (request, limit) in [(Some(64), Some(64)), (Some(64), None), (None, Some(64))] {
        assert_eq!(score(request, limit, 2048), None);
    }
    assert_eq!(score(Some(4096), Some(8192), 2048), Some(0));
    assert_eq!(score(Some(64), Some(128), 0), None);
}
