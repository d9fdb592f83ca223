//! What one framework asked for and was told, under Mesos' names: counted by the master and the framework's proxy, read by
//! whoever shows metrics.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use tepui_protocol::v1::{
    offer::operation,
    scheduler::{call, event},
};

/// More than the largest number of a type of call, event or operation.
const KINDS: usize = 32;

/// Calls that were taken, events that went to the scheduler, and operations that were ordered: a launch counts once for each
/// of its tasks.
#[derive(Debug)]
pub struct Requests {
    /// Of the framework, as it came first.
    pub name: String,
    calls: [AtomicU64; KINDS],
    events: [AtomicU64; KINDS],
    operations: [AtomicU64; KINDS],
}

impl Requests {
    pub(crate) fn new(name: &str) -> Requests {
        Requests {
            name: name.to_owned(),
            calls: array::from_fn(|_| AtomicU64::new(0)),
            events: array::from_fn(|_| AtomicU64::new(0)),
            operations: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub fn call(&self, kind: call::Type) {
        add(&self.calls, kind as usize);
    }

    pub fn event(&self, kind: event::Type) {
        add(&self.events, kind as usize);
    }

    pub fn operation(&self, kind: operation::Type) {
        add(&self.operations, kind as usize);
    }

    /// `calls`, `events`, `operations` and each with `/<type>`, and values.
    pub fn all(&self) -> Vec<(String, f64)> {
        let call = |kind| call::Type::try_from(kind).ok().map(|it| it.as_str_name());
        let event = |kind| event::Type::try_from(kind).ok().map(|it| it.as_str_name());
        let operation = |kind| {
            operation::Type::try_from(kind)
                .ok()
                .map(|it| it.as_str_name())
        };
        let mut all = told("calls", &self.calls, call);
        all.extend(told("events", &self.events, event));
        all.extend(told("operations", &self.operations, operation));
        all
    }
}

fn add(counts: &[AtomicU64; KINDS], kind: usize) {
    if let Some(count) = counts.get(kind) {
        count.fetch_add(1, Relaxed);
    }
}

fn told(
    name: &str,
    counts: &[AtomicU64; KINDS],
    kind_name: impl Fn(i32) -> Option<&'static str>,
) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    let mut sum = 0;
    for (kind, count) in counts.iter().enumerate() {
        // 0 is what no call, event or operation is.
        let known = (kind > 0).then(|| kind_name(kind as i32)).flatten();
        if let Some(kind) = known {
            let count = count.load(Relaxed);
            sum += count;
            all.push((
                format!("{name}/{}", kind.to_ascii_lowercase()),
                count as f64,
            ));
        }
    }
    all.push((name.to_owned(), sum as f64));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_number_from_the_first_moment_and_all_have_a_sum() {
        let requests = Requests::new("f");
        let of = |name: &str| {
            let all = requests.all().into_iter();
            let mut found = all.filter(|(known, _)| known == name);
            found.next().map(|(_, value)| value)
        };
        assert_eq!(of("calls/update_framework"), Some(0.0));
        assert_eq!(of("operations/destroy_disk"), Some(0.0));
        assert_eq!(of("calls/unknown"), None);
        requests.call(call::Type::Accept);
        requests.call(call::Type::Kill);
        requests.operation(operation::Type::Launch);
        assert_eq!((of("calls"), of("calls/kill")), (Some(2.0), Some(1.0)));
        assert_eq!(
            (of("operations"), of("operations/launch")),
            (Some(1.0), Some(1.0))
        );
    }
}
