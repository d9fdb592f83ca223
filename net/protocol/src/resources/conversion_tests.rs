use super::super::*;
use super::*;
use crate::codec::{Limits, json};

fn operation(text: &str) -> Vec<Conversion> {
    let operation = json::decode(text.as_bytes(), &Limits::HTTP).expect(text);
    conversions(&operation).expect(text)
}

const RESERVED: &str = r#""reservations":[{"type":"DYNAMIC","role":"ops"}]"#;

fn disk(size: u32, rest: &str) -> String {
    format!(r#"{{"name":"disk","type":"SCALAR","scalar":{{"value":{size}}},{RESERVED}{rest}}}"#)
}

const VOLUME: &str =
    r#","disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"data"}}"#;

/// Reserve, create, grow, shrink, destroy, unreserve: the agent ends as it began.
#[test]
fn a_volume_comes_and_goes() {
    let total = Resources::parse("cpus:1;disk:100", "*").expect("text");
    let steps = [
        (
            format!(
                r#"{{"type":"RESERVE","reserve":{{"resources":[{}]}}}}"#,
                disk(60, "")
            ),
            "cpus:1; disk:40; disk(reservations: [(DYNAMIC,ops)]):60",
        ),
        (
            format!(
                r#"{{"type":"CREATE","create":{{"volumes":[{}]}}}}"#,
                disk(50, VOLUME)
            ),
            "cpus:1; disk:40; disk(reservations: [(DYNAMIC,ops)]):10; disk(reservations: [(DYNAMIC,ops)])[v:data]:50",
        ),
        (
            format!(
                r#"{{"type":"GROW_VOLUME","grow_volume":{{"volume":{},"addition":{}}}}}"#,
                disk(50, VOLUME),
                disk(10, "")
            ),
            "cpus:1; disk:40; disk(reservations: [(DYNAMIC,ops)])[v:data]:60",
        ),
        (
            format!(
                r#"{{"type":"SHRINK_VOLUME","shrink_volume":{{"volume":{},"subtract":{{"value":20}}}}}}"#,
                disk(60, VOLUME)
            ),
            "cpus:1; disk:40; disk(reservations: [(DYNAMIC,ops)])[v:data]:40; disk(reservations: [(DYNAMIC,ops)]):20",
        ),
        (
            format!(
                r#"{{"type":"DESTROY","destroy":{{"volumes":[{}]}}}}"#,
                disk(40, VOLUME)
            ),
            "cpus:1; disk:40; disk(reservations: [(DYNAMIC,ops)]):60",
        ),
        (
            format!(
                r#"{{"type":"UNRESERVE","unreserve":{{"resources":[{}]}}}}"#,
                disk(60, "")
            ),
            "cpus:1; disk:100",
        ),
    ];
    let mut now = total.clone();
    for (text, then) in &steps {
        now = now.apply_all(&operation(text)).expect(text);
        assert_eq!(now.to_string(), *then);
    }
    assert_eq!(now, total);

    let error = total
        .apply_all(&operation(&steps[1].0))
        .expect_err("not reserved");
    assert_eq!(
        error.to_string(),
        "cpus:1; disk:100 does not contain disk(reservations: [(DYNAMIC,ops)]):50"
    );
    let checkpointed =
        Resources::from_proto(&[
            json::decode(disk(50, VOLUME).as_bytes(), &Limits::HTTP).expect("volume")
        ]);
    let restored = total
        .apply_checkpointed(&checkpointed.expect("valid"))
        .expect("fits");
    assert_eq!(
        restored.to_string(),
        "cpus:1; disk:50; disk(reservations: [(DYNAMIC,ops)])[v:data]:50"
    );
}

#[test]
fn a_volume_takes_the_whole_of_a_mount() {
    let mount = |size: u32, rest: &str| {
        let info =
            format!(r#","disk":{{"source":{{"type":"MOUNT","mount":{{"root":"mnt"}}}}{rest}}}"#);
        disk(size, &info)
    };
    let all = |text: String| {
        let resource = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        Resources::from_proto(&[resource]).expect(&text)
    };
    let info = r#","persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"data"}"#;
    let create = |size: u32| {
        let volume = mount(size, info);
        operation(&format!(
            r#"{{"type":"CREATE","create":{{"volumes":[{volume}]}}}}"#
        ))
    };
    let total = all(mount(200, ""));
    let created = total.apply_all(&create(200)).expect("the whole");
    assert_eq!(created, all(mount(200, info)));
    let error = total.apply_all(&create(50)).expect_err("a part");
    assert!(
        matches!(error, ResourceError::NotContained { .. }),
        "{error}"
    );
}

#[test]
fn a_shared_volume_is_made_of_the_disk_it_gives_back() {
    let step = |what: &str, size: u32| {
        let volume = disk(size, &format!(r#"{VOLUME},"shared":{{}}"#));
        let (kind, field) = (what.to_uppercase(), what);
        operation(&format!(
            r#"{{"type":"{kind}","{field}":{{"volumes":[{volume}]}}}}"#
        ))
    };
    let reserved: v1::Resource =
        json::decode(disk(1000, "").as_bytes(), &Limits::HTTP).expect("disk");
    let total = Resources::parse("cpus:1;mem:512", "*").expect("text")
        + Resources::from_proto(&[reserved]).expect("valid");
    let created = total.apply_all(&step("create", 200)).expect("enough");
    assert_eq!(
        created.to_string(),
        "cpus:1; mem:512; disk(reservations: [(DYNAMIC,ops)]):800; disk(reservations: [(DYNAMIC,ops)])[v:data]<SHARED>:200<1>"
    );
    assert_eq!(
        created.apply_all(&step("destroy", 200)).expect("made"),
        total
    );
    let error = total
        .apply_all(&step("create", 2000))
        .expect_err("too large");
    assert!(
        matches!(error, ResourceError::NotContained { .. }),
        "{error}"
    );
}

#[test]
fn what_is_reserved_leaves_the_rest_as_it_was() {
    let free = Resources::parse("cpus:1;mem:512", "*").expect("text");
    let text = r#"{"type":"RESERVE","reserve":{"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"role","principal":"p"}]}]}}"#;
    let after = free.apply_all(&operation(text)).expect("free");
    assert_eq!(after.named("mem"), free.named("mem"));
    assert_eq!(after.reserved_to("role"), after.named("cpus"));
    assert_eq!((after.cpus(), after.len()), (Quantity::from_units(1), 2));
}

#[test]
fn a_shared_volume_in_use_stays() {
    let shared = disk(5, &format!(r#"{VOLUME},"shared":{{}}"#));
    let volume =
        Resources::from_proto(&[json::decode(shared.as_bytes(), &Limits::HTTP).expect("volume")])
            .expect("valid");
    let destroy = operation(&format!(
        r#"{{"type":"DESTROY","destroy":{{"volumes":[{shared}]}}}}"#
    ));
    let error = (&volume + &volume)
        .apply_all(&destroy)
        .expect_err("two copies");
    assert!(
        error
            .to_string()
            .ends_with("cannot be removed due to additional shared copies")
    );
    assert_eq!(
        volume.apply_all(&destroy).expect("one copy").to_string(),
        "disk(reservations: [(DYNAMIC,ops)]):5"
    );
}

/// Golden 178-188 of a recorded Mesos 1.11.0: the refusal shows what the agent has, in Mesos' order.
#[test]
fn the_order_is_that_of_mesos() {
    const OPS: &str = r#""reservations":[{"type":"DYNAMIC","role":"opsrole","principal":"ops"}]"#;
    let part = |name: &str, amount: &str, rest: &str| {
        format!(r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":{amount}}},{OPS}{rest}}}"#)
    };
    let volume = |size: &str| {
        let info = r#","disk":{"persistence":{"id":"vol1","principal":"ops"},"volume":{"mode":"RW","container_path":"data"}}"#;
        part("disk", size, info)
    };
    let both = format!("{},{}", part("cpus", "0.5", ""), part("disk", "100", ""));
    let steps = [
        format!(r#"{{"type":"RESERVE","reserve":{{"resources":[{both}]}}}}"#),
        format!(
            r#"{{"type":"CREATE","create":{{"volumes":[{}]}}}}"#,
            volume("64")
        ),
        format!(
            r#"{{"type":"GROW_VOLUME","grow_volume":{{"volume":{},"addition":{}}}}}"#,
            volume("64"),
            part("disk", "16", "")
        ),
        format!(
            r#"{{"type":"SHRINK_VOLUME","shrink_volume":{{"volume":{},"subtract":{{"value":16}}}}}}"#,
            volume("80")
        ),
    ];
    let agent = "cpus:4; mem:4096; disk:10240; ports:[31000-32000]";
    let mut now = Resources::parse(agent, "*").expect("text");
    for step in &steps {
        now = now.apply_all(&operation(step)).expect(step);
    }
    let unreserve = format!(r#"{{"type":"UNRESERVE","unreserve":{{"resources":[{both}]}}}}"#);
    let error = now
        .apply_all(&operation(&unreserve))
        .expect_err("in a volume");
    assert_eq!(
        error.to_string(),
        "cpus:4; mem:4096; disk:10140; ports:[31000-32000]; disk(reservations: [(DYNAMIC,opsrole,ops)])[vol1:data]:64; disk(reservations: [(DYNAMIC,opsrole,ops)]):36 does not contain disk(reservations: [(DYNAMIC,opsrole,ops)]):100"
    );
}
