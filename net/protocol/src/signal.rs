//! Signals in the words of the GNU C library (`strsignal`), with which Mesos tells how a command ended.

pub const SIGKILL: i32 = 9;
pub const SIGTERM: i32 = 15;

const NAMES: [&str; 31] = [
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
];

/// The signals of which only the number says something: the first and the last one.
const REALTIME: (i32, i32) = (34, 64);
const REALTIME_TEXT: &str = "Real-time signal ";
const UNKNOWN_TEXT: &str = "Unknown signal ";

/// A signal in words.
pub fn text(signal: i32) -> String {
    let (first, last) = REALTIME;
    let index = usize::try_from(signal - 1).ok();
    match index.and_then(|index| NAMES.get(index)) {
        Some(name) => (*name).to_owned(),
        None if (first..=last).contains(&signal) => format!("{REALTIME_TEXT}{}", signal - first),
        None => format!("{UNKNOWN_TEXT}{signal}"),
    }
}

/// The signal of such a text, if it is one.
pub fn number(text: &str) -> Option<i32> {
    if let Some(index) = NAMES.iter().position(|name| *name == text) {
        return i32::try_from(index + 1).ok();
    }
    if let Some(number) = text.strip_prefix(REALTIME_TEXT) {
        return number.parse::<i32>().ok()?.checked_add(REALTIME.0);
    }
    text.strip_prefix(UNKNOWN_TEXT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_is_found_again_in_its_words() {
        for signal in 1..=64 {
            assert_eq!(number(&text(signal)), Some(signal), "{}", text(signal));
        }
        assert_eq!(text(40), "Real-time signal 6");
        assert_eq!(text(32), "Unknown signal 32");
        assert_eq!(number("something else"), None);
    }
}
