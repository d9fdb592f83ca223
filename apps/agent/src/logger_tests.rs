use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn files_are_bounded_only_where_the_agent_is_told_so() {
    assert_eq!(ContainerLogger::parse("sandbox"), Ok(Default::default()));
    let own = env(&[("CONTAINER_LOGGER_MAX_STDOUT_SIZE", "4KB")]);
    assert_eq!(ContainerLogger::default().rotation(&own), Ok(None));
    let logger = ContainerLogger::parse("logrotate").unwrap();
    let rotation = logger.rotation(&[]).unwrap().unwrap();
    assert_eq!(
        (rotation.stdout, rotation.stderr),
        (DEFAULT_BOUND, DEFAULT_BOUND)
    );
}

#[test]
fn a_task_may_have_bounds_of_its_own() {
    let text = "logrotate=max_stdout_size:1MB;logrotate_stderr_options:rotate 3";
    let logger = ContainerLogger::parse(text).unwrap();
    assert_eq!(
        ContainerLogger::parse(&logger.to_string()),
        Ok(logger),
        "what /flags shows can be given"
    );
    let own = env(&[
        (
            "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS",
            "compress rotate 0",
        ),
        ("CONTAINER_LOGGER_MAX_STDERR_SIZE", "2MB"),
        ("CONTAINER_LOGGER_OTHER", "x"),
        ("OTHER", "x"),
    ]);
    let rotation = logger.rotation(&own).unwrap().unwrap();
    let bound = |max_bytes, kept| Bound { max_bytes, kept };
    assert_eq!(rotation.stdout, bound(1 << 20, 0));
    assert_eq!(rotation.stderr, bound(2 << 20, 3));
}

#[test]
fn what_is_wrong_is_said() {
    for text in [
        "syslog",
        "sandbox=x",
        "logrotate=max_stdout_size",
        "logrotate=max_stdout_size:1B",
        "logrotate=logrotate_stdout_options:rotate many",
        "logrotate=size:1MB",
    ] {
        let error = ContainerLogger::parse(text).unwrap_err();
        assert!(error.contains("expected"), "{error}");
    }
    let own = env(&[("CONTAINER_LOGGER_MAX_STDERR_SIZE", "much")]);
    let logger = ContainerLogger::parse("logrotate").unwrap();
    let error = logger.rotation(&own).unwrap_err();
    assert!(error.starts_with("Failed to load container logger settings: max_stderr_size"));
}
