//! The handshake: who speaks, which versions, which cluster, with which credentials. Sans-I/O.
//!
//! Owns the contents of the first frame each way and the verdict. Never checks credentials: that is
//! [`Service::admit`](crate::Service::admit). The layout only grows, in all bridge versions: a magic number,
//! then fields of `tag u8, length u16, bytes`; unknown tags are skipped.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};

/// Bridge versions this build speaks. One more frame type is a new version; one more KIND is not.
pub const VERSIONS: Versions = Versions { min: 1, max: 1 };
/// Most bytes of a frame before the handshake is done.
pub const MAX_HANDSHAKE_BYTES: usize = 16 << 10;
/// Most bytes of a name, a program version or a cluster id.
pub const MAX_TEXT_BYTES: usize = 255;
/// Most bytes of credentials.
pub const MAX_CREDENTIALS_BYTES: usize = 8 << 10;

const MAGIC: [u8; 8] = *b"TepuiBrg";

const VERSION_RANGE: u8 = 1;
const ROLE: u8 = 2;
const PROGRAM_VERSION: u8 = 3;
const NAME: u8 = 4;
const CLUSTER_ID: u8 = 5;
const CREDENTIALS: u8 = 6;
const CHOSEN_VERSION: u8 = 7;
const GROUP: u8 = 8;
const DISK: u8 = 9;
const HTTP: u8 = 10;
const BRIDGE: u8 = 11;
const MEMBER_ID: u8 = 12;
const LAST_INDEX: u8 = 13;

/// A greeting that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("the greeting does not begin as the bridge's do")]
    Magic,
    #[error("the greeting ends in the middle of a field")]
    Truncated,
    #[error("the greeting lacks its {0}")]
    Missing(&'static str),
    #[error("the greeting's {0} is malformed")]
    Malformed(&'static str),
    #[error("the greeting's {field} has {size} bytes, the limit is {limit}")]
    TooLong {
        field: &'static str,
        size: usize,
        limit: usize,
    },
    #[error("the other side chose bridge version {chosen}, offered were {} to {}", offered.min, offered.max)]
    NotOffered { chosen: u16, offered: Versions },
    #[error("{0}")]
    OtherCluster(String),
}

/// Which part of a cluster speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Role {
    Agent = 1,
    Master = 2,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Role::Agent => "agent",
            Role::Master => "master",
        })
    }
}

/// An inclusive range of bridge versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub min: u16,
    pub max: u16,
}

/// Proof of who one is; what it means is between the two services. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(pub Bytes);

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(not printed)")
    }
}

/// What a master adds about its place among masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The names of the members that founded the group, joined by commas.
    pub group: String,
    /// The number drawn for the disk it keeps its log on.
    pub disk: String,
    /// Where it answers HTTP, `host:port`.
    pub http: String,
    /// Where agents and other masters reach its bridge, `host:port`.
    pub bridge: String,
    /// Its id; a master that waits to be let into a group has none.
    pub id: Option<u64>,
    /// The last entry of its log, which tells an older disk.
    pub last_index: Option<u64>,
}

/// How a side calls itself. Claimed, not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub role: Role,
    /// For people, such as a host name.
    pub name: String,
    /// Version of the program, such as "0.1.0".
    pub program_version: String,
    /// The cluster it belongs to, once it knows.
    pub cluster_id: Option<String>,
    /// Of a master that may have others beside it.
    pub membership: Option<Membership>,
}

/// What the connecting side says first, and what the accepting side judges it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub versions: Versions,
    pub identity: Identity,
    pub credentials: Option<Credentials>,
}

/// What the accepting side answers to a [`Hello`] it likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The bridge version both will speak: the highest that both can.
    pub version: u16,
    pub identity: Identity,
}

impl Hello {
    /// A greeting with the versions of this build, no cluster and no credentials.
    pub fn new(role: Role, name: impl Into<String>, program_version: impl Into<String>) -> Self {
        Hello {
            versions: VERSIONS,
            identity: Identity {
                role,
                name: name.into(),
                program_version: program_version.into(),
                cluster_id: None,
                membership: None,
            },
            credentials: None,
        }
    }

    /// # Errors
    /// [`HandshakeError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, HandshakeError> {
        let mut bytes = MAGIC.to_vec();
        let Versions { min, max } = self.versions;
        let range = [min.to_be_bytes(), max.to_be_bytes()];
        put_field(&mut bytes, VERSION_RANGE, range.as_flattened());
        put_identity(&mut bytes, &self.identity)?;
        if let Some(Credentials(secret)) = &self.credentials {
            within("credentials", secret.len(), MAX_CREDENTIALS_BYTES)?;
            put_field(&mut bytes, CREDENTIALS, secret);
        }
        Ok(bytes)
    }

    /// # Errors
    /// [`HandshakeError`] for whatever is not a greeting.
    pub fn decode(bytes: &[u8]) -> Result<Hello, HandshakeError> {
        let fields = Fields::read(bytes)?;
        let mut range = fields.versions.ok_or(HandshakeError::Missing("versions"))?;
        if range.len() != 4 {
            return Err(HandshakeError::Malformed("versions"));
        }
        let (min, max) = (range.get_u16(), range.get_u16());
        if min > max {
            return Err(HandshakeError::Malformed("versions"));
        }
        if let Some(secret) = fields.credentials {
            within("credentials", secret.len(), MAX_CREDENTIALS_BYTES)?;
        }
        Ok(Hello {
            versions: Versions { min, max },
            identity: fields.identity()?,
            credentials: fields
                .credentials
                .map(|secret| Credentials(Bytes::copy_from_slice(secret))),
        })
    }
}

impl Welcome {
    /// # Errors
    /// [`HandshakeError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, HandshakeError> {
        let mut bytes = MAGIC.to_vec();
        put_field(&mut bytes, CHOSEN_VERSION, &self.version.to_be_bytes());
        put_identity(&mut bytes, &self.identity)?;
        Ok(bytes)
    }

    /// # Errors
    /// [`HandshakeError`] for whatever is not a welcome.
    pub fn decode(bytes: &[u8]) -> Result<Welcome, HandshakeError> {
        let fields = Fields::read(bytes)?;
        let chosen = fields.chosen.ok_or(HandshakeError::Missing("version"))?;
        let chosen =
            <[u8; 2]>::try_from(chosen).map_err(|_| HandshakeError::Malformed("version"))?;
        Ok(Welcome {
            version: u16::from_be_bytes(chosen),
            identity: fields.identity()?,
        })
    }

    /// The connecting side's check of what it was answered.
    ///
    /// # Errors
    /// [`HandshakeError::NotOffered`], [`HandshakeError::OtherCluster`].
    pub fn check(&self, offered: &Hello) -> Result<(), HandshakeError> {
        let Versions { min, max } = offered.versions;
        if !(min..=max).contains(&self.version) {
            return Err(HandshakeError::NotOffered {
                chosen: self.version,
                offered: offered.versions,
            });
        }
        same_cluster(&offered.identity, &self.identity).map_err(HandshakeError::OtherCluster)
    }
}

/// The accepting side's verdict on `theirs`. The text of a refusal is for both sides' logs.
///
/// # Errors
/// The text of the refusal: what each side speaks, and which to change.
pub fn judge(ours: &Hello, theirs: &Hello) -> Result<Welcome, String> {
    let version = ours.versions.max.min(theirs.versions.max);
    if version < ours.versions.min || version < theirs.versions.min {
        return Err(no_common_version(ours, theirs));
    }
    same_cluster(&ours.identity, &theirs.identity)?;
    Ok(Welcome {
        version,
        identity: ours.identity.clone(),
    })
}

fn no_common_version(ours: &Hello, theirs: &Hello) -> String {
    let (our_role, their_role) = roles(&ours.identity, &theirs.identity);
    let spoken = match theirs.versions {
        Versions { min, max } if min == max => min.to_string(),
        Versions { min, max } => format!("{min} to {max}"),
    };
    let older = if theirs.versions.max < ours.versions.min {
        &their_role
    } else {
        &our_role
    };
    format!(
        "this {our_role} speaks bridge versions {} to {}, the {their_role} speaks {spoken}: upgrade the {older} \
         (this {our_role} is tepui {}, the {their_role} is tepui {})",
        ours.versions.min,
        ours.versions.max,
        ours.identity.program_version,
        theirs.identity.program_version,
    )
}

fn same_cluster(ours: &Identity, theirs: &Identity) -> Result<(), String> {
    match (&ours.cluster_id, &theirs.cluster_id) {
        (Some(our_id), Some(their_id)) if our_id != their_id => {
            let (our_role, their_role) = roles(ours, theirs);
            let cure = if ours.role == theirs.role {
                "correct --peers"
            } else {
                "correct the address, or remove the agent's state to let it join the other cluster"
            };
            Err(format!(
                "this {our_role} belongs to cluster {our_id}, the {their_role} to cluster {their_id}: {cure}"
            ))
        }
        _ => Ok(()),
    }
}

/// Names that differ even where the roles do not.
fn roles(ours: &Identity, theirs: &Identity) -> (String, String) {
    let theirs = match theirs.role {
        role if role == ours.role => format!("other {role}"),
        role => role.to_string(),
    };
    (ours.role.to_string(), theirs)
}

fn within(field: &'static str, size: usize, limit: usize) -> Result<(), HandshakeError> {
    if size > limit {
        return Err(HandshakeError::TooLong { field, size, limit });
    }
    Ok(())
}

fn put_identity(bytes: &mut Vec<u8>, identity: &Identity) -> Result<(), HandshakeError> {
    put_field(bytes, ROLE, &[identity.role as u8]);
    let membership = identity.membership.as_ref();
    let texts = [
        (
            "program version",
            PROGRAM_VERSION,
            Some(&identity.program_version),
        ),
        ("name", NAME, Some(&identity.name)),
        ("cluster id", CLUSTER_ID, identity.cluster_id.as_ref()),
        ("group", GROUP, membership.map(|it| &it.group)),
        ("disk", DISK, membership.map(|it| &it.disk)),
        ("HTTP address", HTTP, membership.map(|it| &it.http)),
        ("bridge address", BRIDGE, membership.map(|it| &it.bridge)),
    ];
    for (field, tag, text) in texts {
        if let Some(text) = text {
            within(field, text.len(), MAX_TEXT_BYTES)?;
            put_field(bytes, tag, text.as_bytes());
        }
    }
    let numbers = [
        (MEMBER_ID, membership.and_then(|it| it.id)),
        (LAST_INDEX, membership.and_then(|it| it.last_index)),
    ];
    for (tag, number) in numbers {
        if let Some(number) = number {
            put_field(bytes, tag, &number.to_be_bytes());
        }
    }
    Ok(())
}

fn put_field(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("every field's limit fits a u16");
    bytes.put_u8(tag);
    bytes.put_u16(length);
    bytes.put_slice(value);
}

/// The known fields of a greeting, raw.
#[derive(Default)]
struct Fields<'a> {
    versions: Option<&'a [u8]>,
    role: Option<&'a [u8]>,
    program_version: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    cluster_id: Option<&'a [u8]>,
    credentials: Option<&'a [u8]>,
    chosen: Option<&'a [u8]>,
    group: Option<&'a [u8]>,
    disk: Option<&'a [u8]>,
    http: Option<&'a [u8]>,
    bridge: Option<&'a [u8]>,
    member_id: Option<&'a [u8]>,
    last_index: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(HandshakeError::Magic)?;
        let mut fields = Fields::default();
        while let [tag, high, low, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (value, tail) = tail
                .split_at_checked(length)
                .ok_or(HandshakeError::Truncated)?;
            match *tag {
                VERSION_RANGE => fields.versions = Some(value),
                ROLE => fields.role = Some(value),
                PROGRAM_VERSION => fields.program_version = Some(value),
                NAME => fields.name = Some(value),
                CLUSTER_ID => fields.cluster_id = Some(value),
                CREDENTIALS => fields.credentials = Some(value),
                CHOSEN_VERSION => fields.chosen = Some(value),
                GROUP => fields.group = Some(value),
                DISK => fields.disk = Some(value),
                HTTP => fields.http = Some(value),
                BRIDGE => fields.bridge = Some(value),
                MEMBER_ID => fields.member_id = Some(value),
                LAST_INDEX => fields.last_index = Some(value),
                _ => {}
            }
            rest = tail;
        }
        if rest.is_empty() {
            Ok(fields)
        } else {
            Err(HandshakeError::Truncated)
        }
    }

    fn identity(&self) -> Result<Identity, HandshakeError> {
        let role = match self.role.ok_or(HandshakeError::Missing("role"))? {
            [1] => Role::Agent,
            [2] => Role::Master,
            _ => return Err(HandshakeError::Malformed("role")),
        };
        Ok(Identity {
            role,
            name: required("name", self.name)?,
            program_version: required("program version", self.program_version)?,
            cluster_id: text("cluster id", self.cluster_id)?,
            membership: self.membership()?,
        })
    }

    /// All of it, or nothing.
    fn membership(&self) -> Result<Option<Membership>, HandshakeError> {
        if self.group.is_none() {
            return Ok(None);
        }
        Ok(Some(Membership {
            group: required("group", self.group)?,
            disk: required("disk", self.disk)?,
            http: required("HTTP address", self.http)?,
            bridge: required("bridge address", self.bridge)?,
            id: number("member id", self.member_id)?,
            last_index: number("last index", self.last_index)?,
        }))
    }
}

fn required(field: &'static str, value: Option<&[u8]>) -> Result<String, HandshakeError> {
    text(field, value)?.ok_or(HandshakeError::Missing(field))
}

fn number(field: &'static str, value: Option<&[u8]>) -> Result<Option<u64>, HandshakeError> {
    let bytes = value.map(<[u8; 8]>::try_from).transpose();
    let bytes = bytes.map_err(|_| HandshakeError::Malformed(field))?;
    Ok(bytes.map(u64::from_be_bytes))
}

/// Texts end in logs and terminals: UTF-8 without control characters, or nothing.
fn text(field: &'static str, value: Option<&[u8]>) -> Result<Option<String>, HandshakeError> {
    let Some(value) = value else { return Ok(None) };
    within(field, value.len(), MAX_TEXT_BYTES)?;
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(Some(text.to_owned())),
        _ => Err(HandshakeError::Malformed(field)),
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
