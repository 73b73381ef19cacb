use dormouse_engine::capability::{Action, Approved};
use dormouse_engine::gate::{Call, Input};

struct Publish;
struct Delete;

impl Action for Publish {
    fn call(&self) -> Call {
        let (title, content) = ("report.md".to_owned(), String::new());
        Call::new("publish", Input::Shown { title, content })
    }
}

fn delete(_: Approved<Delete>) {}

fn with(publish: Approved<Publish>) {
    delete(publish);
}

fn main() {}
