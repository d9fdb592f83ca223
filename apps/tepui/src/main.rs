//! `tepui`: every daemon and tool in one program. Called as `tepui-master` or `tepui-agent` it is that daemon.

mod cli;
mod commands;
mod exit;
mod log;
mod output;
mod settings;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser;
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    if given
        .first()
        .is_some_and(|name| name == tepui_agent::sentinel::NAME)
    {
        return match tepui_agent::sentinel::watch(given.into_iter().skip(1).collect()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::note(&format!("{error:#}"));
                ExitCode::from(exit::USAGE)
            }
        };
    }
    let given = arguments(given);
    let given = match settings::legacy::translate(given, std::env::vars_os()) {
        Ok(translated) => {
            for note in translated.notes {
                eprintln!("tepui: {note}");
            }
            translated.arguments
        }
        Err(refused) => {
            eprintln!("tepui: {refused}; --help tells more");
            return ExitCode::from(exit::USAGE);
        }
    };
    let cli = match Cli::try_parse_from(given) {
        Ok(cli) => cli,
        Err(error) if is_help(&error) => error.exit(),
        Err(error) => {
            eprintln!("tepui: {}", usage(&error.to_string()));
            return ExitCode::from(exit::USAGE);
        }
    };
    match perform(cli.command) {
        Ok(code) => code,
        Err(error) => {
            output::note(&format!("{error:#}"));
            ExitCode::from(exit::status(&error))
        }
    }
}

/// Help that was asked for, or that a command without its subcommand gets.
fn is_help(error: &clap::Error) -> bool {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    matches!(
        error.kind(),
        DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion
    )
}

/// One line of what clap says in several: the problem is its first paragraph, tips come below.
fn usage(text: &str) -> String {
    let lines = || text.lines().map(str::trim);
    let problem: Vec<&str> = lines().take_while(|line| !line.is_empty()).collect();
    let mut line = problem.join(" ").trim_start_matches("error: ").to_string();
    for tip in lines().filter_map(|line| line.strip_prefix("tip: ")) {
        line.push_str("; ");
        line.push_str(tip);
    }
    line + "; --help tells more"
}

/// `tepui-master --port 5050` is `tepui master --port 5050`.
fn arguments(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments
        .first()
        .and_then(|path| Path::new(path).file_name())
        .and_then(|name| name.to_str());
    let daemon = match name {
        Some("tepui-master") => "master",
        Some("tepui-agent") => "agent",
        _ => return arguments,
    };
    arguments.insert(1, daemon.into());
    arguments
}

fn perform(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Master(args) => {
            let mut settings = settings::master(&args)?;
            let log = log::start(&settings.work_dir, "tepui-master")?;
            (settings.log_file, settings.verbosity) = (Some(log.file), log.verbosity);
            tepui_master::run(settings, web_admin)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Agent(args) => {
            let mut settings = settings::agent(&args)?;
            let log = log::start(&settings.work_dir, "tepui-agent")?;
            (settings.log_file, settings.verbosity) = (Some(log.file), log.verbosity);
            tepui_agent::run(settings)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Dev(args) => on_tokio(commands::dev::run(args)),
        Command::Run(args) => on_tokio(commands::run::run(args)),
        Command::Exec(args) => on_tokio(commands::exec::exec(args)),
        Command::Logs(args) => on_tokio(commands::logs::logs(args)),
        Command::Ps(args) => on_tokio(commands::lists::tasks(args)),
        Command::Agents(args) => on_tokio(commands::lists::agents(args)),
        Command::Frameworks(args) => on_tokio(commands::lists::frameworks(args)),
        Command::Offers(args) => on_tokio(commands::lists::offers(args)),
        Command::Allocator(args) => on_tokio(commands::allocator::allocator(args)),
        Command::Drain(args) => on_tokio(commands::agents::drain(args)),
        Command::Deactivate(args) => on_tokio(commands::agents::deactivate(args)),
        Command::Reactivate(args) => on_tokio(commands::agents::reactivate(args)),
        Command::Gone(args) => on_tokio(commands::agents::gone(args)),
        Command::Quota(args) => on_tokio(commands::quota::quota(args)),
        Command::Weights(args) => on_tokio(commands::weights::weights(args)),
        Command::Maintenance(args) => on_tokio(commands::maintenance::maintenance(args)),
        Command::Teardown(args) => on_tokio(commands::teardown::teardown(args)),
        Command::Why(args) => on_tokio(commands::why::why(args)),
        Command::Cluster(command) => on_tokio(commands::cluster::run(command)),
        Command::Demo(args) => on_tokio(commands::demo::run(args)),
        Command::DemoExecutor => on_tokio(commands::demo_executor::run()),
    }
}

/// The web admin, mounted on the master's own HTTP server.
fn web_admin(master: tepui_master::Readable) -> tepui_master::http::Mount {
    let state = tepui_admin::AdminState::new(tepui_admin::Sources {
        directory: master.directory,
        view: master.view,
        changes: master.changes,
        agents_mailboxes: master.agents_mailboxes,
        leads: master.leads,
        client: tepui_client::Client::default(),
        cluster: master.cluster,
        version: env!("CARGO_PKG_VERSION").to_string(),
    });
    std::sync::Arc::new(move |config| tepui_admin::configure(config, state.clone()))
}

fn on_tokio(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
