//! Owns the capabilities of a command. Never decides which: that is ordered.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use tepui_containers::spec::Capabilities;

/// Takes what the command may never have. Needs the agent's rights; what it begins with comes after its user.
pub(crate) fn bound(capabilities: &Capabilities) -> Result<(), Errno> {
    for capability in each(!capabilities.bounding) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Beyond the last that this kernel knows.
            Err(Errno::INVAL) => break,
            removed => removed?,
        }
    }
    // Else they would go with the agent's user.
    rustix::thread::set_keep_capabilities(capabilities.effective.is_some())
}

/// Keeps what the command begins with, over its start too, and gives the rest up.
pub(crate) fn begin_with(capabilities: &Capabilities) -> Result<(), Errno> {
    let Some(effective) = capabilities.effective else {
        return Ok(());
    };
    let held = rustix::thread::capabilities(None)?.permitted;
    let kept = CapabilitySet::from_bits_retain(effective);
    if !held.contains(kept) {
        // The agent has not all of them itself.
        return Err(Errno::PERM);
    }
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: kept,
    };
    rustix::thread::set_capabilities(None, sets)?;
    for capability in each(effective) {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

fn each(bits: u64) -> impl Iterator<Item = CapabilitySet> {
    let all = (0..u64::BITS).map(|number| 1 << number);
    all.filter(move |bit| bits & bit != 0)
        .map(CapabilitySet::from_bits_retain)
}
