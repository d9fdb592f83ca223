use super::*;

#[test]
fn what_is_no_patience_is_refused() {
    let patience = Patience {
        presence: "/run/tepui/1/@agent".into(),
        timeout: Duration::from_mins(15),
        grace: Duration::from_millis(2_500),
    };
    let bytes = patience.to_bytes();
    assert_eq!(Patience::from_bytes(&bytes), Some(patience));
    for cut in 0..17 {
        assert_eq!(Patience::from_bytes(&bytes[..cut]), None, "{cut}");
    }
    let relative = [&bytes[..16], b"run"].concat();
    assert_eq!(Patience::from_bytes(&relative), None);
}
