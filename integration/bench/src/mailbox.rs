//! What observation costs: a tell through the kit's mailbox less a raw actix `do_send`, in one run.

use serde_json::{Value, json};
use tepui_kit::bench::mailbox_bench;

use crate::Options;

const DEFAULT_COUNT: u64 = 3_000_000;
const ROUNDS: usize = 5;

pub(crate) fn run(options: &Options) -> Value {
    let count = options.count.unwrap_or(DEFAULT_COUNT);
    let mut subject = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..ROUNDS {
        let result = mailbox_bench(count);
        subject.push(result.subject_ns);
        bare.push(result.bare_ns);
    }
    let (subject_ns, bare_ns) = (
        crate::quantile(&mut subject, 0.5),
        crate::quantile(&mut bare, 0.5),
    );
    json!({
        "name": "mailbox",
        "messages": count,
        "subject_ms": subject_ns * count as f64 / 1e6,
        "bare_ms": bare_ns * count as f64 / 1e6,
        "ratio": subject_ns / bare_ns,
        "subject_ns_per_message": subject_ns,
        "bare_ns_per_message": bare_ns,
        "added_ns_per_message": subject_ns - bare_ns,
    })
}
