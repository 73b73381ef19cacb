//! From the tokenizer's events to facts.

use html5gum::emitters::callback::CallbackEvent;

use super::open::{Inside, Open, is_border, is_void};
use super::tag::Tag;
use super::{Facts, REFUSAL_TEXT_MAX, THIN_TEXT_MAX};
use crate::detect::challenge::{self, Seen};
use crate::detect::vendors::{Place, Vendors};

/// Longest title and heading that are kept, in bytes.
const TITLE_MAX: usize = 512;

/// Takes events, one after another.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    vendors: &'a Vendors,
    facts: Facts,
    open: Open,
    tag: Option<Tag>,
    signs: challenge::Signs,
    has_title: bool,
    has_heading: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vendors: &'a Vendors) -> Self {
        Self {
            vendors,
            facts: Facts {
                is_cut: false,
                text_len: 0,
                text: String::new(),
                lines: String::new(),
                links: 0,
                fields: 0,
                passwords: 0,
                choices: 0,
                typed: 0,
                answers: 0,
                title: String::new(),
                heading: String::new(),
                refresh: String::new(),
                elements: 0,
                challenge: None,
                names_challenge: false,
                names_test: false,
                maker: None,
                has_invisible_widget: false,
                found: vendors.nothing(),
            },
            open: Open::default(),
            tag: None,
            signs: challenge::Signs::default(),
            has_title: false,
            has_heading: false,
        }
    }

    pub(super) fn take(&mut self, event: &CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = Some(Tag::new(name)),
            CallbackEvent::AttributeName { name } => {
                if let Some(tag) = &mut self.tag {
                    tag.attribute(name);
                }
            }
            CallbackEvent::AttributeValue { value } => self.value(value),
            CallbackEvent::CloseStartTag { self_closing } => {
                if let Some(tag) = self.tag.take() {
                    self.start(&tag, *self_closing);
                }
            }
            CallbackEvent::EndTag { name } => {
                self.tag = None;
                let name = String::from_utf8_lossy(name);
                self.open.end(&name);
                self.border(&name);
            }
            CallbackEvent::String { value } => self.string(value),
            CallbackEvent::Comment { value } => {
                self.vendors.search(Place::Comment, value, &mut self.facts.found);
            }
            CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    pub(super) fn finish(mut self) -> Facts {
        self.facts.challenge = self.facts.challenge.or(self.signs.concluded());
        self.facts.maker = self.signs.maker();
        for text in [
            &mut self.facts.text,
            &mut self.facts.title,
            &mut self.facts.heading,
        ] {
            text.truncate(text.trim_end().len());
        }
        self.facts
    }

    fn value(&mut self, value: &[u8]) {
        let Some(tag) = &mut self.tag else { return };
        if tag.is_source() {
            self.vendors.search(Place::Source, value, &mut self.facts.found);
        }
        tag.value(value);
    }

    fn start(&mut self, tag: &Tag, is_self_closing: bool) {
        let name = tag.element.as_str();
        self.facts.elements += 1;
        self.open.make_room(name);
        self.border(name);
        let outside = self.open.inside();
        let inside = self.inside_of(tag, outside);
        self.marks(tag);
        if inside.hidden {
            self.invisible(tag);
        } else {
            self.visible(tag, inside);
        }
        let has_inside = !is_void(name) && (!is_self_closing || !outside.drawing);
        if has_inside {
            self.open.push(name, inside);
        }
    }

    fn inside_of(&mut self, tag: &Tag, outside: Inside) -> Inside {
        let name = tag.element.as_str();
        let is_heading =
            matches!(name, "h1" | "h2") && !self.has_heading && !outside.hidden && !tag.is_hidden();
        self.has_heading |= is_heading;
        Inside {
            hidden: outside.hidden
                || tag.is_hidden()
                || matches!(
                    name,
                    "head" | "template" | "svg" | "noscript" | "script" | "style"
                ),
            head: (outside.head && name != "body") || name == "head",
            drawing: outside.drawing || name == "svg",
            frame: outside.frame || matches!(name, "header" | "nav" | "footer"),
            badge: outside.badge || tag.class.contains("grecaptcha-badge"),
            heading: outside.heading || is_heading,
        }
    }

    fn marks(&mut self, tag: &Tag) {
        let found = &mut self.facts.found;
        if !tag.id.is_empty() {
            self.vendors.compare(Place::Id, &tag.id, found);
        }
        for class in tag.class.split_ascii_whitespace() {
            self.vendors.compare(Place::Class, class, found);
        }
        if tag.is_refresh() {
            self.vendors.search(Place::Refresh, tag.content.as_bytes(), found);
            if self.facts.refresh.is_empty() {
                self.facts.refresh.clone_from(&tag.content);
            }
        }
    }

    fn invisible(&mut self, tag: &Tag) {
        if tag.element == "script" {
            self.signs.script(&tag.source);
        }
        self.facts.has_invisible_widget |= challenge::seen(tag, true) != Seen::Nothing;
    }

    fn visible(&mut self, tag: &Tag, inside: Inside) {
        if !inside.frame {
            self.field(tag);
        }
        if tag.element == "a" && tag.has_href {
            self.facts.links += 1;
        }
        self.signs.element(tag);
        match challenge::seen(tag, inside.badge) {
            Seen::Challenge(provider) => {
                self.facts.challenge.get_or_insert(provider);
            }
            Seen::Invisible => self.facts.has_invisible_widget = true,
            // Names alone say something on a thin page only.
            Seen::Nothing if inside.badge || !self.facts.is_thin() => {}
            Seen::Nothing => {
                self.facts.names_challenge |= challenge::is_named(tag);
                self.facts.names_test |= challenge::is_named_test(tag);
            }
        }
    }

    /// Counts what a person fills in. What is in the frame of a page, as a box to search in, is the site's.
    fn field(&mut self, tag: &Tag) {
        self.facts.answers += usize::from(tag.is_answer());
        if tag.is_field() {
            self.facts.fields += 1;
            self.facts.passwords += usize::from(tag.is_password());
            self.facts.choices += usize::from(tag.is_choice());
            self.facts.typed += usize::from(tag.is_typed());
        }
    }

    fn string(&mut self, value: &[u8]) {
        let found = &mut self.facts.found;
        let inside = self.open.inside();
        match self.open.name() {
            "script" => self.vendors.search(Place::Script, value, found),
            "iframe" => self.vendors.search(Place::Frame, value, found),
            "title" if inside.drawing || self.has_title => {}
            "title" => {
                append(&mut self.facts.title, &String::from_utf8_lossy(value), TITLE_MAX);
                self.has_title = true;
            }
            "textarea" | "style" | "noscript" | "noembed" | "noframes" => {}
            _ if inside.hidden => {}
            _ => self.text(value, inside.heading),
        }
    }

    fn text(&mut self, value: &[u8], is_heading: bool) {
        if is_heading {
            append(
                &mut self.facts.heading,
                &String::from_utf8_lossy(value),
                TITLE_MAX,
            );
        }
        if self.facts.text_len > REFUSAL_TEXT_MAX {
            return;
        }
        // A character has four bytes at most, and what is cut off here is beyond what is counted.
        let length = value.len().min(8 * REFUSAL_TEXT_MAX);
        let text = String::from_utf8_lossy(&value[..length]);
        self.facts.text_len += count(&text);
        append(&mut self.facts.text, &text, 4 * THIN_TEXT_MAX);
        append(&mut self.facts.lines, &text, 4 * THIN_TEXT_MAX);
    }

    /// Ends the line where a block begins or ends. A mere break is where a sentence was too long for its place: it ends a
    /// word alone.
    fn border(&mut self, name: &str) {
        let lines = &mut self.facts.lines;
        if name == "br" && !lines.is_empty() && !lines.ends_with(char::is_whitespace) {
            lines.push(' ');
        }
        if !is_border(name) {
            return;
        }
        lines.truncate(lines.trim_end().len());
        if !lines.is_empty() {
            lines.push('\n');
        }
    }
}

/// Characters that are no space, and one for each run of space between them.
fn count(text: &str) -> usize {
    let words = text.split_whitespace();
    let length: usize = words.map(|word| word.chars().count() + 1).sum();
    length.saturating_sub(1)
}

/// Appends the words of a text, with one space between them, until the whole is `max` bytes long.
fn append(whole: &mut String, text: &str, max: usize) {
    if text.starts_with(char::is_whitespace) && !whole.is_empty() && !whole.ends_with(' ') {
        whole.push(' ');
    }
    for word in text.split_inclusive(char::is_whitespace) {
        if whole.len() >= max {
            return;
        }
        let bare = word.trim_end();
        whole.push_str(&bare[..bare.floor_char_boundary(max - whole.len())]);
        if bare.len() < word.len() && !whole.is_empty() && !whole.ends_with(' ') {
            whole.push(' ');
        }
    }
}
