//! Which calls of a provider are open: a pure book. Each change of it is a revision.

use crate::run::{CallFate, OpenCall};

/// Most calls that are open at once; one more is not allowed.
pub(super) const OPEN_MAX: usize = 64;
/// Most calls that are remembered as cut, the latest of them.
pub(super) const CUT_MAX: usize = 20;

/// What is known of the calls of one process.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Raised by each change.
    revision: u64,
    /// What former processes left open or cut: forgotten when this one, which was told of them, makes a call.
    former: Vec<OpenCall>,
    open: Vec<Entry>,
    cut: Vec<OpenCall>,
}

#[derive(Debug)]
struct Entry {
    /// As the provider writes it.
    id: String,
    call: OpenCall,
    /// Whether it was asked for and answered, or will be; else it is only known to go on.
    is_allowed: bool,
}

impl Books {
    pub(super) fn new(former: Vec<OpenCall>) -> Self {
        Self {
            former,
            ..Self::default()
        }
    }

    /// A call is to begin: not before this revision is stored. None where too many are open.
    pub(super) fn begin(&mut self, id: &str, call: OpenCall) -> Option<u64> {
        match self.open.iter().position(|entry| entry.id == id) {
            Some(at) => self.open[at].is_allowed = true,
            None if self.open.len() >= OPEN_MAX => return None,
            None => self.enter(id, call, true),
        }
        Some(self.revision)
    }

    /// A call goes on that nobody was asked for. False where too many are open: then nothing is known any more.
    pub(super) fn note(&mut self, id: &str, call: OpenCall) -> bool {
        let is_known = self.open.iter().any(|entry| entry.id == id);
        if !is_known && self.open.len() < OPEN_MAX {
            self.enter(id, call, false);
            return true;
        }
        is_known
    }

    /// It is asked for now, so it has not begun, unless it was allowed before.
    pub(super) fn ask(&mut self, id: &str) {
        self.take(|entry| entry.id == id && !entry.is_allowed);
    }

    /// It was allowed, and is not told so.
    pub(super) fn withdraw(&mut self, id: &str) {
        self.take(|entry| entry.id == id);
    }

    /// It has ended. One that is not open is of no interest.
    pub(super) fn end(&mut self, id: &str, is_cut: bool) {
        let Some(entry) = self.take(|entry| entry.id == id) else {
            return;
        };
        if is_cut {
            if self.cut.len() >= CUT_MAX {
                self.cut.remove(0);
            }
            self.cut.push(OpenCall {
                fate: CallFate::Cut,
                ..entry.call
            });
        }
    }

    /// The present revision, and what is stored of it.
    pub(super) fn shown(&self) -> (u64, Vec<OpenCall>) {
        let open = self.open.iter().map(|entry| &entry.call);
        let all = self.former.iter().chain(&self.cut).chain(open);
        (self.revision, all.cloned().collect())
    }

    fn enter(&mut self, id: &str, call: OpenCall, is_allowed: bool) {
        self.former.clear();
        self.open.push(Entry {
            id: id.to_owned(),
            call,
            is_allowed,
        });
        self.revision += 1;
    }

    fn take(&mut self, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let at = self.open.iter().position(is_it)?;
        self.revision += 1;
        Some(self.open.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_secrets::Scrubbed;

    use super::*;
    use crate::adapter::ToolKind;

    fn call() -> OpenCall {
        OpenCall {
            id: Scrubbed::constant("c"),
            kind: ToolKind::Execute,
            title: Scrubbed::constant("rm x"),
            fate: CallFate::Open,
        }
    }

    fn fates(books: &Books) -> Vec<CallFate> {
        books.shown().1.iter().map(|call| call.fate).collect()
    }

    #[test]
    fn a_call_is_open_from_its_answer_to_its_end() {
        let mut books = Books::default();
        assert_eq!(books.begin("c0", call()), Some(1));
        assert_eq!(fates(&books), [CallFate::Open]);
        assert_eq!(books.begin("c0", call()), Some(1), "it is open already");
        books.end("c1", true);
        assert_eq!(books.shown().0, 1, "nobody began that");
        books.end("c0", false);
        assert_eq!(books.shown(), (2, vec![]));
    }

    #[test]
    fn one_that_was_called_off_is_remembered_and_the_oldest_are_forgotten() {
        let mut books = Books::default();
        for number in 0..=CUT_MAX {
            let id = number.to_string();
            books.begin(&id, call()).unwrap();
            books.end(&id, true);
        }
        assert_eq!(fates(&books), [CallFate::Cut; CUT_MAX]);
    }

    #[test]
    fn what_goes_on_unasked_is_open_until_it_is_asked_for_or_ends() {
        let mut books = Books::default();
        assert!(books.note("c0", call()));
        assert!(books.note("c0", call()), "said twice it is one");
        assert_eq!(fates(&books), [CallFate::Open]);
        books.ask("c0");
        assert_eq!(books.shown(), (2, vec![]), "it waits for an answer");
        books.begin("c0", call()).unwrap();
        books.ask("c0");
        assert_eq!(
            fates(&books),
            [CallFate::Open],
            "asked again it may have begun before"
        );
        books.withdraw("c0");
        assert_eq!(fates(&books), []);
    }

    #[test]
    fn what_a_former_process_left_is_forgotten_with_the_first_call_of_this_one() {
        let cut = OpenCall {
            fate: CallFate::Cut,
            ..call()
        };
        let mut books = Books::new(vec![cut.clone(), cut]);
        assert_eq!(books.shown().0, 0);
        assert_eq!(fates(&books), [CallFate::Cut; 2]);
        books.begin("c0", call()).unwrap();
        assert_eq!(fates(&books), [CallFate::Open]);
    }

    #[test]
    fn no_more_are_open_than_are_kept() {
        let mut books = Books::default();
        for number in 0..OPEN_MAX {
            assert!(books.begin(&number.to_string(), call()).is_some());
        }
        assert_eq!(books.begin("more", call()), None);
        assert!(!books.note("more", call()));
        assert_eq!(books.shown().1.len(), OPEN_MAX);
    }
}
