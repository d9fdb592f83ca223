//! Owns profiles of system calls as operators write them: Docker's JSON (Mesos: `src/linux/seccomp/seccomp_parser.cpp`).
//! What a profile says of another architecture than this machine's is checked and left out.

use super::{compile, native_only};
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use syscalls::{Sysno, aarch64, arm, mips, mips64, powerpc64, riscv64, s390x, x86, x86_64};

/// The largest profile that is read; Docker's own has 13 kilobytes.
pub const MAX_PROFILE_BYTES: u64 = 1 << 20;
/// Names of calls in one profile, each of which may stand in several rules.
const MAX_NAMES: usize = 16_384;

/// Calls of ARM's kernel beyond its table, and one that never became a call: Docker's profile names them.
const OF_ARM: [&str; 6] = [
    "breakpoint",
    "cacheflush",
    "set_tls",
    "usr26",
    "usr32",
    "arm_sync_file_range",
];

/// By Linux' numbers.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Names of architectures in `archMap`, after `SCMP_ARCH_`.
const ARCHITECTURES: [&str; 18] = [
    "X86",
    "X86_64",
    "X32",
    "ARM",
    "AARCH64",
    "MIPS",
    "MIPSEL",
    "MIPS64",
    "MIPSEL64",
    "MIPS64N32",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "RISCV64",
    "S390",
    "S390X",
    "LOONGARCH64",
];

/// The same in conditions: how Go calls them.
const GO_ARCHITECTURES: [&str; 18] = [
    "x86",
    "amd64",
    "x32",
    "arm",
    "arm64",
    "mips",
    "mipsel",
    "mips64",
    "mipsel64",
    "mips64n32",
    "mipsel64n32",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "loong64",
];

/// A profile that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    default: Action,
    rules: Vec<Rule>,
}

/// What becomes of a call. `ENOSYS` and the like are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    KillProcess,
    KillThread,
    Trap,
    Error(u32),
    Trace,
    Log,
    Allow,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Numbers of this architecture.
    calls: Vec<i64>,
    action: Action,
    args: Vec<Argument>,
    /// All of these, and none of those, as bits.
    with: u64,
    without: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Argument {
    index: u8,
    operator: Operator,
    value: u64,
    value_two: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Ne,
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    MaskedEq,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileFile {
    default_action: String,
    default_errno_ret: Option<u32>,
    arch_map: Vec<ArchitectureFile>,
    syscalls: Vec<RuleFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchitectureFile {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleFile {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<ArgumentFile>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    includes: Option<FilterFile>,
    excludes: Option<FilterFile>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FilterFile {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArgumentFile {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

impl Profile {
    /// Reads Docker's JSON. What newer versions of it leave out where it is empty may be left out here too; what is not
    /// known is refused, since it might forbid something.
    ///
    /// Errors: what is wrong and where, in one line.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let file: ProfileFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        for it in &file.arch_map {
            let below = it.sub_architectures.iter().flatten();
            for name in std::iter::once(&it.architecture).chain(below) {
                let known = name.strip_prefix("SCMP_ARCH_");
                if !known.is_some_and(|known| ARCHITECTURES.contains(&known)) {
                    return Err(format!("Unknown architecture: '{name}'"));
                }
            }
        }
        let names: usize = file.syscalls.iter().map(|rule| rule.names.len()).sum();
        if names > MAX_NAMES {
            return Err(format!(
                "it has {names} names of system calls; the most are {MAX_NAMES}"
            ));
        }
        let kernel = kernel();
        let rules = file.syscalls.iter().map(|rule| Rule::read(rule, kernel));
        let rules = rules.filter_map(Result::transpose);
        let profile = Self {
            default: Action::read(&file.default_action, file.default_errno_ret)?,
            rules: rules.collect::<Result<_, _>>()?,
        };
        // Whatever cannot be compiled is told of when the agent starts, for most and for least capabilities.
        profile.filters(u64::MAX)?;
        profile.filters(0)?;
        Ok(profile)
    }

    /// The filters, which must all agree, for a command that can ever have these capabilities, as bits by Linux' numbers.
    /// Where several rules match one call the strictest decides. Programs of another architecture are killed, whatever
    /// `archMap` says.
    ///
    /// Errors: more rules than the kernel takes.
    pub fn filters(&self, capabilities: u64) -> Result<Vec<Vec<u8>>, String> {
        let rules = self.rules.iter().filter(|rule| rule.holds(capabilities));
        let mut named = BTreeMap::new();
        let mut by_action: BTreeMap<Action, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        // Also those that say what becomes of others: they take a part away from what another rule allows.
        for rule in rules {
            for call in &rule.calls {
                rule.add(*call, &mut named)?;
                rule.add(*call, by_action.entry(rule.action).or_default())?;
            }
        }
        by_action.remove(&Action::Allow);
        let mut filters: Vec<Vec<u8>> = native_only().into_iter().collect();
        // It lets through what a rule is about; the others then say what becomes of it.
        if self.default != Action::Allow {
            filters.push(compile(named, self.default.into(), SeccompAction::Allow)?);
        }
        for (action, rules) in by_action {
            filters.push(compile(rules, SeccompAction::Allow, action.into())?);
        }
        Ok(filters)
    }
}

impl Rule {
    /// `None`: it is about other machines.
    fn read(file: &RuleFile, kernel: (u32, u32)) -> Result<Option<Self>, String> {
        if file.names.is_empty() {
            return Err("Syscall 'names' list is empty".to_owned());
        }
        let empty = FilterFile::default();
        let includes = file.includes.as_ref().unwrap_or(&empty);
        let excludes = file.excludes.as_ref().unwrap_or(&empty);
        let args = file.args.iter().flatten();
        let mut compared = BTreeSet::new();
        if let Some(again) = args.clone().find(|it| !compared.insert(it.index)) {
            return Err(format!(
                "'args' compares the argument {} twice; expected one comparison of each: several are several rules",
                again.index
            ));
        }
        let args = args.map(Argument::read);
        let numbers = file.names.iter().map(|name| number(name));
        let numbers = numbers.filter_map(Result::transpose);
        let rule = Self {
            calls: numbers.collect::<Result<_, _>>()?,
            action: Action::read(&file.action, file.errno_ret)?,
            args: args.collect::<Result<_, _>>()?,
            with: capabilities(includes)?,
            without: capabilities(excludes)?,
        };
        let included =
            arches(includes)? != Some(false) && new_enough(includes, kernel)? != Some(false);
        let excluded =
            arches(excludes)? == Some(true) || new_enough(excludes, kernel)? == Some(true);
        Ok((included && !excluded).then_some(rule))
    }

    fn holds(&self, capabilities: u64) -> bool {
        capabilities & self.with == self.with && capabilities & self.without == 0
    }

    fn add(&self, call: i64, to: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), String> {
        let conditions = self.args.iter().map(|it| it.condition());
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        if conditions.is_empty() {
            // No rule stands for any arguments.
            to.insert(call, Vec::new());
            return Ok(());
        }
        let rule = SeccompRule::new(conditions).map_err(|error| error.to_string())?;
        match to.entry(call) {
            std::collections::btree_map::Entry::Vacant(it) => {
                it.insert(vec![rule]);
            }
            // Any arguments already.
            std::collections::btree_map::Entry::Occupied(it) if it.get().is_empty() => {}
            std::collections::btree_map::Entry::Occupied(mut it) => it.get_mut().push(rule),
        }
        Ok(())
    }
}

impl Argument {
    fn read(file: &ArgumentFile) -> Result<Self, String> {
        let operator = match file.op.as_str() {
            "SCMP_CMP_NE" => Operator::Ne,
            "SCMP_CMP_LT" => Operator::Lt,
            "SCMP_CMP_LE" => Operator::Le,
            "SCMP_CMP_EQ" => Operator::Eq,
            "SCMP_CMP_GE" => Operator::Ge,
            "SCMP_CMP_GT" => Operator::Gt,
            "SCMP_CMP_MASKED_EQ" => Operator::MaskedEq,
            unknown => return Err(format!("Unknown operator: '{unknown}'")),
        };
        let argument = Self {
            index: file.index,
            operator,
            value: file.value,
            value_two: file.value_two,
        };
        argument.condition().map(|_| argument)
    }

    fn condition(self) -> Result<SeccompCondition, String> {
        let (operator, value) = match self.operator {
            Operator::Ne => (SeccompCmpOp::Ne, self.value),
            Operator::Lt => (SeccompCmpOp::Lt, self.value),
            Operator::Le => (SeccompCmpOp::Le, self.value),
            Operator::Eq => (SeccompCmpOp::Eq, self.value),
            Operator::Ge => (SeccompCmpOp::Ge, self.value),
            Operator::Gt => (SeccompCmpOp::Gt, self.value),
            // As in libseccomp the first is the mask.
            Operator::MaskedEq => (SeccompCmpOp::MaskedEq(self.value), self.value_two),
        };
        SeccompCondition::new(self.index, SeccompCmpArgLen::Qword, operator, value)
            .map_err(|error| error.to_string())
    }
}

impl Action {
    fn read(name: &str, errno: Option<u32>) -> Result<Self, String> {
        let action = match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KillThread,
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Error(errno.unwrap_or(libc::EPERM.cast_unsigned())),
            "SCMP_ACT_TRACE" => Self::Trace,
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            unknown => return Err(format!("Unknown syscall action: '{unknown}'")),
        };
        // `MAX_ERRNO` of the kernel's.
        match errno {
            Some(number) if number > 4095 => Err(format!("{number} is the number of no error")),
            _ => Ok(action),
        }
    }
}

impl From<Action> for SeccompAction {
    fn from(action: Action) -> Self {
        match action {
            Action::KillProcess => Self::KillProcess,
            Action::KillThread => Self::KillThread,
            Action::Trap => Self::Trap,
            Action::Error(number) => Self::Errno(number),
            Action::Trace => Self::Trace(0),
            Action::Log => Self::Log,
            Action::Allow => Self::Allow,
        }
    }
}

/// `None`: a call of other architectures.
fn number(name: &str) -> Result<Option<i64>, String> {
    if let Ok(call) = Sysno::from_str(name) {
        return Ok(Some(i64::from(call.id())));
    }
    let elsewhere = x86::Sysno::from_str(name).is_ok()
        || x86_64::Sysno::from_str(name).is_ok()
        || arm::Sysno::from_str(name).is_ok()
        || aarch64::Sysno::from_str(name).is_ok()
        || s390x::Sysno::from_str(name).is_ok()
        || mips::Sysno::from_str(name).is_ok()
        || mips64::Sysno::from_str(name).is_ok()
        || powerpc64::Sysno::from_str(name).is_ok()
        || riscv64::Sysno::from_str(name).is_ok()
        || OF_ARM.contains(&name);
    match elsewhere {
        true => Ok(None),
        false => Err(format!("Unrecognized syscall '{name}'")),
    }
}

fn capabilities(filter: &FilterFile) -> Result<u64, String> {
    let names = filter.caps.iter().flatten();
    names.into_iter().try_fold(0, |bits, name| {
        let known = name.strip_prefix("CAP_");
        let known = known.and_then(|known| CAPABILITIES.iter().position(|it| *it == known));
        let number = known.ok_or_else(|| format!("Unknown capability: '{name}'"))?;
        Ok(bits | 1 << number)
    })
}

/// Whether this machine's is among them; `None` if there are none.
fn arches(filter: &FilterFile) -> Result<Option<bool>, String> {
    let Some(names) = &filter.arches else {
        return Ok(None);
    };
    let mut unknown = names.iter();
    if let Some(name) = unknown.find(|it| !GO_ARCHITECTURES.contains(&it.as_str())) {
        return Err(format!("Unknown architecture: '{name}'"));
    }
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Ok(Some(names.iter().any(|name| name == own)))
}

/// Whether the kernel is as new as asked for; `None` if nothing is.
fn new_enough(filter: &FilterFile, kernel: (u32, u32)) -> Result<Option<bool>, String> {
    let Some(text) = &filter.min_kernel else {
        return Ok(None);
    };
    let wanted = version(text)
        .ok_or_else(|| format!("'minKernel' is '{text}'; expected a version such as '4.8'"))?;
    Ok(Some(kernel >= wanted))
}

fn kernel() -> (u32, u32) {
    let names = rustix::system::uname();
    let release = names.release().to_string_lossy();
    version(&release).unwrap_or_default()
}

/// Major and minor of `6.1.0-13-amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|it: char| !it.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
