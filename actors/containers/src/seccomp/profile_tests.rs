use super::*;
use crate::seccomp::tests::{ALLOWED, ERRNO, answer};

fn outcome(profile: &Profile, capabilities: u64, call: i64, argument: u64) -> u32 {
    let filters = profile.filters(capabilities).unwrap();
    let answers = filters.iter().map(|it| answer(it, call, argument));
    answers.min().unwrap()
}

const EPERM: u32 = ERRNO | 1;

/// The form of Mesos' and Docker's documents.
const KNOWN: &str = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "archMap": [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
  ],
  "syscalls": [
    {"names": ["accept4", "writev", "socketcall", "s390_pci_mmio_read", "set_tls"], "action": "SCMP_ACT_ALLOW", "args": [],
     "comment": "", "includes": {}, "excludes": {}},
    {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
     "args": [{"index": 0, "value": 2080505856, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
     "comment": "", "includes": {}, "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {"caps": ["CAP_SYS_ADMIN"]}, "excludes": {}},
    {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"arches": ["s390"]}, "excludes": {}},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "2.6"}},
    {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "999.0"}},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
  ]
}"#;

#[test]
fn a_profile_is_understood() {
    let profile = Profile::parse(KNOWN.as_bytes()).unwrap();
    let admin = 1 << 21;
    assert_eq!(outcome(&profile, 0, libc::SYS_accept4, 0), ALLOWED);
    assert_eq!(outcome(&profile, 0, libc::SYS_openat, 0), EPERM);
    // Without a new namespace, and not where the capability lets its holder have one anyway.
    assert_eq!(outcome(&profile, 0, libc::SYS_clone, 0x100), ALLOWED);
    assert_eq!(outcome(&profile, 0, libc::SYS_clone, 0x0002_0000), EPERM);
    assert_eq!(outcome(&profile, admin, libc::SYS_clone, 0x100), EPERM);
    assert_eq!(outcome(&profile, admin, libc::SYS_mount, 0), ALLOWED);
    assert_eq!(outcome(&profile, 0, libc::SYS_mount, 0), EPERM);
    // Of another architecture, of an old kernel and of one to come.
    assert_eq!(outcome(&profile, admin, libc::SYS_umount2, 0), EPERM);
    assert_eq!(outcome(&profile, 0, libc::SYS_ptrace, 0), ALLOWED);
    assert_eq!(outcome(&profile, 0, libc::SYS_bpf, 0), EPERM);
    assert_eq!(outcome(&profile, 0, libc::SYS_clone3, 0), ERRNO | 38);
}

#[test]
fn the_strictest_rule_decides() {
    let text = r#"{"defaultAction": "SCMP_ACT_LOG", "archMap": [], "syscalls": [
        {"names": ["uname"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["uname"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_GE"}]},
        {"names": ["getpid"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    let profile = Profile::parse(text.as_bytes()).unwrap();
    assert_eq!(outcome(&profile, 0, libc::SYS_uname, 6), ALLOWED);
    assert_eq!(outcome(&profile, 0, libc::SYS_uname, 7), EPERM);
    let killed = profile.filters(0).unwrap();
    let mut killed = killed.iter().map(|it| answer(it, libc::SYS_getpid, 0));
    assert!(killed.any(|it| it == libc::SECCOMP_RET_KILL_PROCESS));
    assert_eq!(
        outcome(&profile, 0, libc::SYS_getppid, 0),
        libc::SECCOMP_RET_LOG
    );
}

/// Left out it would allow what it forbids.
#[test]
fn a_rule_that_does_as_the_default_takes_away_from_others() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone", "getpid"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    let profile = Profile::parse(text.as_bytes()).unwrap();
    let new_user = 0x1000_0000;
    assert_eq!(outcome(&profile, 0, libc::SYS_clone, 0x11), ALLOWED);
    assert_eq!(
        outcome(&profile, 0, libc::SYS_clone, new_user | 0x11),
        EPERM
    );
    for argument in [0, new_user] {
        assert_eq!(outcome(&profile, 0, libc::SYS_getpid, argument), EPERM);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_other_interface_of_the_processor_is_no_way_around() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [], "syscalls": [
        {"names": ["uname"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let profile = Profile::parse(text.as_bytes()).unwrap();
    assert_eq!(outcome(&profile, 0, libc::SYS_uname, 0), EPERM);
    let x32 = 0x4000_0000 | libc::SYS_uname;
    assert_eq!(outcome(&profile, 0, x32, 0), ERRNO | 38);
}

#[test]
fn what_is_wrong_is_said() {
    let rule = |fields: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [{{{fields}}}]}}"#
        )
    };
    let known = r#""names": ["accept"], "action": "SCMP_ACT_ALLOW""#;
    let arg = |fields: &str| rule(&format!(r#"{known}, "args": [{{{fields}}}]"#));
    let arch = |fields: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [{{{fields}}}], "syscalls": []}}"#
        )
    };
    let many = vec!["\"accept\""; MAX_NAMES + 1].join(",");
    for (text, said) in [
        (
            r#"{"archMap": [], "syscalls": []}"#.to_owned(),
            "`defaultAction`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}"#.to_owned(),
            "`archMap`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "archMap": []}"#.to_owned(),
            "`syscalls`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_X", "archMap": [], "syscalls": []}"#.to_owned(),
            "Unknown syscall action: 'SCMP_ACT_X'",
        ),
        (
            arch(r#""architecture": "SCMP_ARCH_X""#),
            "Unknown architecture: 'SCMP_ARCH_X'",
        ),
        (
            arch(r#""architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X"]"#),
            "Unknown architecture: 'SCMP_ARCH_X'",
        ),
        (
            arch(r#""architecture": "SCMP_ARCH_X86_64", "subs": []"#),
            "`subs`",
        ),
        (rule(r#""action": "SCMP_ACT_ALLOW""#), "`names`"),
        (
            rule(r#""names": [], "action": "SCMP_ACT_ALLOW""#),
            "'names' list is empty",
        ),
        (rule(r#""names": ["accept"]"#), "`action`"),
        (rule(&format!(r#"{known}, "argz": []"#)), "`argz`"),
        (rule(&format!(r#"{known}, "include": {{}}"#)), "`include`"),
        (
            rule(&format!(r#"{known}, "includes": {{"caps": ["CAP_X"]}}"#)),
            "Unknown capability: 'CAP_X'",
        ),
        (
            rule(&format!(r#"{known}, "excludes": {{"arches": ["x"]}}"#)),
            "Unknown architecture: 'x'",
        ),
        (
            rule(&format!(r#"{known}, "includes": {{"minKernel": "new"}}"#)),
            "'minKernel' is 'new'",
        ),
        (
            rule(r#""names": ["writev!!"], "action": "SCMP_ACT_ALLOW""#),
            "Unrecognized syscall 'writev!!'",
        ),
        (
            rule(r#""names": ["accept"], "action": "SCMP_ACT_X""#),
            "Unknown syscall action: 'SCMP_ACT_X'",
        ),
        (
            rule(r#""names": ["accept"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096"#),
            "number of no error",
        ),
        (
            arg(r#""value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ""#),
            "`index`",
        ),
        (
            arg(r#""index": 0, "value": 1, "op": "SCMP_CMP_X""#),
            "Unknown operator: 'SCMP_CMP_X'",
        ),
        (
            arg(r#""index": 6, "value": 1, "op": "SCMP_CMP_EQ""#),
            "argument",
        ),
        (
            rule(&format!(
                r#"{known}, "args": [{{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}},
                   {{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}},
                   {{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}}]"#
            )),
            "compares the argument 1 twice",
        ),
        (
            rule(&format!(r#""names": [{many}], "action": "SCMP_ACT_ALLOW""#)),
            "names of system calls",
        ),
    ] {
        let refused = Profile::parse(text.as_bytes()).unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }
}
