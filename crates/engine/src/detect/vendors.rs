//! What vendors leave on the pages that refuse, from `vendors.json`.
//!
//! A mark is a place and a needle, `script:_cf_chl_opt`. A group of marks is met when of each of its lists one mark was
//! found, and a group that is `bare` only on a page without text and fields.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::Deserialize;

pub(super) use super::place::Place;

/// A place and what is looked for there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    place: Place,
    needle: String,
}

/// Marks that stand for one thing.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) is_bare: bool,
    /// They stand in the text, where others quote them: they count on an answer that refuses.
    pub(super) is_prose: bool,
    /// Of each list one is found; numbers of marks.
    lists: Vec<Vec<usize>>,
}

/// A maker of defences.
#[derive(Debug)]
pub(super) struct Vendor {
    pub(super) name: String,
    /// Whether a block of its pages names it; else it is a defence that has no word of ours.
    pub(super) is_named: bool,
    pub(super) groups: Vec<Group>,
}

/// A maker of tests that scripts draw.
#[derive(Debug)]
struct Drawn {
    provider: String,
    marks: Vec<usize>,
}

/// Looks for many needles at once.
#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    /// For each needle the number of its mark.
    numbers: Vec<usize>,
}

/// The data file, ready for use.
#[derive(Debug)]
pub(super) struct Vendors {
    pub(super) version: u32,
    pub(super) vendors: Vec<Vendor>,
    /// By which calls scripts draw a maker's test.
    drawn: Vec<Drawn>,
    /// By which words they say that it is not to be seen.
    unseen: Vec<usize>,
    /// What pages say by which they refuse.
    pub(super) sayings: Sayings,
    marks: Vec<Mark>,
    /// What is looked for in the parts of a page that are no text, and in those that are.
    searches: [Search; 2],
    /// For each place that compares, its needles and their marks.
    compared: BTreeMap<&'static str, Vec<(String, usize)>>,
}

/// Words of pages that refuse, all in lower case.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sayings {
    /// Titles and first headings of refusals.
    #[serde(rename = "refusal_phrases")]
    pub(super) phrases: Vec<String>,
    /// Those that others ask as well.
    #[serde(rename = "refusal_questions")]
    pub(super) questions: Vec<String>,
    /// What refusals have in their text that take the visitor for a machine or an attack.
    #[serde(rename = "refusal_words")]
    pub(super) words: Vec<String>,
    /// Sentences by which they say what became of the visitor.
    #[serde(rename = "refusal_sentences")]
    pub(super) sentences: Vec<Sentence>,
    /// What says that a visitor asked for too much.
    pub(super) limits: Vec<String>,
    /// What asks to come back later.
    pub(super) waits: Vec<String>,
}

/// Said of the visitor, in one language: one of each in a sentence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sentence {
    pub(super) who: Vec<String>,
    pub(super) what: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    version: u32,
    #[serde(flatten)]
    sayings: Sayings,
    #[serde(default)]
    drawn: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    unseen: Vec<String>,
    vendors: Vec<VendorRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VendorRow {
    name: String,
    #[serde(default)]
    unnamed: bool,
    groups: Vec<GroupRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupRow {
    name: String,
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    prose: bool,
    all: Vec<Vec<String>>,
}

impl Search {
    fn of(marks: &[Mark], is_text: bool, kind: Option<AhoCorasickKind>) -> Result<Self, String> {
        let numbered = marks.iter().enumerate();
        let is_searched = |mark: &Mark| mark.place.is_searched() && mark.place.is_text() == is_text;
        let searched = numbered.filter(|(_, mark)| is_searched(mark));
        let numbers: Vec<usize> = searched.map(|(number, _)| number).collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(kind)
            .build(numbers.iter().map(|&number| &marks[number].needle))
            .map_err(|error| error.to_string())?;
        Ok(Self { automaton, numbers })
    }
}

impl Vendors {
    /// What the program was built with.
    pub(super) fn built_in() -> Self {
        Self::parse(include_str!("vendors.json")).expect("the data file is tested with the program")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut marks = Vec::new();
        let mut vendors = Vec::new();
        for row in file.vendors {
            let groups = row.groups.into_iter().map(|group| group.numbered(&mut marks));
            vendors.push(Vendor {
                name: row.name,
                is_named: !row.unnamed,
                groups: groups.collect::<Result<_, _>>()?,
            });
        }
        let mut drawn = Vec::new();
        for (provider, calls) in &file.drawn {
            drawn.push(Drawn {
                provider: provider.clone(),
                marks: all_numbered(calls, &mut marks)?,
            });
        }
        let unseen = all_numbered(&file.unseen, &mut marks)?;
        // Every page's scripts are looked through: memory for time.
        let searches = [
            Search::of(&marks, false, Some(AhoCorasickKind::DFA))?,
            Search::of(&marks, true, None)?,
        ];
        Ok(Self {
            version: file.version,
            vendors,
            drawn,
            unseen,
            sayings: file.sayings,
            compared: compared(&marks),
            marks,
            searches,
        })
    }

    /// Nothing found yet.
    pub(super) fn nothing(&self) -> Found {
        Found(vec![false; self.marks.len()])
    }

    /// Notes which marks of the place are in the text.
    pub(super) fn search(&self, place: Place, text: &[u8], found: &mut Found) {
        let search = &self.searches[usize::from(place.is_text())];
        for hit in search.automaton.find_overlapping_iter(text) {
            let number = search.numbers[hit.pattern().as_usize()];
            if self.marks[number].place == place {
                found.0[number] = true;
            }
        }
    }

    /// Notes which marks of the place are this word.
    pub(super) fn compare(&self, place: Place, word: &str, found: &mut Found) {
        for (needle, number) in self.compared_at(place) {
            if needle == word {
                found.0[*number] = true;
            }
        }
    }

    /// Notes which marks of the place this begins with.
    pub(super) fn begins(&self, place: Place, text: &str, found: &mut Found) {
        for (needle, number) in self.compared_at(place) {
            if text.starts_with(needle) {
                found.0[*number] = true;
            }
        }
    }

    /// Notes which marks a header is.
    pub(super) fn header(&self, name: &str, value: &str, found: &mut Found) {
        for (needle, number) in self.compared_at(Place::Header) {
            let (known, start) = needle.split_once('=').unwrap_or((needle, ""));
            let beginning = value.get(..start.len());
            if known.eq_ignore_ascii_case(name)
                && beginning.is_some_and(|text| text.eq_ignore_ascii_case(start))
            {
                found.0[*number] = true;
            }
        }
        if name.eq_ignore_ascii_case("set-cookie") {
            self.begins(Place::Cookie, value, found);
        }
    }

    /// Whose test a script draws to be seen, if it is one maker's.
    pub(super) fn drawn(&self, found: &Found) -> Option<&str> {
        if self.unseen.iter().any(|&number| found.0[number]) {
            return None;
        }
        let is_drawn = |drawn: &&Drawn| drawn.marks.iter().any(|&number| found.0[number]);
        let mut makers = self.drawn.iter().filter(is_drawn);
        let maker = makers.next()?;
        makers.next().is_none().then_some(&maker.provider)
    }

    /// The headers of a vendor that were found.
    pub(super) fn headers_of<'a>(
        &'a self,
        vendor: &'a Vendor,
        found: &'a Found,
    ) -> impl Iterator<Item = &'a str> {
        let numbers = vendor
            .groups
            .iter()
            .flat_map(|group| group.lists.iter().flatten());
        let headers = numbers.filter(|&&number| self.marks[number].place == Place::Header && found.0[number]);
        headers.map(|&number| {
            let needle = self.marks[number].needle.as_str();
            needle.split_once('=').map_or(needle, |(name, _)| name)
        })
    }

    fn compared_at(&self, place: Place) -> &[(String, usize)] {
        self.compared.get(place.name()).map_or(&[], Vec::as_slice)
    }

    /// What to look for in a page to show where a group's marks are: those that were found and can be seen in its source.
    pub(super) fn needles<'a>(&'a self, group: &'a Group, found: &'a Found) -> impl Iterator<Item = &'a str> {
        let numbers = group.lists.iter().flatten();
        numbers
            .filter(|&&number| found.0[number])
            .map(|&number| self.marks[number].needle.as_str())
    }
}

fn compared(marks: &[Mark]) -> BTreeMap<&'static str, Vec<(String, usize)>> {
    let mut compared: BTreeMap<&'static str, Vec<(String, usize)>> = BTreeMap::new();
    for (number, mark) in marks.iter().enumerate() {
        if !mark.place.is_searched() {
            let needles = compared.entry(mark.place.name()).or_default();
            needles.push((mark.needle.clone(), number));
        }
    }
    compared
}

impl GroupRow {
    fn numbered(self, marks: &mut Vec<Mark>) -> Result<Group, String> {
        let mut lists = Vec::new();
        for list in &self.all {
            lists.push(all_numbered(list, marks)?);
        }
        Ok(Group {
            name: self.name,
            is_bare: self.bare,
            is_prose: self.prose,
            lists,
        })
    }
}

fn all_numbered(texts: &[String], marks: &mut Vec<Mark>) -> Result<Vec<usize>, String> {
    texts.iter().map(|text| number_of(text, marks)).collect()
}

fn number_of(text: &str, marks: &mut Vec<Mark>) -> Result<usize, String> {
    let (place, needle) = text.split_once(':').ok_or("a mark is PLACE:NEEDLE")?;
    let place = Place::parse(place).ok_or_else(|| format!("{place} is no place"))?;
    let mark = Mark {
        place,
        needle: needle.to_owned(),
    };
    let known = marks.iter().position(|known| *known == mark);
    Ok(known.unwrap_or_else(|| {
        marks.push(mark);
        marks.len() - 1
    }))
}

/// Which marks were found.
#[derive(Debug, Clone)]
pub(super) struct Found(Vec<bool>);

impl Found {
    /// Whether of each list one was found.
    pub(super) fn has(&self, group: &Group) -> bool {
        let mut lists = group.lists.iter();
        lists.all(|list| list.iter().any(|&number| self.0[number]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_is_read_whole() {
        let vendors = Vendors::built_in();
        assert!(vendors.vendors.len() >= 12);
        for vendor in &vendors.vendors {
            for group in &vendor.groups {
                assert!(!group.lists.is_empty(), "{} {}", vendor.name, group.name);
                assert!(group.lists.iter().all(|list| !list.is_empty()), "{}", group.name);
            }
        }
        let is_lower = |text: &String| text.to_lowercase() == *text;
        let sayings = &vendors.sayings;
        let lists = [
            &sayings.phrases,
            &sayings.questions,
            &sayings.words,
            &sayings.limits,
            &sayings.waits,
        ];
        for list in lists {
            assert!(!list.is_empty() && list.iter().all(is_lower), "{list:?}");
        }
        for Sentence { who, what } in &sayings.sentences {
            assert!(who.iter().chain(what).all(is_lower), "{who:?}");
        }
        let titles = vendors.compared_at(Place::Title).iter();
        assert!(titles.map(|(needle, _)| needle).all(is_lower));
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        for bad in ["nothing", "somewhere:a"] {
            let text = format!(
                r#"{{"version":1,"vendors":[{{"name":"a","groups":[{{"name":"b","all":[["{bad}"]]}}]}}]}}"#
            );
            assert!(Vendors::parse(&text).is_err(), "{bad}");
        }
    }
}
