use super::*;
use crate::v1::{CommandInfo, ExecutorId, ExecutorInfo};

#[test]
fn the_user_is_that_of_the_command_and_else_of_the_executors() {
    let command = |user: &str| CommandInfo {
        user: Some(user.to_owned()),
        ..CommandInfo::default()
    };
    let mut info = TaskInfo {
        executor: Some(ExecutorInfo {
            executor_id: ExecutorId {
                value: "e".to_owned(),
            },
            command: Some(command("theirs")),
            ..ExecutorInfo::default()
        }),
        ..TaskInfo::default()
    };
    let task = staging("f", &info);
    assert_eq!(task.framework_id.value, "f");
    assert_eq!(task.state(), TaskState::TaskStaging);
    assert_eq!(task.executor_id.map(|it| it.value).as_deref(), Some("e"));
    assert_eq!(task.user.as_deref(), Some("theirs"));
    info.command = Some(command("own"));
    assert_eq!(staging("f", &info).user.as_deref(), Some("own"));
}
