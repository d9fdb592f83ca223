use super::*;

/// Runs a filter as the kernel does: what it answers to a call with a first argument.
pub(super) fn answer(filter: &[u8], call: i64, argument: u64) -> u32 {
    const X86_64: u32 = 0xc000_003e;
    const AARCH64: u32 = 0xc000_00b7;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => X86_64,
        _ => AARCH64,
    };
    let mut data = [0; 64];
    data[..4].copy_from_slice(&u32::try_from(call).unwrap().to_ne_bytes());
    data[4..8].copy_from_slice(&architecture.to_ne_bytes());
    data[16..24].copy_from_slice(&argument.to_ne_bytes());
    let (instructions, rest) = filter.as_chunks::<8>();
    assert!(rest.is_empty() && instructions.len() <= 4096);
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let [c0, c1, jt, jf, k @ ..] = instructions[at];
        let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes(k));
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            0x20 => {
                let from = k as usize;
                accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
            }
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x54 => accumulator &= k,
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

pub(super) const ALLOWED: u32 = 0x7fff_0000;
pub(super) const ERRNO: u32 = 0x0005_0000;

/// As the kernel: the strictest of all, the errors before what is allowed.
fn outcome(capabilities: u64, call: i64, argument: u64) -> u32 {
    let filters = default_profile(capabilities).unwrap();
    let answers = filters.iter().map(|it| answer(it, call, argument));
    answers.min().unwrap()
}

#[test]
fn everyday_calls_are_allowed() {
    for call in [
        libc::SYS_read,
        libc::SYS_execve,
        libc::SYS_openat,
        libc::SYS_wait4,
    ] {
        assert_eq!(outcome(0, call, 0), ALLOWED);
    }
}

#[test]
fn what_can_change_the_machine_is_refused() {
    let refused = ERRNO | libc::EPERM.cast_unsigned();
    for call in [
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_keyctl,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_io_uring_setup,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_pivot_root,
        libc::SYS_userfaultfd,
        libc::SYS_open_by_handle_at,
        libc::SYS_settimeofday,
    ] {
        assert_eq!(outcome(0, call, 0), refused, "{call}");
    }
}

#[test]
fn a_capability_brings_its_calls() {
    let admin = 1 << CAP_SYS_ADMIN;
    for call in [libc::SYS_mount, libc::SYS_unshare, libc::SYS_clone3] {
        assert_eq!(outcome(admin, call, 0), ALLOWED);
    }
    assert_eq!(outcome(1 << 18, libc::SYS_chroot, 0), ALLOWED);
    // No capability opens what nobody needs.
    assert_eq!(
        outcome(u64::MAX, libc::SYS_kexec_load, 0),
        ERRNO | libc::EPERM.cast_unsigned()
    );
}

#[test]
fn arguments_are_looked_at() {
    let refused = ERRNO | libc::EPERM.cast_unsigned();
    let thread = u64::try_from(libc::CLONE_VM | libc::CLONE_THREAD).unwrap();
    assert_eq!(outcome(0, libc::SYS_clone, thread), ALLOWED);
    for namespace in [0x0002_0000, 0x1000_0000, 0x4000_0000] {
        assert_eq!(outcome(0, libc::SYS_clone, thread | namespace), refused);
    }
    assert_eq!(
        outcome(0, libc::SYS_clone3, 0),
        ERRNO | libc::ENOSYS.cast_unsigned()
    );
    assert_eq!(outcome(0, libc::SYS_socket, 2), ALLOWED);
    assert_eq!(outcome(0, libc::SYS_socket, VSOCK), refused);
    assert_eq!(outcome(0, libc::SYS_personality, 0x2_0000), ALLOWED);
    assert_eq!(outcome(0, libc::SYS_personality, 0x4_0000), refused);
}
