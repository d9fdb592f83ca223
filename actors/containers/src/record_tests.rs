use super::*;
use proptest::prelude::*;

const SHIM: ProcessId = ProcessId {
    pid: 10,
    start_ticks: 100,
};
const CHILD: ProcessId = ProcessId {
    pid: 11,
    start_ticks: 101,
};

fn lines() -> Vec<Line> {
    vec![
        Line::Shim {
            boot_id: "b00t".into(),
            shim: SHIM,
        },
        Line::Started(CHILD),
        Line::Failed(LaunchFailure {
            stage: Stage::Exec,
            errno: 2,
        }),
        Line::Forsaken,
        Line::Exited(9),
        Line::Cancelled,
    ]
}

#[test]
fn every_line_is_read_back() {
    let text: String = lines().iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        "shim 1 b00t 10 100\nstarted 11 101\nfailed 12 2\nforsaken\nexited 9\ncancelled\n"
    );
    let fate = parse(text.as_bytes()).unwrap();
    assert_eq!(fate.shim, Some(("b00t".to_owned(), SHIM)));
    assert_eq!(fate.started, Some(CHILD));
    assert_eq!(
        fate.failed,
        Some(LaunchFailure {
            stage: Stage::Exec,
            errno: 2
        })
    );
    assert_eq!(fate.exited, Some(9));
    assert!(fate.forsaken && fate.cancelled);
}

#[test]
fn a_line_counts_only_once_it_is_whole() {
    let fate = parse(b"shim 1 b00t 10 100\nstarted 11 101\nexited 25").unwrap();
    assert_eq!(fate.exited, None);
    assert_eq!(fate.started, Some(CHILD));
    assert_eq!(parse(b"").unwrap(), Fate::default());
}

#[test]
fn other_lines_are_refused() {
    for text in [
        "shim 2 b 1 1\n",
        "shim 1 b 1\n",
        "started x 1\n",
        "exited 1 2\n",
        "failed 99 1\n",
        "\n",
        "exited 99999999999\n",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn a_failure_names_its_step_and_the_kernels_reason() {
    let failure = LaunchFailure {
        stage: Stage::Exec,
        errno: 2,
    };
    assert_eq!(
        failure.to_string(),
        "the command could not be executed: No such file or directory (os error 2)"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_prefix_never_tells_what_the_whole_does_not(cut in 0usize..80) {
        let text: String = lines().iter().take(4).map(ToString::to_string).collect();
        let cut = cut.min(text.len());
        let (part, whole) = (parse(&text.as_bytes()[..cut]).unwrap(), parse(text.as_bytes()).unwrap());
        prop_assert!(part.started.is_none() || part.started == whole.started);
        prop_assert!(part.exited.is_none() || part.exited == whole.exited);
    }
}

#[test]
fn what_a_record_with_a_strange_line_names_can_be_ended() {
    let text = b"shim 1 boot 7 70\nwhat is this\nstarted 8 80\nexited";
    assert!(parse(text).is_err());
    let fate = parse_known(text);
    assert_eq!(fate.shim.unwrap().1.pid, 7);
    assert_eq!(fate.started.unwrap().pid, 8);
    assert_eq!(fate.exited, None);
}
