use super::*;

#[test]
fn the_kernels_averages_are_read() {
    let load = Load::parse("0.42 1.5 12.03 3/512 4711\n");
    let expected = Load {
        five_minutes: 1.5,
        fifteen_minutes: 12.03,
    };
    assert_eq!(load, Some(expected));
    for text in ["", "1 2", "1 x 3", "1 2 y 1/1 1"] {
        assert_eq!(Load::parse(text), None, "{text}");
    }
}
