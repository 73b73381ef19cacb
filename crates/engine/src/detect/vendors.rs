//! What vendors leave on the pages that refuse, from `vendors.json`.
//!
//! A mark is a place and a needle, `script:_cf_chl_opt`. A group of marks is met when of each of its lists one mark was
//! found, and a group that is `bare` only on a page without text and fields.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

/// Where a mark is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The id of an element, whole.
    Id,
    /// One of its classes, whole.
    Class,
    /// An address that it loads or sends to, or what it says after `data-`.
    Source,
    /// Where a refresh leads.
    Refresh,
    /// An inline script.
    Script,
    /// What a frame holds for those who have no frames.
    Frame,
    /// The visible text. For pages that are thin anyway: elsewhere it is prose.
    Text,
    /// The title, whole, in lower case.
    Title,
    /// Inside the title.
    Titled,
    /// The name of a header.
    Header,
    /// The beginning of the final address's path.
    Path,
}

impl Place {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "id" => Self::Id,
            "class" => Self::Class,
            "source" => Self::Source,
            "refresh" => Self::Refresh,
            "script" => Self::Script,
            "frame" => Self::Frame,
            "text" => Self::Text,
            "title" => Self::Title,
            "titled" => Self::Titled,
            "header" => Self::Header,
            "path" => Self::Path,
            _ => return None,
        })
    }

    /// Whether the needle is looked for inside of what is there; else it is compared.
    const fn is_searched(self) -> bool {
        match self {
            Self::Source | Self::Refresh | Self::Script | Self::Frame | Self::Text | Self::Titled => true,
            Self::Id | Self::Class | Self::Title | Self::Header | Self::Path => false,
        }
    }
}

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
    /// Of each list one is found; numbers of marks.
    lists: Vec<Vec<usize>>,
}

/// A maker of defences.
#[derive(Debug)]
pub(super) struct Vendor {
    pub(super) name: String,
    pub(super) groups: Vec<Group>,
}

/// The data file, ready for use.
#[derive(Debug)]
pub(super) struct Vendors {
    pub(super) version: u32,
    pub(super) vendors: Vec<Vendor>,
    /// What pages say by which they refuse.
    pub(super) sayings: Sayings,
    marks: Vec<Mark>,
    search: AhoCorasick,
    /// For each needle of `search` the number of its mark.
    searched: Vec<usize>,
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
    vendors: Vec<VendorRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VendorRow {
    name: String,
    groups: Vec<GroupRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupRow {
    name: String,
    #[serde(default)]
    bare: bool,
    all: Vec<Vec<String>>,
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
                groups: groups.collect::<Result<_, _>>()?,
            });
        }
        let numbered = marks.iter().enumerate();
        let searched: Vec<usize> = numbered
            .filter(|(_, mark)| mark.place.is_searched())
            .map(|(number, _)| number)
            .collect();
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(searched.iter().map(|&number| &marks[number].needle))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            version: file.version,
            vendors,
            sayings: file.sayings,
            compared: compared(&marks),
            marks,
            search,
            searched,
        })
    }

    /// Nothing found yet.
    pub(super) fn nothing(&self) -> Found {
        Found(vec![false; self.marks.len()])
    }

    /// Notes which marks of the place are in the text.
    pub(super) fn search(&self, place: Place, text: &[u8], found: &mut Found) {
        for hit in self.search.find_overlapping_iter(text) {
            let number = self.searched[hit.pattern().as_usize()];
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

    /// The names of headers that are marks.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.compared_at(Place::Header)
            .iter()
            .map(|(needle, _)| needle.as_str())
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
        headers.map(|&number| self.marks[number].needle.as_str())
    }

    fn compared_at(&self, place: Place) -> &[(String, usize)] {
        self.compared.get(name_of(place)).map_or(&[], Vec::as_slice)
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
            let needles = compared.entry(name_of(mark.place)).or_default();
            needles.push((mark.needle.clone(), number));
        }
    }
    compared
}

const fn name_of(place: Place) -> &'static str {
    match place {
        Place::Id => "id",
        Place::Class => "class",
        Place::Source => "source",
        Place::Refresh => "refresh",
        Place::Script => "script",
        Place::Frame => "frame",
        Place::Text => "text",
        Place::Title => "title",
        Place::Titled => "titled",
        Place::Header => "header",
        Place::Path => "path",
    }
}

impl GroupRow {
    fn numbered(self, marks: &mut Vec<Mark>) -> Result<Group, String> {
        let mut lists = Vec::new();
        for list in &self.all {
            let numbers = list.iter().map(|text| number_of(text, marks));
            lists.push(numbers.collect::<Result<_, _>>()?);
        }
        Ok(Group {
            name: self.name,
            is_bare: self.bare,
            lists,
        })
    }
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
