use super::*;

#[test]
fn what_a_uri_says() {
    let home = Path::new("/home");
    let path = |text: &str| Source::Path(PathBuf::from(text));
    for (uri, source, name) in [
        ("/a/b", path("/a/b"), "b"),
        ("  \t/a/b", path("/a/b"), "b"),
        ("file:///a/b", path("/a/b"), "b"),
        ("file://localhost/a/b.tar", path("/a/b.tar"), "b.tar"),
        ("bin/run", path("/home/bin/run"), "run"),
        ("/a/b?c", path("/a/b?c"), "b?c"),
        ("file:///a/b?c", path("/a/b?c"), "b?c"),
        ("http://h/a", Source::Url("http://h/a"), "a"),
    ] {
        let asked = parse(uri, Some(home)).unwrap();
        assert_eq!((asked.source, asked.name), (source, name), "{uri}");
    }
}

#[test]
fn what_cannot_be_understood_is_said_in_mesos_words() {
    for (uri, error) in [
        ("lala://nopath", "Malformed URI (missing path)"),
        ("http://host", "Malformed URI (missing path)"),
        ("http://host/", "Malformed URI (missing path)"),
        ("file://a/b", "File URI only supports absolute paths"),
        ("/a\0b", "Illegal characters in URI"),
        ("a/b", "a relative path needs the agent's --frameworks_home"),
        ("/..", "it names no file"),
        ("http://h/?a=/", "it names no file"),
        ("http://h/a/../?/..", "it names no file"),
        ("", "a relative path needs the agent's --frameworks_home"),
        (
            "hdfs://h/a",
            "this agent cannot fetch by 'hdfs'; use http, https, file or an absolute path",
        ),
    ] {
        assert_eq!(parse(uri, None).unwrap_err(), error, "{uri}");
    }
}

#[test]
fn a_checksum_stands_behind_the_uri() {
    let sum = "0123456789abcdefABCDEF0123456789".repeat(2);
    let uri = format!("http://h/a?b#sha256={sum}");
    let asked = parse(&uri, None).unwrap();
    assert_eq!(asked.source, Source::Url("http://h/a?b"));
    assert_eq!(asked.name, "a?b");
    let read = asked.checksum.unwrap();
    assert_eq!(read[..4], [0x01, 0x23, 0x45, 0x67]);
    assert_eq!(read[8..12], [0xab, 0xcd, 0xef, 0x01]);
    let wrong = "the checksum behind '#sha256=' must have 64 hexadecimal digits";
    for sum in ["", "12", &"g".repeat(64), &"é".repeat(32)] {
        let uri = format!("/a#sha256={sum}");
        assert_eq!(parse(&uri, None).unwrap_err(), wrong);
    }
    // A file may have such a name.
    let asked = parse("/a#sha1=12", None).unwrap();
    assert_eq!((asked.name, asked.checksum), ("a#sha1=12", None));
}

#[test]
fn a_file_is_called_as_in_mesos_where_a_file_can_be_called_so() {
    let longest = format!("a.tar?{}", "x".repeat(249));
    let too_long = format!("{longest}x");
    for (end, name) in [
        ("a.tar?b=c", "a.tar?b=c"),
        ("a?b=/c.tar", "c.tar"),
        ("a.tar#b", "a.tar#b"),
        ("a/#x", "#x"),
        ("?x", "?x"),
        ("a%2Fb", "a%2Fb"),
        (longest.as_str(), longest.as_str()),
        // Mesos cannot fetch these.
        (too_long.as_str(), "a.tar"),
        ("a/", "a"),
        ("a?b=/", "a"),
        ("a?b=/.", "a"),
        ("b/a?c/..", "a"),
    ] {
        let uri = format!("http://h/{end}");
        assert_eq!(parse(&uri, None).unwrap().name, name, "{uri}");
    }
}

#[test]
fn secrets_are_not_shown() {
    for (name, expected) in [
        ("a\u{1b}b", "ab"),
        ("a?token=c", "a?..."),
        ("a#c?d", "a?..."),
    ] {
        assert_eq!(shown_name(name), expected);
    }
    let shown = shown(" https://user:pass@host:1/a\r\nb?token=c#d");
    assert_eq!(shown, "https://host:1/ab");
}
