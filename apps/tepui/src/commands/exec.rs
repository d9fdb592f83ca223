//! `tepui exec`: a command in the container of a task, with the user's own terminal or pipes; its exit status is ours.

use std::{
    io::{self, ErrorKind, Write},
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context, bail};
use tepui_client::{Events, agent::Input};
use tepui_protocol::v1::{
    CommandInfo, ContainerId, ContainerInfo, Environment, TtyInfo,
    agent::{
        Call, ProcessIo,
        call::{KillContainer, Type, WaitContainer},
        process_io::{self, Control, Data, control, data},
    },
    container_info, environment,
    tty_info::WindowSize,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{
    in_words,
    place::{self, Place},
    tasks,
    terminal::{self, Raw},
};
use crate::{cli::ExecArgs, output};

/// Something else than the command failed, as `docker exec` has it.
const FAILED: u8 = 125;
/// A command ended by signal N exits with this plus N, as shells have it.
const SIGNAL_BASE: i32 = 128;
/// Ended by SIGINT.
const INTERRUPTED: u8 = 130;

pub(crate) async fn exec(args: ExecArgs) -> anyhow::Result<ExitCode> {
    match attempt(&args).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            complain(&format!("{error:#}"));
            Ok(ExitCode::from(FAILED))
        }
    }
}

fn complain(text: &str) {
    eprintln!("tepui exec: {}", output::printable(text));
}

async fn attempt(args: &ExecArgs) -> anyhow::Result<u8> {
    let is_terminal = wants_terminal(args)?;
    let place = place::find(&args.task).await?;
    if place.has_ended {
        bail!(
            "task '{}' has ended; nothing runs in it any more",
            args.task.task
        );
    }
    let container_id = ContainerId {
        value: uuid::Uuid::new_v4().to_string(),
        parent: Some(Box::new(place.container_id.clone())),
    };
    let mut command = tasks::argv(&args.command);
    command.user.clone_from(&args.user);
    let container = is_terminal.then(|| with_terminal(&mut command));
    // Before the command begins, so that what is for it is not ours.
    let mut signals = Signals::watch()?;
    let launch = place
        .agent
        .launch_session(container_id.clone(), command, container);
    let output = tokio::select! {
        output = launch => output.map_err(in_words)?,
        _ = signals.interrupt.recv() => return Ok(INTERRUPTED),
    };
    let mut session = Session::begin(args, place, container_id, is_terminal, signals).await?;
    let ended = session.run(output).await;
    // The terminal is the user's again before anything is printed.
    session.raw = None;
    match ended? {
        Ended::Session => session.exit_code().await,
        Ended::Early(code) => Ok(code),
    }
}

/// Both ends must be terminals for the command to have one, unless it is asked for.
fn wants_terminal(args: &ExecArgs) -> anyhow::Result<bool> {
    let is_input = terminal::is_terminal(io::stdin());
    if args.tty && !is_input {
        bail!("--tty: standard input is no terminal; leave --tty away, or start this from one");
    }
    let both = is_input && terminal::is_terminal(io::stdout());
    Ok(args.tty || (both && !args.no_tty))
}

/// The session's container with a terminal like the user's.
fn with_terminal(command: &mut CommandInfo) -> ContainerInfo {
    if let Ok(term) = std::env::var("TERM") {
        let environment = command.environment.get_or_insert_with(Environment::default);
        environment.variables.push(environment::Variable {
            name: "TERM".to_owned(),
            value: Some(term),
            ..environment::Variable::default()
        });
    }
    ContainerInfo {
        r#type: container_info::Type::Mesos as i32,
        tty_info: Some(terminal_info()),
        ..ContainerInfo::default()
    }
}

fn terminal_info() -> TtyInfo {
    TtyInfo {
        window_size: terminal::size().map(|(rows, columns)| WindowSize { rows, columns }),
    }
}

enum Ended {
    /// Its output is over.
    Session,
    /// Whoever wanted it is gone, or gave it up.
    Early(u8),
}

/// A session under way.
struct Session {
    place: Place,
    container_id: ContainerId,
    input: Option<Input>,
    typed: mpsc::Receiver<Vec<u8>>,
    raw: Option<Raw>,
    is_terminal: bool,
    signals: Signals,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    resize: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            resize: signal(SignalKind::window_change())?,
        })
    }
}

impl Session {
    async fn begin(
        args: &ExecArgs,
        place: Place,
        container_id: ContainerId,
        is_terminal: bool,
        signals: Signals,
    ) -> anyhow::Result<Self> {
        let is_typed = terminal::is_terminal(io::stdin());
        let (sender, typed) = mpsc::channel(1);
        let input = place.agent.attach_input(container_id.clone()).await?;
        if is_terminal || args.interactive || !is_typed {
            terminal::read_in_background(sender);
        }
        // Else the sender is gone: the command reads an end at once.
        let raw = is_terminal.then(Raw::begin).transpose();
        Ok(Self {
            place,
            container_id,
            input: Some(input),
            typed,
            raw: raw.context("the terminal cannot be switched to raw mode")?,
            is_terminal,
            signals,
        })
    }

    async fn run(&mut self, mut output: Events<ProcessIo>) -> anyhow::Result<Ended> {
        let mut was_interrupted = false;
        let mut is_typing = true;
        loop {
            tokio::select! {
                event = output.next() => match event? {
                    None => return Ok(Ended::Session),
                    Some(message) => match show(&message) {
                        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Ended::Early(0)),
                        shown => shown.context("standard output cannot be written")?,
                    },
                },
                typed = self.typed.recv(), if is_typing => match typed {
                    Some(bytes) => self.send(stdin(bytes)).await?,
                    None => {
                        is_typing = false;
                        self.end_of_input().await?;
                    }
                },
                _ = self.signals.resize.recv(), if self.is_terminal => self.send(resized()).await?,
                _ = self.signals.interrupt.recv() => {
                    // A command that does not end by the first is left with the second.
                    if was_interrupted {
                        return Ok(Ended::Early(INTERRUPTED));
                    }
                    was_interrupted = true;
                    self.kill(2).await;
                }
                _ = self.signals.terminate.recv() => return Ok(Ended::Early(143)),
                _ = self.signals.hangup.recv() => return Ok(Ended::Early(129)),
            }
        }
    }

    async fn send(&mut self, message: ProcessIo) -> anyhow::Result<()> {
        if let Some(input) = &self.input {
            input.send(message).await?;
        }
        Ok(())
    }

    /// A terminal stays open: the user's end of input is a character there.
    async fn end_of_input(&mut self) -> anyhow::Result<()> {
        if self.is_terminal {
            return Ok(());
        }
        self.send(stdin(Vec::new())).await?;
        if let Some(input) = self.input.take() {
            // A command need not read what it is given, and its output tells the rest.
            tokio::spawn(input.finish());
        }
        Ok(())
    }

    async fn kill(&self, signal: i32) {
        let call = Call {
            r#type: Some(Type::KillContainer as i32),
            kill_container: Some(KillContainer {
                container_id: self.container_id.clone(),
                signal: Some(signal),
            }),
            ..Call::default()
        };
        // It may have ended meanwhile.
        let _ = self.place.agent.order(&call).await;
    }

    async fn exit_code(&self) -> anyhow::Result<u8> {
        let call = Call {
            r#type: Some(Type::WaitContainer as i32),
            wait_container: Some(WaitContainer {
                container_id: self.container_id.clone(),
            }),
            ..Call::default()
        };
        let answer = self.place.agent.ask(&call).await;
        let answer = answer
            .map_err(in_words)
            .context("the command's exit status is not known")?;
        let end = answer.wait_container.unwrap_or_default();
        if let Some(message) = &end.message {
            complain(message);
        }
        let status = end.exit_status.map(ExitStatus::from_raw);
        let signal = status.and_then(|status| status.signal());
        let code = signal.map(|number| SIGNAL_BASE + number);
        let code = code.or_else(|| status?.code());
        code.and_then(|code| u8::try_from(code).ok())
            .context("the command was lost: nobody saw its end")
    }
}

fn stdin(bytes: Vec<u8>) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data as i32),
        data: Some(Data {
            r#type: Some(data::Type::Stdin as i32),
            data: Some(bytes.into()),
        }),
        control: None,
    }
}

fn resized() -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Control as i32),
        data: None,
        control: Some(Control {
            r#type: Some(control::Type::TtyInfo as i32),
            tty_info: Some(terminal_info()),
            heartbeat: None,
        }),
    }
}

fn show(message: &ProcessIo) -> io::Result<()> {
    let Some(said) = &message.data else {
        return Ok(());
    };
    let bytes = said.data.as_deref().unwrap_or_default();
    if said.r#type() == data::Type::Stderr {
        return io::stderr().write_all(bytes);
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
