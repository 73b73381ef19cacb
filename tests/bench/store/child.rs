//! Processes that the run starts: what is measured in them is theirs alone, and they can be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{million, postgres};

/// What a child was started for.
pub(crate) async fn run(task: &[String]) {
    let task: Vec<&str> = task.iter().map(String::as_str).collect();
    match task.as_slice() {
        ["append", milliseconds] => {
            let milliseconds = milliseconds.parse().expect("a number of milliseconds");
            postgres::append_child(Duration::from_millis(milliseconds)).await;
        }
        [task, folder, count] => {
            let count = count.parse().expect("a number of records");
            million::child(task, Path::new(folder), count).await;
        }
        _ => panic!("no such child"),
    }
}

/// Starts this program again, for a task on a folder.
pub(crate) fn start(task: &str, folder: &Path, count: u64) -> Child {
    Command::new(std::env::current_exe().expect("it runs from a file"))
        .args(["--child", task])
        .arg(folder)
        .arg(count.to_string())
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it can be started again")
}
