//! What a page says in words, in any of the languages of `lexicon`: what is told of its visitor, and what is asked of it.
//!
//! Two words that mean something together stand in one sentence. A title or heading speaks for its page where it is made
//! of such words and nothing else: one that has more in it speaks of them.

use super::lexicon::{Kind, Kinds, Lexicon, Part, folded};
use super::page::Facts;
use super::words::sentences;

/// Most of a title that is looked at, in characters: a longer one is a sentence.
const TITLE_MAX: usize = 120;
/// Fewest digits of a number by which a visitor is asked to name the case.
const CASE_DIGITS: usize = 4;

/// What says that a visitor is turned away, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is taken for a machine.
    Machine,
    /// What it does is out of the ordinary.
    Suspicion,
    /// Its address, access or request is shut out.
    Shut,
    /// A defence speaks.
    Defence,
    /// It is in the wrong country.
    Abroad,
    /// It comes by a way around.
    Tunnel,
    /// It is to show, or is being looked at, whether it is a person.
    Test,
    /// It is to run scripts.
    Script,
}

impl Telling {
    const ALL: [Self; 8] = [
        Self::Machine,
        Self::Suspicion,
        Self::Shut,
        Self::Defence,
        Self::Abroad,
        Self::Tunnel,
        Self::Test,
        Self::Script,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Machine => "taken for a machine",
            Self::Suspicion => "suspicious activity",
            Self::Shut => "visitor shut out",
            Self::Defence => "a defence speaks",
            Self::Abroad => "wrong country",
            Self::Tunnel => "vpn or proxy",
            Self::Test => "asked to be human",
            Self::Script => "scripts asked for",
        }
    }

    fn is_in(self, said: Kinds) -> bool {
        use Kind::{
            Absent, Asked, Barred, Browser, Checking, Country, Defence, Deny, Enable, Guard, Human,
            Javascript, Machine, Permit, Prove, Secure, Seen, Suspect, Traffic, Using, Visitor, Vpn, You,
        };
        let has = |kind| said.has(kind);
        match self {
            Self::Machine => has(Machine) && said.any(&[You, Visitor, Asked, Traffic, Deny, Barred]),
            Self::Suspicion => has(Suspect) && said.any(&[Traffic, Seen, Visitor, Asked]),
            Self::Shut => {
                let is_barred = has(Deny) || (has(Barred) && !has(Permit));
                (has(Visitor) && is_barred) || (has(Asked) && has(Deny))
            }
            Self::Defence => has(Defence) || (has(Guard) && has(Deny)),
            Self::Abroad => has(Country) && said.any(&[Deny, Barred, Absent]),
            Self::Tunnel => has(Vpn) && has(Using),
            Self::Test => {
                let is_looked_at = said.any(&[Browser, Human, Machine, Secure, Visitor]);
                (has(Prove) && said.any(&[Human, Machine])) || (has(Checking) && is_looked_at)
            }
            Self::Script => has(Enable) && has(Javascript),
        }
    }

    /// Words that show it in the page.
    fn words(part: &Part) -> Vec<&'static str> {
        use Kind::{Asked, Checking, Defence, Deny, Guard, Human, Machine, Suspect, Visitor, Vpn};
        let kinds = [
            Machine, Suspect, Deny, Defence, Guard, Vpn, Human, Visitor, Asked, Checking,
        ];
        part.words_of(&kinds).collect()
    }
}

/// How a title or heading speaks for its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Title {
    /// It says nothing of the kind.
    Other,
    /// It forbids, or asks, or tests something, as others do too.
    Weak,
    /// It shuts its visitor out, or tests whether that is a person.
    Strong,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Title and heading, whole or cut at what sets a site's name apart.
    titles: Vec<Part>,
    /// The sentences of the text, without the heading.
    body: Vec<Part>,
    /// A number or code to name the case by, or the visitor's address.
    has_case: bool,
}

impl Speech {
    /// Listens to a page.
    pub(super) fn of(facts: &Facts) -> Self {
        let lexicon = Lexicon::built_in();
        let (title, heading) = (folded(&facts.title), folded(&facts.heading));
        let titles = [&title, &heading].into_iter().flat_map(|text| {
            let parts = text.split(['|', '–', '—', '·', '•']);
            parts.flat_map(|part| part.split(" - "))
        });
        let short = titles.filter(|part| part.chars().count() <= TITLE_MAX);
        let text = folded(&facts.lines);
        let lines = text.split('\n').filter(|line| line.trim() != heading);
        let said = lines
            .flat_map(sentences)
            .filter(|sentence| !sentence.trim().is_empty());
        Self {
            titles: short.map(|part| lexicon.hear(part)).collect(),
            body: said.map(|sentence| lexicon.hear(sentence)).collect(),
            has_case: has_case(&text),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Part> {
        self.body.iter().chain(&self.titles)
    }

    /// What is told of the visitor, with the words that show it: in the title too, or in the text alone.
    pub(super) fn told(&self, is_title_heard: bool) -> Option<(Telling, Vec<&'static str>)> {
        let titles = self.titles.iter().filter(|_| is_title_heard);
        self.body.iter().chain(titles).find_map(|part| {
            let mut tellings = Telling::ALL.into_iter();
            let telling = tellings.find(|telling| telling.is_in(part.kinds))?;
            Some((telling, Telling::words(part)))
        })
    }

    /// How many different things the text tells.
    pub(super) fn tellings(&self) -> usize {
        let is_told = |telling: &Telling| self.body.iter().any(|part| telling.is_in(part.kinds));
        Telling::ALL.iter().filter(|telling| is_told(telling)).count()
    }

    /// It says that it tests whether its visitor is a person.
    pub(super) fn is_test(&self) -> bool {
        self.all().any(|part| Telling::Test.is_in(part.kinds))
    }

    /// It speaks of machines at all.
    pub(super) fn names_machines(&self) -> bool {
        self.all().any(|part| part.kinds.has(Kind::Machine))
    }

    /// Its text speaks to whoever reads it, or of the visit.
    pub(super) fn speaks_to_visitor(&self) -> bool {
        let kinds = [Kind::You, Kind::Visitor, Kind::Asked];
        self.body.iter().any(|part| part.kinds.any(&kinds))
    }

    /// It speaks of the visitor's address, network or access.
    pub(super) fn names_visitor(&self) -> bool {
        self.all().any(|part| part.kinds.has(Kind::Visitor))
    }

    pub(super) const fn has_case(&self) -> bool {
        self.has_case
    }

    /// How the title or the heading speaks, whichever says more.
    pub(super) fn title(&self) -> Title {
        let titles = self.titles.iter().filter(|part| part.is_whole());
        titles.map(|part| title(part.kinds)).max().unwrap_or(Title::Other)
    }

    /// By which words it says that too much was asked for. Of machines that is said otherwise.
    pub(super) fn limit(&self) -> Option<Vec<&'static str>> {
        let is_title = |part: &&Part| part.is_whole() && part.kinds.has(Kind::Limit);
        let said = self.all().find(|part| is_limit(part.kinds));
        said.or_else(|| self.titles.iter().find(is_title))
            .map(words_of_limit)
    }

    /// The same, as a title or heading.
    pub(super) fn limit_as_title(&self) -> Option<Vec<&'static str>> {
        let mut titles = self.titles.iter().filter(|part| part.is_whole());
        titles.find(|part| is_limit(part.kinds)).map(words_of_limit)
    }

    pub(super) fn asks_to_wait(&self) -> bool {
        self.body.iter().any(|part| part.kinds.has(Kind::Wait))
    }

    /// By which words it asks to solve something.
    pub(super) fn task(&self) -> Option<Vec<&'static str>> {
        let is_task = |said: Kinds| said.has(Kind::Task) || (said.has(Kind::Do) && said.has(Kind::Puzzle));
        let part = self.all().find(|part| is_task(part.kinds))?;
        Some(part.words_of(&[Kind::Task, Kind::Puzzle]).collect())
    }

    /// It speaks of something to solve.
    pub(super) fn names_puzzle(&self) -> bool {
        self.all().any(|part| part.kinds.has(Kind::Puzzle))
    }

    /// It says what a test is good for: to go on, or to tell people from machines.
    pub(super) fn has_purpose(&self) -> bool {
        let kinds = [Kind::See, Kind::Human, Kind::Machine];
        self.all().any(|part| part.kinds.any(&kinds))
    }

    /// By which words it says that a login is needed: `to see` what was asked for, or at all.
    pub(super) fn login(&self, is_to_see: bool) -> Option<Vec<&'static str>> {
        let is_asked = |said: Kinds| {
            said.has(Kind::Login)
                && said.has(Kind::Need)
                && !said.has(Kind::Another)
                && (!is_to_see || said.has(Kind::See))
        };
        let part = self.all().find(|part| is_asked(part.kinds))?;
        Some(part.words_of(&[Kind::Login]).collect())
    }
}

fn title(said: Kinds) -> Title {
    use Kind::{
        Asked, Barred, Browser, Check, Checking, Deny, Human, Machine, Prove, Request, Secure, Seen, Suspect,
        Traffic, Visitor, You,
    };
    let has = |kind| said.has(kind);
    let is_test = (has(Prove) && said.any(&[Human, Machine]))
        || (has(Check) && said.any(&[Human, Machine, Secure, Browser]))
        || (has(Checking) && said.any(&[Human, Machine, Secure, Browser, Visitor]));
    let is_shut = (has(Deny) && said.any(&[You, Visitor, Asked, Request])) || (has(Visitor) && has(Barred));
    let is_found = has(Seen) && (has(Machine) || (has(Suspect) && has(Traffic)));
    if is_test || is_shut || is_found {
        Title::Strong
    } else if said.any(&[Deny, Barred, Check, Checking, Suspect]) || (has(Machine) && said.any(&[You, Human]))
    {
        Title::Weak
    } else {
        Title::Other
    }
}

fn is_limit(said: Kinds) -> bool {
    let is_over = said.has(Kind::Exceed) && said.has(Kind::Limit);
    let is_many = said.has(Kind::Many) && said.has(Kind::Requests);
    !said.has(Kind::Machine) && (said.has(Kind::Limited) || is_over || is_many)
}

fn words_of_limit(part: &Part) -> Vec<&'static str> {
    part.words_of(&[Kind::Limited, Kind::Limit, Kind::Many]).collect()
}

/// A word with digits that is no year and no status, or an address.
fn has_case(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        digits >= CASE_DIGITS && word.chars().any(|c| matches!(c, '.' | '-' | '#' | ':'))
            || digits >= 2 * CASE_DIGITS
    })
}

#[cfg(test)]
mod tests {
    use super::{Speech, Telling, Title};
    use crate::detect::page::read;
    use crate::detect::rules::Rules;

    fn of(html: &str) -> Speech {
        Speech::of(&read(html.as_bytes(), &Rules::default()))
    }

    #[test]
    fn what_is_told_stands_in_one_sentence() {
        for (html, telling) in [
            ("<p>You look like a robot to us.", Some(Telling::Machine)),
            (
                "<p>Wir haben auffälligen Datenverkehr bemerkt.",
                Some(Telling::Suspicion),
            ),
            ("<p>Votre adresse IP a été bloquée.", Some(Telling::Shut)),
            ("<p>Ваш доступ</p><p>ограничен", None),
            (
                "<p>El cortafuegos ha bloqueado la página.",
                Some(Telling::Defence),
            ),
            (
                "<p>このサービスはお住まいの地域ではご利用いただけません。",
                Some(Telling::Abroad),
            ),
            ("<p>Desative a VPN.", Some(Telling::Tunnel)),
            (
                "<p>Your role has no permission: your access is restricted.",
                Some(Telling::Shut),
            ),
            ("<p>Your access is restricted for want of a permission.", None),
            ("<p>Prove that you are human.", Some(Telling::Test)),
            ("<p>Directory listing is not allowed.", None),
        ] {
            let told = of(html).told(false).map(|(telling, _)| telling);
            assert_eq!(told, telling, "{html}");
        }
    }

    #[test]
    fn a_title_speaks_for_its_page_where_it_says_nothing_else() {
        for (title, is) in [
            ("Access blocked | Shop", Title::Strong),
            ("Vérification de sécurité", Title::Strong),
            ("Access denied", Title::Weak),
            ("アクセス制限", Title::Weak),
            ("Access denied: a novel", Title::Other),
            ("Why was I blocked?", Title::Other),
            ("I'm not a robot", Title::Other),
        ] {
            assert_eq!(of(&format!("<title>{title}</title>")).title(), is, "{title}");
        }
    }

    #[test]
    fn a_limit_is_of_requests_and_not_of_machines() {
        for (html, is_limit) in [
            ("<p>You made too many requests.", true),
            ("<p>Too many automated requests.", false),
            ("<p>Too many readers are here today.", false),
            ("<p>Your storage quota is used up.", false),
            ("<p>请求次数已达上限", true),
        ] {
            assert_eq!(of(html).limit().is_some(), is_limit, "{html}");
        }
    }
}
