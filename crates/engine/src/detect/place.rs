//! Where vendors leave marks.

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
    /// A comment.
    Comment,
    /// The visible text. For pages that are thin anyway: elsewhere it is prose.
    Text,
    /// The title, whole, in lower case.
    Title,
    /// Inside the title.
    Titled,
    /// The whole visible text, in lower case.
    Whole,
    /// The name of a header, or `NAME=VALUE` with the beginning of its value in lower case.
    Header,
    /// The beginning of a cookie's name that is set.
    Cookie,
    /// The beginning of the final address's path.
    Path,
    /// The host of the final address.
    Host,
}

impl Place {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "id" => Self::Id,
            "class" => Self::Class,
            "source" => Self::Source,
            "refresh" => Self::Refresh,
            "script" => Self::Script,
            "frame" => Self::Frame,
            "comment" => Self::Comment,
            "text" => Self::Text,
            "title" => Self::Title,
            "titled" => Self::Titled,
            "whole" => Self::Whole,
            "header" => Self::Header,
            "cookie" => Self::Cookie,
            "path" => Self::Path,
            "host" => Self::Host,
            _ => return None,
        })
    }

    /// Whether the needle is looked for inside of what is there; else it is compared.
    pub(super) const fn is_searched(self) -> bool {
        match self {
            Self::Source
            | Self::Refresh
            | Self::Script
            | Self::Frame
            | Self::Comment
            | Self::Text
            | Self::Titled => true,
            Self::Id
            | Self::Class
            | Self::Title
            | Self::Whole
            | Self::Header
            | Self::Cookie
            | Self::Path
            | Self::Host => false,
        }
    }

    /// It is what a page shows in words.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Titled)
    }

    /// Its name in the data file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Class => "class",
            Self::Source => "source",
            Self::Refresh => "refresh",
            Self::Script => "script",
            Self::Frame => "frame",
            Self::Comment => "comment",
            Self::Text => "text",
            Self::Title => "title",
            Self::Titled => "titled",
            Self::Whole => "whole",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Path => "path",
            Self::Host => "host",
        }
    }
}
