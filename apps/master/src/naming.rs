//! Names and addresses of masters, wherever users write them.

/// Longest name of a master.
const MAX_NAME_BYTES: usize = 32;

/// What a name must be, for refusals.
pub const EXPECTED_NAME: &str = "expected 1 to 32 letters, digits, dots, dashes or underscores";

/// Whether a text may be a master's name.
pub fn is_member_name(name: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(of_a_name)
}

/// Whether a text is `host:port` with a port.
pub fn is_address(address: &str) -> bool {
    let port = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port.parse::<u16>());
    address.len() <= 255 && matches!(port, Some(Ok(port)) if port != 0)
}
