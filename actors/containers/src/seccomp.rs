//! Owns which system calls a command may make, as programs for the kernel's filter (Mesos: the isolator `linux/seccomp`).
//! They are compiled here, in the agent, so that the shim only hands bytes on.

mod profile;
mod profiles;
mod table;

pub use profile::{MAX_PROFILE_BYTES, Profile};
pub use profiles::Profiles;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// The name of the profile that is built in.
pub const DEFAULT_PROFILE: &str = "default";

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RAWIO: u32 = 17;

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID` and `NEWNET` together.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// `AF_VSOCK`: it reaches the host of a virtual machine past every network.
const VSOCK: u64 = 40;
/// Of `personality`: Linux, with short inode numbers, with old `uname`, with both, and the question what it is.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The default profile for a command that can ever have these capabilities, as bits by Linux' numbers: the filters, which
/// must all agree. A call that is in none fails with `EPERM`; `clone3` with `ENOSYS`, since its flags cannot be looked
/// at and programs then use `clone`. Programs of another architecture, 32-bit ones included, are killed.
///
/// Errors: this agent was built for an architecture that filters are not known for.
pub fn default_profile(capabilities: u64) -> Result<Vec<Vec<u8>>, String> {
    let may = |capability: u32| capabilities & (1 << capability) != 0;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut allow = |calls: &[libc::c_long]| {
        // No rule stands for any arguments.
        rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    };
    allow(table::ALWAYS);
    allow(table::OF_OLD);
    for (capability, calls) in table::WITH_CAPABILITY {
        if may(*capability) {
            allow(calls);
        }
    }
    if may(CAP_SYS_RAWIO) {
        allow(table::WITH_RAW_IO);
    }
    // Let through here, and refused by the second filter.
    allow(&[libc::SYS_clone3]);
    if may(CAP_SYS_ADMIN) {
        allow(&[libc::SYS_clone]);
    } else {
        let no_namespace = rule(SeccompCmpOp::MaskedEq(NEW_NAMESPACES), 0)?;
        rules.insert(libc::SYS_clone, vec![no_namespace]);
    }
    let other = rule(SeccompCmpOp::Ne, VSOCK)?;
    rules.insert(libc::SYS_socket, vec![other]);
    let known = PERSONALITIES.iter();
    let known: Result<_, _> = known.map(|it| rule(SeccompCmpOp::Eq, *it)).collect();
    rules.insert(libc::SYS_personality, known?);

    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let mut filters = vec![compile(rules, refuse, SeccompAction::Allow)?];
    if !may(CAP_SYS_ADMIN) {
        let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        filters.push(compile(rules, SeccompAction::Allow, unknown)?);
    }
    Ok(filters)
}

/// The first argument compared with a number.
fn rule(operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    rule.map_err(|error| error.to_string())
}

/// Refuses calls of the x32 interface, whose numbers no rule has: with a profile that allows what it does not name they
/// would get past it. `None` where there is no such interface.
fn native_only() -> Option<Vec<u8>> {
    /// `__X32_SYSCALL_BIT`
    const X32: u32 = 0x4000_0000;
    if std::env::consts::ARCH != "x86_64" {
        return None;
    }
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| seccompiler::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let program = [
        // The number of the call.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    Some(bytes(&program))
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<Vec<u8>, String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH);
    let architecture = architecture.map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture);
    let program: Result<BpfProgram, _> = filter.map_err(|error| error.to_string())?.try_into();
    let program = program.map_err(|error| error.to_string())?;
    Ok(bytes(&program))
}

fn bytes(program: &[seccompiler::sock_filter]) -> Vec<u8> {
    let instructions = program.iter();
    instructions
        .flat_map(|it| {
            let [low, high] = it.code.to_ne_bytes();
            let [a, b, c, d] = it.k.to_ne_bytes();
            [low, high, it.jt, it.jf, a, b, c, d]
        })
        .collect()
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
