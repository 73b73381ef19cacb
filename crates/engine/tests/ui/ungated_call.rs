use dormouse_engine::capability::{Action, Approved};
use dormouse_engine::gate::{Call, Input};

struct Publish;

impl Action for Publish {
    fn call(&self) -> Call {
        let (title, content) = ("report.md".to_owned(), String::new());
        Call::new("publish", Input::Shown { title, content })
    }
}

fn publish(_: Approved<Publish>) {}

fn main() {
    publish(Publish);
}
