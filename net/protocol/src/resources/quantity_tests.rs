//! Amounts by name: plain scalars, with which minimums, guarantees and limits are reckoned.

use super::super::Resources;
use super::super::scene::parse;

#[test]
fn amounts_are_added_by_name() {
    for (left, right, sum) in [
        ("cpus:10", "", "cpus:10"),
        ("cpus:10", "cpus:0.1", "cpus:10.1"),
        ("cpus:10.1", "alphas:1", "alphas:1;cpus:10.1"),
        ("cpus:10.1", "mem:1", "cpus:10.1;mem:1"),
        (
            "alphas:1;cpus:10.1",
            "cpus:1;mem:100",
            "alphas:1;cpus:11.1;mem:100",
        ),
    ] {
        assert_eq!(parse(left) + parse(right), parse(sum), "{left} + {right}");
    }
    let all = ["", "cpus:1", "cpus:2", "memory:1", "cpus:1;memory:1"].map(parse);
    let sums = ["", "cpus:1", "cpus:3", "cpus:3;memory:1", "cpus:4;memory:2"].map(parse);
    for (upto, sum) in sums.iter().enumerate() {
        assert_eq!(all[..=upto].iter().sum::<Resources>(), *sum, "{upto}");
    }
    assert!([].iter().sum::<Resources>().is_empty());
}

#[test]
fn amounts_are_taken_by_name_down_to_nothing() {
    for (left, right, rest) in [
        ("", "cpus:1", ""),
        ("cpus:1", "", "cpus:1"),
        ("cpus:1", "cpus:0.4", "cpus:0.6"),
        ("cpus:1", "cpus:1", ""),
        ("cpus:1", "cpus:1.4", ""),
        ("cpus:1", "mem:100", "cpus:1"),
        ("cpus:1", "alphas:1", "cpus:1"),
        ("cpus:1;mem:100", "alphas:1;cpus:0.5", "cpus:0.5;mem:100"),
    ] {
        let left_over = parse(left) - parse(right);
        assert_eq!(left_over, parse(rest), "{left} - {right}");
        assert_eq!(left_over.len(), parse(rest).len(), "{left} - {right}");
    }
}

#[test]
fn amounts_contain_others_if_no_name_has_less() {
    // Whether the first holds the second, and the second the first.
    for (left, right, holds, is_held) in [
        ("", "", true, true),
        ("cpus:1", "", true, false),
        ("cpus:1;mem:1", "cpus:1;mem:1", true, true),
        ("cpus:1;mem:1;disk:1", "cpus:1;mem:1", true, false),
        ("cpus:1;mem:1", "cpus:1;disk:1", false, false),
        ("cpus:1;mem:1", "gpus:1;disk:1", false, false),
        ("cpus:2;mem:2", "cpus:2;mem:1", true, false),
    ] {
        let (left, right) = (parse(left), parse(right));
        assert_eq!(left.contains(&right), holds, "{left} and {right}");
        assert_eq!(right.contains(&left), is_held, "{left} and {right}");
    }
}
