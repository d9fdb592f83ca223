//! Owns which devices a container may open, in the words of the kernel's controller `devices` (Mesos:
//! `isolators/cgroups/subsystems/devices.cpp`), and the nodes a container with an image finds in `/dev`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Of which kind a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    Character,
    Block,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    /// Making nodes for it.
    pub mknod: bool,
}

impl Access {
    pub const ALL: Self = Self {
        read: true,
        write: true,
        mknod: true,
    };
}

/// One line for the controller: `c 1:3 rwm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceRule {
    pub kind: DeviceKind,
    /// `None`: any.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: Access,
}

/// A node that is made in a container's own `/dev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Beneath `/dev`: relative, and every part a name.
    pub name: PathBuf,
    pub kind: DeviceKind,
    pub major: u32,
    pub minor: u32,
    /// Permissions, as for `chmod`.
    pub mode: u32,
}

/// A device of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub path: PathBuf,
    pub kind: DeviceKind,
    pub major: u32,
    pub minor: u32,
}

const fn character(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule {
        kind: DeviceKind::Character,
        major: Some(major),
        minor,
        access: Access::ALL,
    }
}

const fn making(kind: DeviceKind) -> DeviceRule {
    DeviceRule {
        kind,
        major: None,
        minor: None,
        access: Access {
            read: false,
            write: false,
            mknod: true,
        },
    }
}

/// What every container may have where devices are limited: Mesos' list. Nodes may be made of all, since nobody can open
/// those of other devices.
pub const DEFAULTS: [DeviceRule; 14] = [
    making(DeviceKind::Character),
    making(DeviceKind::Block),
    // console, tty0, tty1
    character(5, Some(1)),
    character(4, Some(0)),
    character(4, Some(1)),
    // pts/*, ptmx
    character(136, None),
    character(5, Some(2)),
    // net/tun
    character(10, Some(200)),
    // null, zero, full, tty, urandom, random
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(5, Some(0)),
    character(1, Some(9)),
    character(1, Some(8)),
];

impl Device {
    /// The device that a path of this machine names.
    ///
    /// Errors: there is none, in one line.
    #[cfg(feature = "launcher")]
    pub fn at(path: &std::path::Path) -> Result<Self, String> {
        use rustix::fs::FileType;
        let shown = path.display();
        let stat = rustix::fs::stat(path)
            .map_err(|errno| format!("Failed to obtain device ID for '{shown}': {errno}"))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => DeviceKind::Character,
            FileType::BlockDevice => DeviceKind::Block,
            _ => return Err(format!("'{shown}' is not a block or character device")),
        };
        Ok(Self {
            path: path.to_owned(),
            kind,
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
        })
    }

    /// What lets a container have it so.
    pub fn rule(&self, access: Access) -> DeviceRule {
        DeviceRule {
            kind: self.kind,
            major: Some(self.major),
            minor: Some(self.minor),
            access,
        }
    }

    /// Its node for a container, where it lies beneath `/dev`. Whoever is in the container may use it as far as
    /// `access` goes: that is decided for containers, not for users (Mesos: `isolators/linux/devices.cpp`).
    pub fn node(&self, access: Access) -> Option<DeviceNode> {
        let name = self.path.strip_prefix("/dev").ok()?.to_owned();
        let of_all = |is_on, bits| if is_on { bits } else { 0 };
        is_name(&name).then_some(DeviceNode {
            name,
            kind: self.kind,
            major: self.major,
            minor: self.minor,
            mode: 0o600 | of_all(access.read, 0o044) | of_all(access.write, 0o022),
        })
    }
}

/// Whether a path is relative and leads nowhere but down.
pub fn is_name(path: &std::path::Path) -> bool {
    use std::path::Component;
    let mut parts = path.components();
    !path.as_os_str().is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

impl DeviceNode {
    /// `kind: u8, major: u32 LE, minor: u32 LE, mode: u32 LE, name`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.kind == DeviceKind::Block)];
        for number in [self.major, self.minor, self.mode] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(self.name.as_os_str().as_encoded_bytes());
        bytes
    }

    /// What [`DeviceNode::to_bytes`] made; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        use std::os::unix::ffi::OsStringExt;
        let (&kind, rest) = bytes.split_first()?;
        let (numbers, name) = rest.split_first_chunk::<12>()?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|it| u32::from_le_bytes(*it));
        let name = PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()));
        let node = Self {
            kind: match kind {
                0 => DeviceKind::Character,
                1 => DeviceKind::Block,
                _ => return None,
            },
            major: numbers.next()?,
            minor: numbers.next()?,
            mode: numbers.next()?,
            name,
        };
        (is_name(&node.name) && node.mode <= 0o777).then_some(node)
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::Character => 'c',
            DeviceKind::Block => 'b',
        };
        let number = |it: Option<u32>| it.map_or_else(|| "*".to_owned(), |it| it.to_string());
        let (major, minor) = (number(self.major), number(self.minor));
        write!(f, "{kind} {major}:{minor} {}", self.access)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, is_on) in [('r', self.read), ('w', self.write), ('m', self.mknod)] {
            if is_on {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// Why a text is no rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no rule of devices; expected one such as 'c 1:3 rwm'")]
pub struct RuleError(String);

impl FromStr for DeviceRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        parse(text).ok_or_else(|| RuleError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<DeviceRule> {
    let mut parts = text.split(' ');
    let kind = match parts.next()? {
        "c" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        _ => return None,
    };
    let (major, minor) = parts.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    let letters = parts.next()?;
    let access = Access {
        read: letters.contains('r'),
        write: letters.contains('w'),
        mknod: letters.contains('m'),
    };
    let mut seen: Vec<char> = letters.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    let is_whole = seen.len() == letters.len() && seen.iter().all(|it| "rwm".contains(*it));
    let rule = DeviceRule {
        kind,
        major: number(major)?,
        minor: number(minor)?,
        access,
    };
    (is_whole && !letters.is_empty() && parts.next().is_none()).then_some(rule)
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
