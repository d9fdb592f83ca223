use std::path::Path;

use clap::CommandFactory;

use super::*;

fn reference() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(here.join("../../docs/reference.md")).unwrap()
}

#[test]
fn the_words_do_not_contradict_each_other() {
    Cli::command().debug_assert();
}

#[test]
fn each_command_is_in_the_reference() {
    let reference = reference();
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands {
        let name = command.get_name();
        assert!(
            reference.contains(&format!("tepui {name}")),
            "docs/reference.md tells of tepui {name}"
        );
        for below in command.get_subcommands() {
            let below = below.get_name();
            let words = [format!("tepui {name} {below}"), format!("| `{below}")];
            assert!(
                words.iter().any(|it| reference.contains(it)),
                "docs/reference.md tells of tepui {name} {below}"
            );
        }
    }
}

#[test]
fn each_flag_has_words_and_operators_flags_are_in_the_reference() {
    let reference = reference();
    let operators = ["drain", "gone", "quota", "maintenance", "teardown"];
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands {
        let with_those_below = std::iter::once(command).chain(command.get_subcommands());
        for flag in with_those_below.flat_map(clap::Command::get_arguments) {
            let name = flag.get_long().unwrap_or_else(|| flag.get_id().as_str());
            assert!(flag.get_help().is_some(), "{}: {name}", command.get_name());
            let is_operators = operators.contains(&command.get_name());
            if is_operators && flag.get_long().is_some() {
                assert!(
                    reference.contains(&format!("--{name}")),
                    "docs/reference.md tells of --{name}"
                );
            }
        }
    }
}

#[test]
fn where_the_master_is_may_be_said_before_and_behind() {
    for words in [
        ["tepui", "quota", "--master", "m:1", "remove", "web"],
        ["tepui", "quota", "remove", "web", "--master", "m:1"],
    ] {
        match Cli::try_parse_from(words).unwrap().command {
            Command::Quota(args) => assert_eq!(args.list.target.master, ["m:1"], "{words:?}"),
            other => panic!("{other:?}"),
        }
    }
}
