use tepui_messages::allocator::ShadowStatus;

use super::*;

fn status(policy: &'static str, shadow: Option<&'static str>) -> PolicyStatus {
    PolicyStatus {
        policy,
        known: Vec::new(),
        runs: 1,
        grants: 1,
        shadow: shadow.map(|policy| ShadowStatus {
            policy,
            runs: 1,
            grants: 1,
            differences: 0,
        }),
    }
}

#[test]
fn what_was_chosen_reads_back_and_what_is_none_of_it_is_left() {
    let mut registry = Registry::default();
    assert_eq!(kept(&registry), None);
    for (policy, shadow) in [("drf", None), ("best-fit", Some("priority"))] {
        let Command::PutDocument {
            collection,
            name,
            value,
        } = keep(&status(policy, shadow))
        else {
            panic!("a document");
        };
        let documents = registry.documents.entry(collection).or_default();
        documents.insert(name, value);
        let expected = Policies {
            policy: Some(policy.to_string()),
            shadow: Some(shadow.map(str::to_string)),
        };
        assert_eq!(kept(&registry), Some(expected));
    }
    let documents = registry.documents.get_mut(COLLECTION).unwrap();
    documents.insert(NAME.to_string(), Bytes::from_static(b"drf"));
    assert_eq!(kept(&registry), None);
}
