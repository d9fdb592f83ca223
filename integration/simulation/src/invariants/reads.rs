//! I3: a read that claims to be current is linearizable. Checked on registers with one writer each, whose values
//! rise: a read gives no less than what was acknowledged or read before it began, and nothing that was never written.

use std::collections::BTreeMap;

use crate::history::{Check, ensure};

#[derive(Default)]
pub struct Reads {
    registers: BTreeMap<String, Register>,
    count: usize,
}

#[derive(Default)]
struct Register {
    invoked: u64,
    /// Acknowledged, or seen by a read that has ended.
    floor: u64,
}

impl Reads {
    fn register(&mut self, key: &str) -> &mut Register {
        self.registers.entry(key.to_owned()).or_default()
    }

    /// A write of `value` begins.
    pub fn write_begins(&mut self, key: &str, value: u64) {
        let register = self.register(key);
        register.invoked = register.invoked.max(value);
    }

    /// It is acknowledged.
    pub fn write_ends(&mut self, key: &str, value: u64) {
        let register = self.register(key);
        register.floor = register.floor.max(value);
    }

    /// A read begins; what it gives must be no less than the answer.
    pub fn read_begins(&mut self, key: &str) -> u64 {
        self.register(key).floor
    }

    pub fn read_ends(&mut self, key: &str, floor: u64, value: u64) -> Check {
        self.count += 1;
        let register = self.register(key);
        register.floor = register.floor.max(value);
        let invoked = register.invoked;
        ensure("I3", floor <= value && value <= invoked, || {
            format!(
                "a read of {key} gives {value}; {floor} was known before it began and {invoked} is the newest"
            )
        })
    }

    pub fn count(&self) -> usize {
        self.count
    }
}
