use super::*;

fn dns() -> Dns {
    Dns {
        nameservers: vec!["192.0.2.1".into(), "192.0.2.2".into()],
        domain: Some("example.org".into()),
        search: vec!["a.example.org".into(), "b.example.org".into()],
        options: vec!["ndots:2".into(), "rotate".into()],
    }
}

#[test]
fn a_resolver_s_configuration_has_what_is_known() {
    assert_eq!(Dns::default().resolver_config(), "");
    let only = Dns {
        nameservers: vec!["192.0.2.1".into()],
        ..Dns::default()
    };
    assert_eq!(only.resolver_config(), "nameserver 192.0.2.1\n");
    assert_eq!(
        dns().resolver_config(),
        "domain example.org\nsearch a.example.org b.example.org\noptions ndots:2 rotate\n\
         nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
    );
}

#[test]
fn networks_add_up_and_the_last_domain_counts() {
    let mut all = dns();
    all.merge(Dns {
        nameservers: vec!["192.0.2.3".into()],
        domain: Some("last".into()),
        ..Dns::default()
    });
    assert_eq!(all.nameservers.len(), 3);
    assert_eq!(all.domain.as_deref(), Some("last"));
    all.merge(Dns::default());
    assert_eq!(all.domain.as_deref(), Some("last"));
}

#[test]
fn a_container_finds_itself_by_its_name() {
    let addresses = ["10.1.2.3".parse().unwrap(), "10.2.2.3".parse().unwrap()];
    let made = texts("c1", &addresses, &Dns::default());
    assert_eq!(
        made,
        [
            ("hosts", "127.0.0.1 localhost\n10.1.2.3 c1\n".to_owned()),
            ("hostname", "c1\n".to_owned())
        ]
    );
    let made = texts("c1", &["fd00::2".parse().unwrap()], &dns());
    assert!(made[0].1.contains("::1 localhost\nfd00::2 c1\n"));
    assert_eq!(made[2].0, "resolv.conf");
}

#[test]
fn a_name_is_as_long_as_the_kernel_takes_it() {
    assert_eq!(hostname(&"x".repeat(70)).len(), 64);
    assert_eq!(hostname(&"é".repeat(40)).len(), 64);
    assert_eq!(hostname(&format!("x{}", "é".repeat(40))).len(), 63);
}
