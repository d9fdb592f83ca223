//! The state machine of this crate's tests.

use bytes::Bytes;
use tepui_engine::keys::REGISTRY;
use tepui_engine::{Batch, Engine, Key, KeyRange, collect, record};

use crate::{StateError, StateMachine};

/// Keeps every command under its position, and a running count.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) lines: Vec<Vec<u8>>,
}

impl Journal {
    fn line(&mut self, line: &[u8], batch: &mut Batch) {
        let key = Key::new(b'j').number(self.lines.len() as u64);
        batch.put(REGISTRY, key, record::seal(1, line));
        self.lines.push(line.to_vec());
    }
}

impl StateMachine for Journal {
    fn load(&mut self, engine: &dyn Engine) -> Result<(), StateError> {
        for (key, sealed) in collect(engine, REGISTRY, &KeyRange::all())? {
            let line = record::unseal(1, &sealed).map_err(|error| {
                StateError::damaged(&format!("registry, record {}: {error}", key.escape_ascii()))
            })?;
            self.lines.push(line.1.to_vec());
        }
        Ok(())
    }

    fn check(&self, command: &[u8]) -> Result<(), String> {
        match command {
            b"bad" => Err("bad".to_owned()),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, _: u64, command: &[u8], batch: &mut Batch) -> Result<Bytes, StateError> {
        if command == b"fatal" {
            return Err(StateError("a newer program wrote this".to_owned()));
        }
        self.line(command, batch);
        Ok(Bytes::from(self.lines.len().to_string()))
    }

    fn snapshot(&self) -> Bytes {
        Bytes::from(self.lines.join(&b'\n'))
    }

    fn restore(&mut self, snapshot: &[u8], batch: &mut Batch) -> Result<(), StateError> {
        self.lines.clear();
        batch.delete_range(REGISTRY, KeyRange::all());
        let lines = snapshot.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            self.line(line, batch);
        }
        Ok(())
    }
}
