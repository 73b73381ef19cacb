//! A start tag, as far as anything here looks at it.

/// Most attributes of one tag that are looked at.
const ATTRIBUTES_MAX: usize = 256;
/// Longest value of an attribute that is kept, in bytes.
const VALUE_MAX: usize = 4 * 1024;

/// A start tag. A value that is missing is empty.
#[derive(Debug, Default)]
pub(in crate::detect) struct Tag {
    pub(in crate::detect) element: String,
    pub(in crate::detect) id: String,
    pub(in crate::detect) class: String,
    /// `src`, of an `object` its `data`.
    pub(in crate::detect) source: String,
    pub(in crate::detect) name: String,
    /// `type`.
    pub(in crate::detect) kind: String,
    pub(in crate::detect) alt: String,
    pub(in crate::detect) title: String,
    pub(in crate::detect) data_size: String,
    pub(in crate::detect) data_appearance: String,
    width: String,
    height: String,
    style: String,
    http_equiv: String,
    pub(super) content: String,
    pub(super) has_href: bool,
    is_hidden: bool,
    is_aria_hidden: bool,
    attributes: usize,
    last: String,
}

impl Tag {
    pub(super) fn new(element: &[u8]) -> Self {
        Self {
            element: kept(element),
            ..Self::default()
        }
    }

    /// The name of the next attribute.
    pub(super) fn attribute(&mut self, name: &[u8]) {
        self.attributes += 1;
        self.last.clear();
        if self.attributes > ATTRIBUTES_MAX {
            return;
        }
        self.last.push_str(&kept(name));
        match self.last.as_str() {
            "hidden" => self.is_hidden = true,
            "href" => self.has_href = true,
            _ => {}
        }
    }

    /// The name of the attribute whose value comes, where it is one to look for marks in: an address that is loaded or
    /// sent to, or `data-…`. A link's address is prose.
    pub(super) fn is_source(&self) -> bool {
        match self.last.as_str() {
            "src" | "action" | "formaction" | "data" => true,
            "href" => self.element != "a" && self.element != "area",
            name => name.starts_with("data-"),
        }
    }

    /// The value of the attribute that was named last.
    pub(super) fn value(&mut self, value: &[u8]) {
        let slot = match self.last.as_str() {
            "id" => &mut self.id,
            "class" => &mut self.class,
            "src" => &mut self.source,
            "data" if self.element == "object" => &mut self.source,
            "name" => &mut self.name,
            "type" => &mut self.kind,
            "alt" => &mut self.alt,
            "title" => &mut self.title,
            "data-size" => &mut self.data_size,
            "data-appearance" => &mut self.data_appearance,
            "width" => &mut self.width,
            "height" => &mut self.height,
            "style" => &mut self.style,
            "http-equiv" => &mut self.http_equiv,
            "content" => &mut self.content,
            "aria-hidden" => {
                self.is_aria_hidden = value.eq_ignore_ascii_case(b"true");
                return;
            }
            _ => return,
        };
        if slot.is_empty() {
            *slot = kept(value);
        }
    }

    /// It and what is inside are not shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.is_hidden || self.is_aria_hidden || self.has_hiding_style()
    }

    fn has_hiding_style(&self) -> bool {
        let bare: String = self.style.chars().filter(|c| !c.is_whitespace()).collect();
        let bare = bare.to_ascii_lowercase();
        bare.contains("display:none") || bare.contains("visibility:hidden")
    }

    /// It is a point at most.
    pub(in crate::detect) fn is_tiny(&self) -> bool {
        let is_point = |size: &str| matches!(size.trim().trim_end_matches("px"), "0" | "1");
        is_point(&self.width) || is_point(&self.height)
    }

    pub(super) fn is_refresh(&self) -> bool {
        self.element == "meta" && self.http_equiv.eq_ignore_ascii_case("refresh")
    }

    /// A field that a person fills in: no button, and not the challenge's own answer.
    pub(super) fn is_field(&self) -> bool {
        self.is_filled_in() && !self.is_answer_by_name()
    }

    /// A field for the challenge's own answer, which a person types.
    pub(super) fn is_answer(&self) -> bool {
        self.element == "input" && self.is_filled_in() && self.is_answer_by_name()
    }

    fn is_filled_in(&self) -> bool {
        match self.element.as_str() {
            "textarea" | "select" => true,
            "input" => !self.is_of(&["hidden", "submit", "button", "image", "reset"]),
            _ => false,
        }
    }

    fn is_answer_by_name(&self) -> bool {
        is_answer(&self.name) || is_answer(&self.id)
    }

    /// A box to tick, a dot to choose, a slider.
    pub(super) fn is_choice(&self) -> bool {
        self.element == "input" && self.is_of(&["checkbox", "radio", "range"])
    }

    /// A line of text of any kind, by what it is called too.
    pub(super) fn is_typed(&self) -> bool {
        const OTHERS: &[&str] = &[
            "q", "s", "query", "search", "name", "email", "mail", "user", "username",
        ];
        let is_other = OTHERS.iter().any(|name| self.name.eq_ignore_ascii_case(name));
        self.element == "input"
            && (self.kind.is_empty() || self.is_of(&["text", "tel", "number"]))
            && !is_other
    }

    fn is_of(&self, kinds: &[&str]) -> bool {
        kinds
            .iter()
            .any(|kind| self.kind.trim().eq_ignore_ascii_case(kind))
    }

    pub(super) fn is_password(&self) -> bool {
        self.is_field() && self.element == "input" && self.kind.trim().eq_ignore_ascii_case("password")
    }
}

fn is_answer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("captcha") || name.contains("turnstile")
}

fn kept(bytes: &[u8]) -> String {
    let length = bytes.len().min(VALUE_MAX);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}
