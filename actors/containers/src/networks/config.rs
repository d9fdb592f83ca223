//! Owns the configurations of networks: files of one plug-in, or of several that are called one after the other (the CNI
//! specification, section 1), and what Mesos adds to them.

use crate::networks::NetworkError;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Files beyond so many in one directory are not looked at, by name.
const MAX_FILES: usize = 256;
const MAX_FILE_BYTES: u64 = 256 << 10;
const MAX_PLUGINS: usize = 16;
/// Where Mesos puts what it tells plug-ins, in `args`.
const MESOS: &str = "org.apache.mesos";
/// The plug-in that comes with Mesos and maps ports around another one.
const MESOS_PORT_MAPPER: &str = "mesos-cni-port-mapper";
/// The one that everybody else has.
const PORT_MAP: &str = "portmap";
const CAPABILITY: &str = "portMappings";

/// A port of the machine that leads to one of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    pub host_port: u16,
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// One network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    version: Option<Value>,
    plugins: Vec<Map<String, Value>>,
}

/// All networks of a directory, by name. A file that is none is told in the log and left out; the first of a name, in
/// the order of files, is the one. Error: the directory cannot be read.
pub fn read_all(dir: &Path) -> io::Result<BTreeMap<String, Network>> {
    let entries = std::fs::read_dir(dir)?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut networks = BTreeMap::new();
    let files = paths.into_iter().filter(|path| path.is_file());
    for path in files.take(MAX_FILES) {
        match read(&path).and_then(|text| Network::parse(&text)) {
            Ok(network) if networks.contains_key(&network.name) => {
                told(
                    &path,
                    &format!("there is a network '{}' already", network.name),
                );
            }
            Ok(network) => {
                networks.insert(network.name.clone(), network);
            }
            Err(reason) => told(&path, &reason),
        }
    }
    Ok(networks)
}

fn told(path: &Path, reason: &str) {
    let path = path.display();
    tracing::error!(%path, reason, "a CNI network configuration is skipped");
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    let read = bounded.read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(format!("it has more than {MAX_FILE_BYTES} bytes")),
        false => Ok(bytes),
    }
}

impl Network {
    /// Errors: what is missing or of the wrong kind.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let parsed: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let Value::Object(mut own) = parsed else {
            return Err("expected an object of JSON".to_owned());
        };
        let name = own.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err("it has no 'name'".to_owned());
        }
        let (name, version) = (name.to_owned(), own.get("cniVersion").cloned());
        let plugins = match own.remove("plugins") {
            None => vec![Value::Object(own)],
            Some(Value::Array(plugins)) => plugins,
            Some(_) => return Err("its 'plugins' are no list".to_owned()),
        };
        if !(1..=MAX_PLUGINS).contains(&plugins.len()) {
            return Err(format!("expected 1 to {MAX_PLUGINS} plug-ins"));
        }
        let plugins = plugins.into_iter().map(|plugin| match plugin {
            Value::Object(plugin) if plugin.get("type").is_some_and(Value::is_string) => Ok(plugin),
            _ => Err("a plug-in has no 'type'".to_owned()),
        });
        Ok(Self {
            name,
            version,
            plugins: plugins.collect::<Result<_, _>>()?,
        })
    }

    /// Does what Mesos' own port mapper does by the plug-in `portmap`, where the machine `has` only that: after the
    /// plug-in that it names, and not for what comes in by the devices that it names.
    #[must_use]
    pub fn with_port_mapper(mut self, has: impl Fn(&str) -> bool) -> Self {
        let [only] = self.plugins.as_slice() else {
            return self;
        };
        let is_mapper = only.get("type").is_some_and(|it| it == MESOS_PORT_MAPPER);
        let Some(delegate) = only.get("delegate").and_then(Value::as_object) else {
            return self;
        };
        if !is_mapper || has(MESOS_PORT_MAPPER) {
            return self;
        }
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(PORT_MAP));
        map.insert("capabilities".to_owned(), json!({ CAPABILITY: true }));
        let excluded = only.get("excludeDevices").and_then(Value::as_array);
        let excluded = excluded.into_iter().flatten();
        let conditions: Vec<Value> = excluded
            .flat_map(|device| [json!("!"), json!("-i"), device.clone()])
            .collect();
        if !conditions.is_empty() {
            map.insert("conditionsV4".to_owned(), json!(conditions));
        }
        let mut delegate = delegate.clone();
        if let Some(args) = only.get("args") {
            delegate.insert("args".to_owned(), args.clone());
        }
        self.version = self.version.or_else(|| delegate.get("cniVersion").cloned());
        self.plugins = vec![delegate, map];
        self
    }

    /// The names of its plug-ins' programs.
    pub(super) fn plugin_names(&self) -> impl Iterator<Item = &str> {
        let plugins = self.plugins.iter();
        plugins.filter_map(|plugin| plugin.get("type")?.as_str())
    }

    /// Whether one of its plug-ins is told of port mappings.
    pub fn maps_ports(&self) -> bool {
        let mut plugins = self.plugins.iter();
        plugins.any(|plugin| takes_port_mappings(plugin) || plugin["type"] == MESOS_PORT_MAPPER)
    }

    /// What its plug-ins are told, one after the other.
    ///
    /// Errors: the configuration uses a word that is Mesos' own.
    pub(super) fn calls(
        &self,
        info: &Value,
        port_mappings: &[PortMapping],
    ) -> Result<Vec<Map<String, Value>>, NetworkError> {
        let plugins = self.plugins.iter();
        let calls = plugins.map(|plugin| self.call(plugin.clone(), info, port_mappings));
        calls
            .collect::<Result<_, _>>()
            .map_err(NetworkError::Config)
    }

    fn call(
        &self,
        mut plugin: Map<String, Value>,
        info: &Value,
        port_mappings: &[PortMapping],
    ) -> Result<Map<String, Value>, String> {
        plugin.insert("name".to_owned(), json!(self.name));
        if let Some(version) = &self.version {
            plugin.insert("cniVersion".to_owned(), version.clone());
        }
        if !port_mappings.is_empty() && takes_port_mappings(&plugin) {
            let mapped = port_mappings.iter().map(|it| {
                json!({
                    "hostPort": it.host_port,
                    "containerPort": it.container_port,
                    "protocol": it.protocol,
                })
            });
            let mapped = Value::Array(mapped.collect());
            plugin.insert("runtimeConfig".to_owned(), json!({ CAPABILITY: mapped }));
        }
        // The specification has it for the runtime only.
        plugin.remove("capabilities");
        let args = plugin.entry("args").or_insert_with(|| json!({}));
        let Some(args) = args.as_object_mut() else {
            return Err(format!(
                "Invalid 'args' found in the CNI network configuration of '{}'",
                self.name
            ));
        };
        if args.contains_key(MESOS) {
            return Err(format!(
                "'{MESOS}' in 'args' should not be set in CNI network configuration file. It is reserved by Mesos"
            ));
        }
        args.insert(MESOS.to_owned(), json!({ "network_info": info }));
        Ok(plugin)
    }
}

fn takes_port_mappings(plugin: &Map<String, Value>) -> bool {
    let capabilities = plugin.get("capabilities");
    capabilities.is_some_and(|it| it[CAPABILITY] == Value::Bool(true))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
