use tepui_protocol::v1::{
    TtyInfo,
    agent::process_io::{Control, Data, data},
    tty_info,
};
use tokio::net::UnixStream;

use super::*;

fn typed(bytes: Vec<u8>) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data as i32),
        data: Some(Data {
            r#type: Some(data::Type::Stdin as i32),
            data: Some(bytes.into()),
        }),
        control: None,
    }
}

fn control(control: Control) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Control as i32),
        data: None,
        control: Some(control),
    }
}

#[test]
fn messages_become_frames() {
    assert_eq!(frames(typed(b"x".to_vec())), [frame(Kind::Stdin, b"x")]);
    assert_eq!(frames(typed(Vec::new())), [frame(Kind::Stdin, b"")]);
    let long = vec![7; MAX_FRAME_BYTES + 1];
    let (first, second) = long.split_at(MAX_FRAME_BYTES);
    let expected = [frame(Kind::Stdin, first), frame(Kind::Stdin, second)];
    assert_eq!(frames(typed(long.clone())), expected);
    let size = |rows, columns| {
        let window_size = Some(tty_info::WindowSize { rows, columns });
        frames(control(Control {
            r#type: Some(control::Type::TtyInfo as i32),
            tty_info: Some(TtyInfo { window_size }),
            heartbeat: None,
        }))
    };
    assert_eq!(size(3, 258), [frame(Kind::Window, &[3, 0, 2, 1])]);
    assert_eq!(size(70_000, 0), [frame(Kind::Window, &[255, 255, 0, 0])]);
    let beat = control(Control {
        r#type: Some(control::Type::Heartbeat as i32),
        ..Control::default()
    });
    assert!(frames(beat).is_empty());
}

#[actix_web::test]
async fn what_the_shim_says_in_the_end_is_the_answer() {
    let errno = 32_i32.to_le_bytes();
    for (said, expected) in [
        (frame(Kind::Done, b""), 200),
        (frame(Kind::Busy, b""), 409),
        (frame(Kind::Broken, &errno), 500),
        (frame(Kind::Unsized, &errno), 400),
        (b"nonsense".to_vec(), 500),
        // The container has ended.
        (Vec::new(), 200),
    ] {
        let (ours, mut shim) = UnixStream::pair().unwrap();
        shim.write_all(&said).await.unwrap();
        drop(shim);
        let answer = verdict(ours.into_split().0).await;
        let status = answer.unwrap_or_else(|refused| refused).status();
        assert_eq!(status, expected, "{said:?}");
    }
    assert_eq!(reason(&errno), "Broken pipe");
}
