use super::*;

#[test]
fn a_range_of_users_is_never_the_machines_root() {
    let range = UserRange::new(100_000, 65_536).unwrap();
    assert_eq!(UserRange::from_bytes(&range.to_bytes()), Some(range));
    for (first, count) in [
        (0, 1),
        (1, 0),
        (u32::MAX, 1),
        (u32::MAX - 1, 1),
        (2, u32::MAX),
    ] {
        assert_eq!(UserRange::new(first, count), None);
    }
    assert_eq!(UserRange::from_bytes(&[1; 7]), None);
}

#[test]
fn crosses_to_the_shim_and_back() {
    let all = Namespaces {
        pids: true,
        ipc: true,
        names: true,
        machine_shm: true,
        outer_pids: true,
        outer_ipc: true,
        shm_bytes: Some(64 << 20),
        hostname: Some("box".into()),
    };
    let some = Namespaces {
        ipc: true,
        ..Namespaces::default()
    };
    for namespaces in [all, some, Namespaces::default()] {
        let bytes = namespaces.to_bytes();
        assert_eq!(Namespaces::from_bytes(&bytes), Some(namespaces));
    }
}

#[test]
fn what_this_shim_does_not_know_is_refused() {
    let mut bytes = Namespaces::default().to_bytes();
    bytes[0] = 64;
    assert_eq!(Namespaces::from_bytes(&bytes), None);
    assert_eq!(Namespaces::from_bytes(&[]), None);
    assert_eq!(Namespaces::from_bytes(&[1, 0, 0]), None);
}
