use super::*;

#[test]
fn names_lose_their_paths_and_nothing_else() {
    assert_eq!(
        short_name("tepui_messages::master::RegisterAgent"),
        "RegisterAgent"
    );
    assert_eq!(
        short_name("a::b::Call<c::D, (e::F, u8)>"),
        "Call<D, (F, u8)>"
    );
    assert_eq!(short_name("Plain"), "Plain");
}
