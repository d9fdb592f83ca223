//! The values of fields that are more than a text or a number. What is not of the right form is `None`.

use super::wire::{is_plain_name, os, path};
use super::{
    Capabilities, Credentials, Mount, Rlimit, RlimitKind, Root, SecretFile, ShownCgroup, View,
};
use crate::process::ProcessId;

/// Instructions have 8 bytes, and the kernel takes 4096 of them (`BPF_MAXINSNS`).
pub(super) fn is_filter(value: &[u8]) -> bool {
    !value.is_empty() && value.len().is_multiple_of(8) && value.len() / 8 <= 4096
}

pub(super) fn credentials(value: &[u8]) -> Option<Credentials> {
    let (numbers, rest) = value.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut numbers = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes));
    Some(Credentials {
        uid: numbers.next()?,
        gid: numbers.next()?,
        groups: numbers.collect(),
    })
}

pub(super) fn rlimit(value: &[u8]) -> Option<Rlimit> {
    let (&kind, numbers) = value.split_first()?;
    let ([soft, hard], []) = numbers.as_chunks::<8>() else {
        return None;
    };
    let finite =
        |bytes: &[u8; 8]| Some(u64::from_le_bytes(*bytes)).filter(|&limit| limit != u64::MAX);
    let kind = *RlimitKind::ALL.get(usize::from(kind))?;
    Some(Rlimit {
        kind,
        soft: finite(soft),
        hard: finite(hard),
    })
}

pub(super) fn capabilities(value: &[u8]) -> Option<Capabilities> {
    let (sets, rest) = value.as_chunks::<8>();
    let (bounding, effective) = match sets {
        [bounding] => (bounding, None),
        [bounding, effective] => (bounding, Some(u64::from_le_bytes(*effective))),
        _ => return None,
    };
    rest.is_empty().then_some(Capabilities {
        bounding: u64::from_le_bytes(*bounding),
        effective,
    })
}

pub(super) fn mount(value: &[u8]) -> Option<Mount> {
    let (&flags, paths) = value.split_first()?;
    let mut texts = paths.split(|&byte| byte == 0);
    let (source, target, overlay) = (texts.next()?, texts.next()?, texts.next()?);
    let is_whole = !source.is_empty() && !target.is_empty() && texts.next().is_none();
    (is_whole && flags <= 15).then(|| Mount {
        source: path(source),
        target: path(target),
        read_only: flags & 1 != 0,
        no_links: flags & 2 != 0,
        propagates: flags & 4 != 0,
        keeps_owners: flags & 8 != 0,
        overlay: Some(os(overlay)).filter(|options| !options.is_empty()),
    })
}

pub(super) fn secret(value: &[u8]) -> Option<SecretFile> {
    let (&flags, rest) = value.split_first()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let (target, data) = (rest.get(..end)?, rest.get(end + 1..)?);
    (flags <= 1 && !target.is_empty()).then(|| SecretFile {
        target: path(target),
        read_only: flags == 1,
        data: data.to_vec(),
    })
}

pub(super) fn root(value: &[u8]) -> Option<Root> {
    let mut texts = value.split(|&byte| byte == 0);
    let (dir, sandbox, overlay) = (texts.next()?, texts.next()?, texts.next()?);
    let is_whole = dir.starts_with(b"/") && sandbox.starts_with(b"/") && texts.next().is_none();
    is_whole.then(|| Root {
        dir: path(dir),
        sandbox: path(sandbox),
        overlay: Some(os(overlay)).filter(|options| !options.is_empty()),
    })
}

pub(super) fn shown_cgroup(value: &[u8]) -> Option<ShownCgroup> {
    let end = value.iter().position(|&byte| byte == 0)?;
    let (dir, name) = (value.get(..end)?, os(value.get(end + 1..)?));
    let is_whole = dir.starts_with(b"/") && (name.is_empty() || is_plain_name(&name));
    is_whole.then(|| ShownCgroup {
        dir: path(dir),
        name,
    })
}

pub(super) fn view(value: &[u8]) -> Option<View> {
    let (pid, rest) = value.split_first_chunk::<4>()?;
    let (start, sandbox) = rest.split_first_chunk::<8>()?;
    sandbox.starts_with(b"/").then(|| View {
        of: ProcessId {
            pid: u32::from_le_bytes(*pid),
            start_ticks: u64::from_le_bytes(*start),
        },
        sandbox: path(sandbox),
    })
}

pub(super) fn process(value: &[u8]) -> Option<ProcessId> {
    let (pid, start_ticks) = value.split_first_chunk::<4>()?;
    Some(ProcessId {
        pid: u32::from_le_bytes(*pid),
        start_ticks: u64::from_le_bytes(start_ticks.try_into().ok()?),
    })
}
