//! Copies a file of a sandbox here as it grows, also over the rotations that bound it.

use std::io::{self, ErrorKind, Write};

use tepui_client::{Error, agent::Agent};
use tepui_protocol::v1::agent::{
    Call,
    call::{ReadFile, Type},
};

/// Bytes of one look.
const CHUNK: u64 = 64 << 10;

/// One file, read up to some place.
pub(super) struct Growing {
    path: String,
    is_error: bool,
    offset: u64,
}

/// What is left of a file.
#[derive(PartialEq)]
enum Copied {
    All,
    /// It is shorter than it was.
    Shrunk,
}

pub(super) enum Failure {
    NobodyReads,
    Written(io::Error),
    Read(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::NobodyReads => anyhow::anyhow!("nobody reads the output"),
            Self::Written(error) => {
                anyhow::Error::new(error).context("the output cannot be written")
            }
            Self::Read(error) => super::in_words(error),
        }
    }
}

impl Growing {
    /// `path` is as the agent's files show it.
    pub(super) fn new(path: String, is_error: bool) -> Self {
        Self {
            path,
            is_error,
            offset: 0,
        }
    }

    /// Copies what is new to standard output, or to standard error if `is_error`.
    pub(super) async fn copy(&mut self, agent: &Agent) -> Result<(), Failure> {
        let path = self.path.clone();
        while self.copy_of(agent, &path).await? == Copied::Shrunk {
            // The agent bounds it: it has got another name, and a new one is in its place.
            let earlier = format!("{path}.1");
            self.copy_of(agent, &earlier).await?;
            self.offset = 0;
        }
        Ok(())
    }

    /// Copies what is new of the file at `path`.
    async fn copy_of(&mut self, agent: &Agent, path: &str) -> Result<Copied, Failure> {
        loop {
            let call = Call {
                r#type: Some(Type::ReadFile as i32),
                read_file: Some(ReadFile {
                    path: path.to_owned(),
                    offset: self.offset,
                    length: Some(CHUNK),
                }),
                ..Call::default()
            };
            let part = match agent.ask(&call).await {
                // Nothing was written yet, or the sandbox was removed.
                Err(Error::Refused { status: 404, .. }) => return Ok(Copied::All),
                answer => answer.map_err(Failure::Read)?.read_file.unwrap_or_default(),
            };
            if part.size < self.offset {
                return Ok(Copied::Shrunk);
            }
            if part.data.is_empty() {
                return Ok(Copied::All);
            }
            self.offset += part.data.len() as u64;
            write(&part.data, self.is_error).map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe => Failure::NobodyReads,
                _ => Failure::Written(error),
            })?;
        }
    }
}

fn write(bytes: &[u8], is_error: bool) -> io::Result<()> {
    if is_error {
        return io::stderr().write_all(bytes);
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
