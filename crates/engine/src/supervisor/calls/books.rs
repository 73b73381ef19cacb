//! Which calls of a provider are open: a pure book. Each change of it is a revision.

use dormouse_secrets::Scrubbed;

use crate::adapter::ToolKind;
use crate::run::{CallFate, OpenCall};

/// Most calls that are open at once; one more is not allowed.
pub(super) const OPEN_MAX: usize = 64;
/// Most calls that are remembered as cut, the latest of them.
pub(super) const CUT_MAX: usize = 20;
/// What stands for the calls of which nothing is kept.
const MORE: &str = "more calls than are kept";

/// What is known of the calls of one process.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Raised by each change.
    revision: u64,
    /// What former processes left open or cut: forgotten when this one, which was told of them, makes a call.
    former: Vec<OpenCall>,
    open: Vec<Entry>,
    cut: Vec<OpenCall>,
    /// A call went on that is not kept: nobody hears how it ends, so as long as the process lives something is open.
    is_overfull: bool,
}

#[derive(Debug)]
struct Entry {
    /// As the provider writes it.
    id: String,
    call: OpenCall,
    /// How often it was asked for and answered with a yes, or will be; where never it is only known to go on.
    allowed: u32,
    /// The first revision that has it.
    since: u64,
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
            Some(at) => self.open[at].allowed += 1,
            None if self.open.len() >= OPEN_MAX => return None,
            None => self.enter(id, call, 1),
        }
        Some(self.revision)
    }

    /// Whether a call is open and allowed, and was so in the revision that is stored.
    pub(super) fn is_begun(&self, id: &str, stored: u64) -> bool {
        let mut open = self.open.iter();
        open.any(|entry| entry.id == id && entry.allowed > 0 && entry.since <= stored)
    }

    /// A call goes on that nobody was asked for. False where too many are open: then it is not known any more that nothing is.
    pub(super) fn note(&mut self, id: &str, call: OpenCall) -> bool {
        let is_known = self.open.iter().any(|entry| entry.id == id);
        if !is_known && self.open.len() < OPEN_MAX {
            self.enter(id, call, 0);
            return true;
        }
        if !is_known && !self.is_overfull {
            self.is_overfull = true;
            self.revision += 1;
        }
        is_known
    }

    /// Whether something goes on that nobody was asked for, and that this stored revision does not have.
    pub(super) fn goes_on_unasked(&self, stored: u64) -> bool {
        let mut open = self.open.iter();
        self.is_overfull || open.any(|entry| entry.allowed == 0 && entry.since > stored)
    }

    /// It is asked for now, so it has not begun, unless it was allowed before.
    pub(super) fn ask(&mut self, id: &str) {
        self.take(|entry| entry.id == id && entry.allowed == 0);
    }

    /// It was allowed, and is not told so. It stays open where it was told so before.
    pub(super) fn withdraw(&mut self, id: &str) {
        if let Some(entry) = self.open.iter_mut().find(|entry| entry.id == id) {
            entry.allowed = entry.allowed.saturating_sub(1);
        }
        self.take(|entry| entry.id == id && entry.allowed == 0);
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
        let more = self.is_overfull.then(more);
        (self.revision, all.cloned().chain(more).collect())
    }

    fn enter(&mut self, id: &str, call: OpenCall, allowed: u32) {
        self.former.clear();
        self.revision += 1;
        self.open.push(Entry {
            id: id.to_owned(),
            call,
            allowed,
            since: self.revision,
        });
    }

    fn take(&mut self, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let at = self.open.iter().position(is_it)?;
        self.revision += 1;
        Some(self.open.remove(at))
    }
}

fn more() -> OpenCall {
    OpenCall {
        id: Scrubbed::constant("more"),
        kind: ToolKind::Other,
        title: Scrubbed::constant(MORE),
        fate: CallFate::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_second_yes_that_is_not_told_takes_back_no_first_that_was() {
        let mut books = Books::default();
        books.begin("c0", call()).unwrap();
        books.ask("c0");
        books.begin("c0", call()).unwrap();
        books.withdraw("c0");
        assert_eq!(fates(&books), [CallFate::Open], "it was told the first");
        books.withdraw("c0");
        assert_eq!(fates(&books), []);
    }

    #[test]
    fn a_call_has_begun_where_what_is_stored_has_it() {
        let mut books = Books::default();
        let first = books.begin("c0", call()).unwrap();
        assert!(!books.is_begun("c0", 0), "it is not stored yet");
        assert!(books.is_begun("c0", first));
        books.end("c0", false);
        let (ended, _) = books.shown();
        assert!(!books.is_begun("c0", ended), "what is stored has it no more");
        let again = books.begin("c0", call()).unwrap();
        assert!(!books.is_begun("c0", ended), "that was another of its name");
        assert!(books.is_begun("c0", again));
        books.note("c1", call());
        let (noted, _) = books.shown();
        assert!(!books.is_begun("c1", noted), "nobody allowed it");
    }

    #[test]
    fn what_goes_on_unasked_and_is_not_stored_is_told_from_what_waits_for_its_yes() {
        let mut books = Books::default();
        let allowed = books.begin("c0", call()).unwrap();
        assert!(!books.goes_on_unasked(0), "it is told no");
        books.note("c1", call());
        assert!(books.goes_on_unasked(allowed));
        assert!(!books.goes_on_unasked(books.shown().0), "it is stored");
        books.end("c1", false);
        assert!(!books.goes_on_unasked(allowed));
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
        let (revision, kept) = books.shown();
        assert_eq!(kept.len(), OPEN_MAX);
        assert!(!books.note("more", call()));
        assert!(!books.note("yet more", call()));
        let (overfull, mut shown) = books.shown();
        assert_eq!((overfull, shown.pop()), (revision + 1, Some(more())));
        assert_eq!(shown, kept);
        books.end("more", false);
        for number in 0..OPEN_MAX {
            books.end(&number.to_string(), false);
        }
        assert_eq!(
            books.shown().1,
            [more()],
            "nobody hears how what is not kept ends"
        );
    }
}
