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
