//! The elements that are open, and what follows from them for what is inside.
//!
//! Not the tree of the standard: what closes by itself is what pages leave open in practice. Each tag costs a bounded or
//! paid-for amount of work, whatever the page.

use std::collections::BTreeMap;

/// Deepest nesting that is followed; deeper elements are as those at this depth.
const DEPTH_MAX: usize = 4_096;
/// How far up a mere change of letters looks for its beginning.
const REACH_MAX: usize = 8;

/// What holds for all that is inside an element.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inside {
    /// It is not shown.
    pub(super) hidden: bool,
    /// It is in the head.
    pub(super) head: bool,
    /// It is in the header, the navigation or the footer.
    pub(super) frame: bool,
    /// It is a drawing.
    pub(super) drawing: bool,
    /// It is the badge of a widget that nobody sees.
    pub(super) badge: bool,
    /// It is in the first heading.
    pub(super) heading: bool,
}

#[derive(Debug)]
struct Element {
    name: String,
    inside: Inside,
}

#[derive(Debug, Default)]
pub(super) struct Open {
    stack: Vec<Element>,
    /// How many of each name are open, so that an end without beginning costs nothing.
    counts: BTreeMap<String, usize>,
    /// Open elements beyond the deepest.
    beyond: usize,
}

impl Open {
    /// What holds here.
    pub(super) fn inside(&self) -> Inside {
        self.stack.last().map_or_else(Inside::default, |top| top.inside)
    }

    /// The innermost element.
    pub(super) fn name(&self) -> &str {
        self.stack.last().map_or("", |top| &top.name)
    }

    /// Ends what this start ends without saying so.
    pub(super) fn make_room(&mut self, name: &str) {
        if self.inside().head && !belongs_in_head(name) {
            self.pop_to("head");
        }
        let ends = match name {
            "li" => self.name() == "li",
            "dt" | "dd" => matches!(self.name(), "dt" | "dd"),
            "option" | "optgroup" => self.name() == "option",
            "td" | "th" => matches!(self.name(), "td" | "th"),
            "tr" => matches!(self.name(), "td" | "th" | "tr"),
            name => self.name() == "p" && is_block(name),
        };
        if ends {
            self.pop();
        }
        if name == "tr" && self.name() == "tr" {
            self.pop();
        }
    }

    pub(super) fn push(&mut self, name: &str, inside: Inside) {
        if self.stack.len() >= DEPTH_MAX {
            self.beyond += 1;
            return;
        }
        *self.counts.entry(name.to_owned()).or_default() += 1;
        self.stack.push(Element {
            name: name.to_owned(),
            inside,
        });
    }

    /// Ends the innermost element of that name, and what is open inside it.
    pub(super) fn end(&mut self, name: &str) {
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        if self.counts.get(name).is_none_or(|&count| count == 0) {
            return;
        }
        if is_letters(name) && !self.is_near(name) {
            return;
        }
        self.pop_to(name);
    }

    fn is_near(&self, name: &str) -> bool {
        let mut near = self.stack.iter().rev().take(REACH_MAX);
        near.any(|element| element.name == name)
    }

    fn pop_to(&mut self, name: &str) {
        while let Some(popped) = self.pop() {
            if popped == name {
                return;
            }
        }
    }

    fn pop(&mut self) -> Option<String> {
        let top = self.stack.pop()?;
        if let Some(count) = self.counts.get_mut(&top.name) {
            *count -= 1;
        }
        Some(top.name)
    }
}

fn belongs_in_head(name: &str) -> bool {
    matches!(
        name,
        "base" | "link" | "meta" | "noscript" | "script" | "style" | "template" | "title"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "center"
            | "details"
            | "dialog"
            | "div"
            | "dl"
            | "fieldset"
    ) || matches!(
        name,
        "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "main"
            | "nav"
    ) || matches!(name, "ol" | "p" | "pre" | "section" | "table" | "ul")
}

/// An element that is a line of its own, or several.
pub(super) fn is_border(name: &str) -> bool {
    is_block(name)
        || matches!(
            name,
            "li" | "dt" | "dd" | "td" | "th" | "tr" | "option" | "button" | "legend" | "caption" | "summary"
        )
}

/// An element that changes letters only; its end ends no block.
fn is_letters(name: &str) -> bool {
    matches!(
        name,
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "s" | "small" | "span" | "strong" | "tt" | "u"
    )
}

/// An element without inside.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
    ) || matches!(name, "track" | "wbr")
}
