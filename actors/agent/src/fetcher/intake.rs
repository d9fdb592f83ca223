//! Bytes on their way into a file: counted, bounded, and summed where a sum is asked for.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
};

use sha2::{Digest, Sha256};
use tepui_client::download::Download;
use tepui_kit::blocking;

use super::errand::Part;

const BUFFER_BYTES: usize = 256 * 1024;
/// Of a file that is given a mode of its own.
const OWNERS: u32 = 0o600;
const PERMISSIONS: u32 = 0o777;

/// A file that can be read.
pub(super) enum Opened {
    File(File),
    Download(Download),
}

impl Opened {
    /// How many bytes it has, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::File(file) => file.metadata().ok().map(|it| it.len()),
            Self::Download(download) => download.length(),
        }
    }

    /// Writes all of it, at most `most` bytes. Says how many they were.
    pub(super) async fn write_to(
        self,
        to: File,
        most: u64,
        checksum: Option<[u8; 32]>,
        part: Part,
    ) -> Result<u64, String> {
        let mut intake = Intake {
            to,
            part,
            most,
            count: 0,
            sum: checksum.map(|_| Sha256::new()),
        };
        let intake = match self {
            Self::File(mut from) => {
                blocking(move || {
                    let mode = mode_of(&from)?;
                    let mut buffer = vec![0; BUFFER_BYTES];
                    loop {
                        let count = from.read(&mut buffer).map_err(text)?;
                        if count == 0 {
                            let mode = std::fs::Permissions::from_mode(mode);
                            intake.to.set_permissions(mode).map_err(text)?;
                            return Ok(intake);
                        }
                        intake.take(&buffer[..count])?;
                    }
                })
                .await?
            }
            Self::Download(mut download) => {
                while let Some(data) = download.next().await.map_err(|it| it.to_string())? {
                    let taken = blocking(move || intake.take(&data).map(|()| intake));
                    intake = taken.await?;
                }
                intake
            }
        };
        intake.finish(checksum)
    }
}

fn mode_of(file: &File) -> Result<u32, String> {
    let mode = file.metadata().map_err(text)?.permissions().mode();
    Ok(mode & PERMISSIONS | OWNERS)
}

struct Intake {
    to: File,
    part: Part,
    most: u64,
    count: u64,
    sum: Option<Sha256>,
}

impl Intake {
    fn take(&mut self, data: &[u8]) -> Result<(), String> {
        self.part.go_on()?;
        self.count = self.count.saturating_add(data.len() as u64);
        if self.count > self.most {
            return Err(format!("it has more than {} bytes", self.most));
        }
        if let Some(sum) = &mut self.sum {
            sum.update(data);
        }
        self.to.write_all(data).map_err(text)
    }

    fn finish(self, expected: Option<[u8; 32]>) -> Result<u64, String> {
        if let (Some(sum), Some(expected)) = (self.sum, expected) {
            agree(sum, expected)?;
        }
        Ok(self.count)
    }
}

/// Reads all of a file for its sum. Blocks.
pub(super) fn check(file: &mut File, expected: [u8; 32], part: &Part) -> Result<(), String> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        part.go_on()?;
        match file.read(&mut buffer).map_err(text)? {
            0 => break,
            count => sum.update(&buffer[..count]),
        }
    }
    io::Seek::rewind(file).map_err(text)?;
    agree(sum, expected)
}

fn agree(sum: Sha256, expected: [u8; 32]) -> Result<(), String> {
    let found: [u8; 32] = sum.finalize().into();
    let hex = |sum: [u8; 32]| -> String { sum.iter().map(|it| format!("{it:02x}")).collect() };
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "its SHA-256 is {}; expected {}",
            hex(found),
            hex(expected)
        )),
    }
}

pub(super) fn text(error: io::Error) -> String {
    error.to_string()
}
