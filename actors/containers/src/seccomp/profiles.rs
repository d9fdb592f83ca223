//! Owns the directory of profiles (Mesos: `--seccomp_config_dir`): a profile is a file in it, called by its name.

use super::profile::{MAX_PROFILE_BYTES, Profile};
use super::{DEFAULT_PROFILE, default_profile};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The profiles of an agent. The default knows the built-in one alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    dir: Option<PathBuf>,
    /// For who names none; `None`: the built-in one.
    default: Option<(String, Profile)>,
}

impl Profiles {
    /// `default`: the name of the profile for containers that name none.
    ///
    /// Errors: a directory or a profile that is not there or not understood, in words for the operator.
    pub fn open(dir: Option<PathBuf>, default: Option<&str>) -> Result<Self, String> {
        if let Some(dir) = &dir
            && !dir.is_dir()
        {
            return Err(format!(
                "--seccomp-config-dir {}: there is no such directory",
                dir.display()
            ));
        }
        let profiles = Self { dir, default: None };
        let default = default.filter(|name| profiles.dir.is_some() || *name != DEFAULT_PROFILE);
        let Some(name) = default else {
            return Ok(profiles);
        };
        if profiles.dir.is_none() {
            return Err(format!(
                "--seccomp-profile-name {name} needs --seccomp-config-dir, the directory of profiles"
            ));
        }
        let default = profiles
            .read(name)?
            .map(|profile| (name.to_owned(), profile));
        Ok(Self {
            default,
            ..profiles
        })
    }

    /// Where profiles are, if anywhere.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The profile of who names none, unless it is the built-in one.
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_ref().map(|(name, _)| name.as_str())
    }

    /// Filters of the profile of that name, or of the default one, as [`Profile::filters`] and [`default_profile`] make
    /// them. A named one is read at each call, so that an operator can change it.
    ///
    /// Errors: there is none of that name, or it is not understood, in words for the framework.
    pub fn filters(&self, name: Option<&str>, capabilities: u64) -> Result<Vec<Vec<u8>>, String> {
        let profile = match (name, &self.default) {
            (None, Some((_, profile))) => return profile.filters(capabilities),
            (None, None) => None,
            (Some(name), _) => self.read(name)?,
        };
        match profile {
            Some(profile) => profile.filters(capabilities),
            None => default_profile(capabilities),
        }
    }

    /// `None`: the built-in one.
    fn read(&self, name: &str) -> Result<Option<Profile>, String> {
        let is_plain = !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
        let path = self
            .dir
            .as_ref()
            .filter(|_| is_plain)
            .map(|dir| dir.join(name));
        let found = path.as_ref().filter(|path| path.is_file());
        let Some(path) = found else {
            return match name {
                DEFAULT_PROFILE => Ok(None),
                _ => Err(format!(
                    "This agent has no Seccomp profile '{name}'; expected '{DEFAULT_PROFILE}' or a file of --seccomp-config-dir"
                )),
            };
        };
        let shown = path.display();
        let mut bytes = Vec::new();
        let read = File::open(path)
            .and_then(|file| file.take(MAX_PROFILE_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| format!("Failed to read Seccomp profile file '{shown}': {error}"))?;
        if bytes.len() as u64 > MAX_PROFILE_BYTES {
            return Err(format!(
                "Seccomp profile '{shown}' has more than {MAX_PROFILE_BYTES} bytes"
            ));
        }
        let profile = Profile::parse(&bytes);
        let profile = profile
            .map_err(|error| format!("Failed to parse Seccomp profile '{shown}': {error}"))?;
        Ok(Some(profile))
    }
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
