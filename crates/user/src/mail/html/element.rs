//! What an element is to the layout by its name and its attributes, and whether it is seen at all.

use scraper::node::Element;

use super::Break;
use crate::mail::style::{self, Background, Style};

/// The attributes of an element that matter here, gathered once.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) style: &'a str,
    pub(super) colour: Option<&'a str>,
    pub(super) background: Option<&'a str>,
    pub(super) href: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    /// Whether an image, or a style sheet, may paint something behind it.
    pub(super) may_be_painted: bool,
    pub(super) is_hidden: bool,
}

impl<'a> Given<'a> {
    pub(super) fn to(element: &'a Element) -> Self {
        let mut given = Self::default();
        for (name, value) in element.attrs() {
            match name {
                "style" => given.style = value,
                "color" => given.colour = Some(value),
                "bgcolor" => given.background = Some(value),
                "href" => given.href = Some(value),
                "type" => given.kind = Some(value),
                "background" | "class" | "id" => given.may_be_painted = true,
                "hidden" => given.is_hidden = true,
                _ => {}
            }
        }
        given
    }
}

/// How an element is set off from its neighbours.
pub(super) fn around(name: &str, beside: bool) -> Break {
    match name {
        "td" | "th" => Break::Cell,
        "x-a" | "x-b" | "x-i" | "span" | "x-font" => {
            if beside {
                Break::Cell
            } else {
                Break::None
            }
        }
        _ if beside => Break::Cell,
        "address" | "article" | "aside" | "blockquote" | "br" | "center" | "dd" | "div" | "dl" | "dt"
        | "fieldset" | "figcaption" | "figure" | "footer" | "form" | "h1" | "h2" | "h3" | "h4" | "h5"
        | "h6" | "header" | "hr" | "li" | "main" | "nav" | "ol" | "p" | "pre" | "section" | "table"
        | "tr" | "ul" | "tbody" | "thead" | "tfoot" | "caption" => Break::Line,
        _ => Break::None,
    }
}

/// What an element's style, its attributes, or perhaps its class paint behind its text.
pub(super) fn painted(given: &Given<'_>, style: &Style) -> Background {
    let of_attribute = given.background.map_or(Background::Clear, style::background);
    match (style.background, of_attribute) {
        (Background::Clear, Background::Clear) if given.may_be_painted => Background::Unknown,
        (Background::Clear, of_attribute) => of_attribute,
        (of_style, _) => of_style,
    }
}

/// Whether an element is not shown because of what it is, or quotes an earlier mail.
pub(super) fn is_unseen(element: &Element, given: &Given<'_>) -> bool {
    let never = matches!(
        element.name(),
        "head"
            | "title"
            | "script"
            | "style"
            | "template"
            | "noscript"
            | "textarea"
            | "select"
            | "datalist"
            | "iframe"
            | "object"
            | "embed"
            | "svg"
            | "math"
            | "audio"
            | "video"
            | "canvas"
            | "map"
            | "noframes"
            | "dialog"
    );
    let quote = element.classes().any(|class| {
        matches!(class, "gmail_quote" | "yahoo_quoted" | "moz-cite-prefix" | "protonmail_quote")
    }) || matches!(element.id(), Some("divRplyFwdMsg" | "appendonsend" | "OLK_SRC_BODY_SECTION"))
        || (element.name() == "blockquote"
            && given.kind.is_some_and(|cite| cite.eq_ignore_ascii_case("cite")));
    never || quote || given.is_hidden
}
