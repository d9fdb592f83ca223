use anyhow::Context;

use super::*;

#[test]
fn a_disk_that_failed_is_told_from_wrong_settings() {
    let failed = || EngineError::Io {
        reason: "EIO".to_owned(),
    };
    let opening = Err::<(), _>(failed()).context("--work-dir /w");
    let member = Err::<(), _>(ConsensusError::from(failed())).context("--work-dir /w");
    let full = ConsensusError::from(EngineError::DiskFull {
        reason: "ENOSPC".to_owned(),
    });
    let running = DiskFailed("the registry has stopped".to_owned());
    for error in [
        opening.unwrap_err(),
        member.unwrap_err(),
        full.into(),
        running.into(),
    ] {
        assert_eq!(status(&error), 74, "{error:#}");
    }
    let damaged = ConsensusError::from(EngineError::Damaged {
        reason: "CRC".to_owned(),
    });
    for error in [damaged.into(), anyhow::anyhow!("--port: in use")] {
        assert_eq!(status(&error), USAGE, "{error:#}");
    }
}

#[test]
fn who_calls_is_told_whose_fault_it_is() {
    let unreachable = || Error::Unreachable {
        address: "m1:5050".to_owned(),
        reason: "refused".to_owned(),
    };
    let refused = |status| Error::Refused {
        status,
        text: "no".to_owned(),
    };
    for (error, expected) in [
        (unreachable(), 69),
        (Error::NoLeader("m1".to_owned()), 69),
        (refused(503), 69),
        (refused(401), 77),
        (refused(403), 77),
        (refused(400), 2),
    ] {
        let text = error.to_string();
        let error = Err::<(), _>(error).context("--master m1:5050").unwrap_err();
        assert_eq!(status(&error), expected, "{text}");
    }
    let told = crate::commands::in_words(refused(403));
    assert_eq!((status(&told), told.to_string()), (77, "no".to_owned()));
}
