//! Bytes and nanoseconds per message and codec, beside copying the same bytes.

use std::{hint::black_box, time::Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tepui_protocol::{
    codec::{Limits, json as text, msgpack, protobuf},
    resources::Resources,
    v1::{
        Address, AgentId, FrameworkId, Offer, OfferId, TaskId, TaskStatus, Url,
        resource::AllocationInfo,
        scheduler::{Event, event},
    },
};

use crate::Options;

const DEFAULT_COUNT: u64 = 20_000;

pub(crate) fn run(options: &Options) -> anyhow::Result<Value> {
    let count = options.count.unwrap_or(DEFAULT_COUNT);
    let messages = [("offer", offer()?), ("update", update())];
    let mut rows = Vec::new();
    let (mut subject_ns, mut bare_ns) = (0.0, 0.0);
    for (name, event) in &messages {
        let encoded = [
            ("json", text::encode(event)?),
            ("protobuf", protobuf::encode(event)),
            ("msgpack", msgpack::encode(event)?),
        ];
        for (codec, bytes) in encoded {
            let encode = time(count, || encode(codec, event));
            let decode = time(count, || decode(codec, &bytes));
            let copy = time(count, || bytes.clone());
            subject_ns += encode + decode;
            bare_ns += copy;
            rows.push(json!({
                "message": name, "codec": codec, "bytes": bytes.len(),
                "encode_ns": encode, "decode_ns": decode, "copy_ns": copy,
            }));
        }
    }
    Ok(json!({
        "name": "wire",
        "count": count,
        "subject_ms": subject_ns * count as f64 / 1e6,
        "bare_ms": bare_ns * count as f64 / 1e6,
        "ratio": subject_ns / bare_ns,
        "rows": rows,
    }))
}

fn encode(codec: &str, event: &Event) -> Vec<u8> {
    match codec {
        "json" => text::encode(event).expect("events encode"),
        "protobuf" => protobuf::encode(event),
        _ => msgpack::encode(event).expect("events encode"),
    }
}

fn decode(codec: &str, bytes: &[u8]) -> Event {
    match codec {
        "json" => text::decode(bytes, &Limits::HTTP).expect("encoded above"),
        "protobuf" => protobuf::decode(bytes, &Limits::HTTP).expect("encoded above"),
        _ => msgpack::decode(bytes, &Limits::BRIDGE).expect("encoded above"),
    }
}

/// Nanoseconds for one run of `work`.
fn time<T>(count: u64, mut work: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        black_box(work());
    }
    start.elapsed().as_nanos() as f64 / count as f64
}

/// An OFFERS event as a framework of one role gets it.
fn offer() -> anyhow::Result<Event> {
    let allocation = AllocationInfo {
        role: Some("dev".into()),
    };
    let mut resources = Resources::parse("cpus:4;mem:4096;disk:10240;ports:[31000-32000]", "*")
        .context("resources")?
        .to_proto();
    for resource in &mut resources {
        resource.allocation_info = Some(allocation.clone());
    }
    let offer = Offer {
        id: OfferId {
            value: "d5954213-589f-443a-acc8-58cca08d7216-O12".into(),
        },
        framework_id: FrameworkId {
            value: "d5954213-589f-443a-acc8-58cca08d7216-0000".into(),
        },
        agent_id: AgentId {
            value: "d5954213-589f-443a-acc8-58cca08d7216-S1".into(),
        },
        hostname: "localhost".into(),
        url: Some(Url {
            scheme: "http".into(),
            address: Address {
                hostname: Some("localhost".into()),
                ip: Some("127.0.0.1".into()),
                port: 5051,
            },
            path: Some("/slave(1)".into()),
            ..Default::default()
        }),
        resources,
        allocation_info: Some(allocation),
        ..Default::default()
    };
    Ok(Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers {
            offers: vec![offer],
        }),
        ..Default::default()
    })
}

/// An UPDATE event of a running task.
fn update() -> Event {
    let status = TaskStatus {
        task_id: TaskId {
            value: "task-000001".into(),
        },
        state: 1,
        source: Some(2),
        agent_id: Some(AgentId {
            value: "d5954213-589f-443a-acc8-58cca08d7216-S1".into(),
        }),
        timestamp: Some(1_795_382_811.209_676),
        uuid: Some(vec![0x4b; 16].into()),
        ..Default::default()
    };
    Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..Default::default()
    }
}
