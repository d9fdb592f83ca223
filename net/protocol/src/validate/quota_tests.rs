use super::*;

fn quantities(list: &[(&str, f64)]) -> BTreeMap<String, Scalar> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), Scalar { value: *value }))
        .collect()
}

fn check(role: &str, guarantees: &[(&str, f64)], limits: &[(&str, f64)]) -> String {
    let quota = QuotaConfig {
        role: role.to_owned(),
        guarantees: quantities(guarantees),
        limits: quantities(limits),
    };
    config(&quota).err().unwrap_or_default()
}

#[test]
fn roles_and_amounts() {
    assert_eq!(check("role", &[], &[]), "", "no quota at all");
    assert_eq!(check("*", &[], &[]), "");
    assert_eq!(
        check("", &[], &[]),
        "Invalid 'QuotaConfig.role': Role names cannot be the empty string"
    );
    let largest = [
        ("disk", MAX_MEGABYTES),
        ("mem", MAX_MEGABYTES),
        ("cpus", MAX_OTHER),
        ("ports", MAX_OTHER),
        ("foobars", MAX_OTHER),
    ];
    assert_eq!(check("role", &largest, &largest), "");
    for (name, most) in largest {
        let above = [(name, most + 1.0)];
        let words = if most == MAX_OTHER {
            "1 trillion (1000000000000)"
        } else {
            "1 exabyte (1099511627776)"
        };
        let reason = format!(
            "{{'{name}': {}}} is invalid: values greater than {words} are not supported",
            most + 1.0
        );
        assert_eq!(
            check("role", &[], &above),
            format!("Invalid 'QuotaConfig.limits': {reason}")
        );
        assert_eq!(
            check("role", &above, &[]),
            format!("Invalid 'QuotaConfig.guarantees': {reason}")
        );
    }
    assert_eq!(
        check("role", &[("cpus", -1.0)], &[]),
        "Invalid guarantee configuration {'cpus': -1}: Negative values not supported"
    );
    assert_eq!(
        check("role", &[], &[("cpus", f64::NAN)]),
        "Invalid limit configuration {'cpus': NaN}: NaN not supported"
    );
}

#[test]
fn a_guarantee_is_within_the_limit_of_its_resource() {
    let (more, less) = (
        [("cpus", 20.0), ("mem", 40.0)],
        [("cpus", 10.0), ("mem", 20.0)],
    );
    assert_eq!(
        check("role", &more, &less),
        "'QuotaConfig.guarantees' { cpus: 20, mem: 40 } is not contained within the 'QuotaConfig.limits' { cpus: 10, mem: 20 }"
    );
    let one_less = [("cpus", 20.0), ("mem", 20.0)];
    assert_eq!(
        check("role", &more, &one_less),
        "'QuotaConfig.guarantees' { cpus: 20, mem: 40 } is not contained within the 'QuotaConfig.limits' { cpus: 20, mem: 20 }"
    );
    assert_eq!(check("role", &less, &less), "");
    assert_eq!(check("role", &less, &more), "");
    let names = |list: &[&'static str]| -> Vec<(&str, f64)> {
        list.iter().map(|name| (*name, 1.0)).collect()
    };
    let cases: [(&[&str], &[&str]); 7] = [
        (&[], &[]),
        (&[], &["cpus"]),
        (&["cpus", "mem"], &["cpus", "mem"]),
        (&["cpus", "mem"], &["cpus", "mem", "disk"]),
        (&["cpus", "mem", "disk"], &["cpus", "mem"]),
        (&["cpus", "disk"], &["cpus", "mem"]),
        (&["gpus", "disk"], &["cpus", "mem"]),
    ];
    for (guaranteed, limited) in cases {
        let (guarantees, limits) = (names(guaranteed), names(limited));
        assert_eq!(
            check("role", &guarantees, &limits),
            "",
            "{guaranteed:?} {limited:?}"
        );
    }
    let disk = [("cpus", 10.0), ("mem", 20.0), ("disk", 10.0)];
    let gpus = [("cpus", 10.0), ("mem", 20.0), ("gpus", 1.0)];
    assert_eq!(
        check("role", &disk, &gpus),
        "",
        "no limit on disk, none guaranteed of gpus"
    );
}
