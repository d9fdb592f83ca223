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

fn status(state: TaskState, message: &str) -> TaskStatus {
    TaskStatus {
        state: state as i32,
        message: Some(message.to_owned()),
        data: Some(vec![1; 100].into()),
        ..TaskStatus::default()
    }
}

#[test]
fn runs_of_one_state_are_one_status_and_the_oldest_give_way() {
    let states = [TaskState::TaskStarting, TaskState::TaskRunning];
    let mut task = Task::default();
    keep_status(&mut task, &status(states[1], "first"));
    keep_status(&mut task, &status(states[1], "second"));
    assert_eq!(task.statuses.len(), 1);
    assert_eq!(task.statuses[0].message(), "second");
    assert_eq!(task.statuses[0].data, None);
    for number in 0..300 {
        keep_status(&mut task, &status(states[number % 2], &number.to_string()));
    }
    assert_eq!(task.statuses.len(), MAX_STATUSES);
    assert_eq!(task.statuses[MAX_STATUSES - 1].message(), "299");
}

#[test]
fn what_executors_write_into_statuses_has_a_bound() {
    let states = [TaskState::TaskStarting, TaskState::TaskRunning];
    let mut task = Task::default();
    for bytes in [MAX_STATUS_BYTES / 2, 1 << 20] {
        let message = "\u{e9}".repeat(bytes / 2);
        for number in 0..200 {
            keep_status(&mut task, &status(states[number % 2], &message));
            assert!(statuses_bytes(&task.statuses) <= MAX_STATUSES_BYTES);
        }
    }
    let last = task.statuses.last().map_or("", TaskStatus::message);
    assert_eq!(last.len(), MAX_MESSAGE_BYTES);
}

#[test]
fn where_the_room_is_full_a_task_is_told_with_its_last_status() {
    let states = [TaskState::TaskStarting, TaskState::TaskRunning];
    let statuses: Vec<_> = states.map(|state| status(state, "told")).into();
    let mut room = 2 * statuses_bytes(&statuses);
    for expected in [2, 2, 1, 1] {
        let mut told = statuses.clone();
        fit_statuses(&mut told, &mut room);
        assert_eq!(told, statuses[2 - expected..]);
    }
    assert_eq!(room, 0);
    fit_statuses(&mut Vec::new(), &mut room);
}
