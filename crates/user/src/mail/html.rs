//! The visible text of an HTML mail, line by line as a reader sees it.

mod element;

use std::collections::BTreeMap;

use scraper::Html;
use scraper::node::{Element, Node};
use zeroize::Zeroizing;

use super::style::{self, Background, Colour, Sheet, Style};
use crate::extract::Link;

use element::{Given, around, is_unseen, painted};

/// The most tags, those that end an element included. Each tag may look through all that are open, so that the
/// parser's time grows with their square.
const TAGS_MAX: usize = 10_000;

/// Between two cells of a row, until it is known whether they are the digits of one code.
const CELL: char = '\u{1F}';

/// What a person sees of an HTML part.
#[derive(Default)]
pub(super) struct Visible {
    pub(super) text: Zeroizing<String>,
    /// The links, each with the number of the line that it ends in.
    pub(super) links: Vec<(usize, Link)>,
}

/// Reads the visible text of an HTML part.
///
/// The tree is walked without recursion, so that its depth costs no stack. HTML of more than [`TAGS_MAX`] tags
/// is `None`.
pub(super) fn visible(html: &str) -> Option<Visible> {
    if html.matches('<').count() > TAGS_MAX {
        return None;
    }
    let html = Html::parse_document(&unformatted(html));
    let mut walk = Walk { sheet: sheet(&html), ..Walk::default() };
    let mut next = Some(html.tree.root());
    while let Some(node) = next {
        let descends = walk.enter(node.value());
        next = node.first_child().filter(|_| descends);
        let mut left = node;
        while next.is_none() {
            if left != node || descends {
                walk.leave();
            }
            next = left.next_sibling();
            let Some(parent) = left.parent().filter(|_| next.is_none()) else { break };
            left = parent;
        }
    }
    Some(Visible { text: joined(&walk.text), links: walk.links })
}

/// Elements whose names are changed before the tree is built: an unclosed one is opened again in every paragraph that
/// follows, so that few bytes make a tree of any size.
const FORMATTING: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// The HTML with `x-` before the name of every formatting element.
fn unformatted(html: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(html.len() + 2 * TAGS_MAX));
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        plain.push_str(before);
        plain.push('<');
        let name = tag.strip_prefix('/').unwrap_or(tag);
        plain.push_str(tag.get(..tag.len() - name.len()).unwrap_or_default());
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
        let ends =
            name.get(end..).is_some_and(|after| after.starts_with(['>', '/', ' ', '\t', '\n', '\r', '\x0C']));
        let called = name.get(..end).unwrap_or_default();
        if ends && FORMATTING.iter().any(|known| known.eq_ignore_ascii_case(called)) {
            plain.push_str("x-");
        }
        rest = name;
    }
    plain.push_str(rest);
    plain
}

/// How what follows is set off from what was before; the later is the stronger.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    #[default]
    None,
    Space,
    Cell,
    Line,
}

/// What an open element means for the text in it.
#[derive(Clone, Copy, Default)]
struct Frame {
    tiny: bool,
    colour: Option<Colour>,
    /// The colour behind the text; `None` if it is not known.
    background: Option<Colour>,
    /// The break after the element.
    after: Break,
    /// Where a cell's text began.
    cell: Option<usize>,
    /// What ends with the element.
    ends: Ends,
}

/// What an element is that has more than its text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    Nothing,
    Link,
    /// Somebody's words.
    Quote,
    /// The mark of a footnote, or whatever else stands above the line.
    Note,
}

#[derive(Default)]
struct Walk<'a> {
    text: Zeroizing<String>,
    links: Vec<(usize, Link)>,
    /// What the mail's own style sheets hide on every screen.
    sheet: Sheet,
    /// What was read of each style: a mail repeats the same few.
    styles: BTreeMap<&'a str, Style>,
    frames: Vec<Frame>,
    pending: Break,
    /// What begins with the next word.
    opening: Option<char>,
    /// Where the last line of the text begins, and its number.
    line: usize,
    number: usize,
    /// Where the open link leads, and where its text began.
    link: Option<(Zeroizing<String>, usize)>,
}

impl<'a> Walk<'a> {
    /// Takes a node in; whether its children are to be walked. Only then is it left again.
    fn enter(&mut self, node: &'a Node) -> bool {
        match node {
            Node::Document | Node::Fragment => {
                self.frames.push(Frame {
                    colour: Some([0; 3]),
                    background: Some([255; 3]),
                    ..Frame::default()
                });
                true
            }
            Node::Element(element) => self.open(element),
            Node::Text(text) => {
                self.write(text);
                false
            }
            Node::Doctype(_) | Node::Comment(_) | Node::ProcessingInstruction(_) => false,
        }
    }

    fn open(&mut self, element: &'a Element) -> bool {
        let given = Given::to(element);
        let style = *self.styles.entry(given.style).or_insert_with(|| style::of(given.style));
        if style.hidden
            || is_unseen(element, &given)
            || (!style.shown
                && self.sheet.hides(element.name().trim_start_matches("x-"), element.classes(), element.id()))
        {
            return false;
        }
        let mut frame = self.frame(&given, &style);
        let around = around(element.name(), style.beside);
        // The first block of a cell does not begin a line of its own.
        let begins_cell = self.frames.iter().rev().find_map(|frame| frame.cell) == Some(self.text.len());
        if !(begins_cell && self.pending == Break::Cell) {
            self.pending = self.pending.max(around);
        }
        if matches!(element.name(), "td" | "th") {
            frame.cell = Some(self.text.len());
        }
        frame.after = around;
        match element.name() {
            "x-a" => {
                frame.ends = Ends::Link;
                self.link = given.href.map(|href| (Zeroizing::new(href.to_owned()), self.text.len()));
            }
            "blockquote" | "q" => {
                frame.ends = Ends::Quote;
                self.opening = Some('“');
            }
            // It is no digit of what it is written to: `482913 [1]`.
            "sup" | "sub" => {
                frame.ends = Ends::Note;
                self.opening = Some('[');
            }
            _ => {}
        }
        self.frames.push(frame);
        true
    }

    fn frame(&self, given: &Given<'_>, style: &Style) -> Frame {
        let above = self.frames.last().copied().unwrap_or_default();
        let colour = style.colour.or(given.colour.and_then(style::colour)).or(above.colour);
        Frame {
            tiny: style.tiny.unwrap_or(above.tiny),
            colour,
            background: match painted(given, style) {
                Background::Clear => above.background,
                Background::Plain(colour) => Some(colour),
                Background::Unknown => None,
            },
            ..Frame::default()
        }
    }

    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        match frame.ends {
            Ends::Nothing => {}
            Ends::Link => self.end_link(),
            Ends::Quote | Ends::Note if self.opening.take().is_some() => {}
            Ends::Quote => self.text.push('”'),
            Ends::Note => self.text.push(']'),
        }
        match frame.cell {
            // A cell of one line stands beside the next, whatever blocks are in it.
            // The break before the cell's text is counted to the text.
            Some(start) if self.line <= start + 1 => self.pending = Break::Cell,
            Some(_) => self.pending = Break::Line,
            None => self.pending = self.pending.max(frame.after),
        }
    }

    fn end_link(&mut self) {
        if let Some((href, start)) = self.link.take() {
            let shown = Zeroizing::new(self.text.get(start..).unwrap_or_default().trim().to_owned());
            self.links.push((self.number, Link { href, shown }));
        }
    }

    fn write(&mut self, text: &str) {
        let frame = self.frames.last().copied().unwrap_or_default();
        if frame.tiny || (frame.colour.is_some() && frame.colour == frame.background) {
            return;
        }
        let space = |c: char| c.is_ascii_whitespace();
        if text.starts_with(space) {
            self.pending = self.pending.max(Break::Space);
        }
        for word in text.split(space).filter(|word| !word.is_empty()) {
            self.set_off();
            match self.opening.take() {
                // The mark of a footnote is part of no word.
                Some(mark @ '[') => self.text.extend([' ', mark]),
                Some(mark) => self.text.push(mark),
                None => {}
            }
            self.text.push_str(word);
            self.pending = Break::Space;
        }
        if !text.ends_with(space) && text.contains(|c| !space(c)) {
            self.pending = Break::None;
        }
    }

    fn set_off(&mut self) {
        match self.pending {
            _ if self.text.is_empty() => {}
            Break::None => {}
            Break::Space => self.text.push(' '),
            Break::Cell => self.text.push(CELL),
            Break::Line => {
                self.text.push('\n');
                self.line = self.text.len();
                self.number += 1;
            }
        }
        self.pending = Break::None;
    }
}

/// The mail's own style sheets.
fn sheet(html: &Html) -> Sheet {
    let mut sheet = Sheet::default();
    for node in html.tree.nodes() {
        let is_sheet = node
            .parent()
            .and_then(|parent| parent.value().as_element())
            .is_some_and(|parent| parent.name() == "style");
        if let (true, Some(text)) = (is_sheet, node.value().as_text()) {
            sheet.extend(text);
        }
    }
    sheet
}

/// The text with its cells side by side: single characters are one code, all else is set off by a space.
fn joined(text: &str) -> Zeroizing<String> {
    let mut joined = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines() {
        let mut before_single = false;
        for (at, cell) in line.split(CELL).map(str::trim).filter(|cell| !cell.is_empty()).enumerate() {
            let mut chars = cell.chars();
            let single = chars.next().is_some_and(char::is_alphanumeric) && chars.next().is_none();
            if at > 0 && !(single && before_single) {
                joined.push(' ');
            }
            joined.push_str(cell);
            before_single = single;
        }
        joined.push('\n');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_no_text() {
        for decoy in [
            "<div style=\"display:none\">111222</div>",
            "<p hidden>111222</p>",
            "<!-- 111222 -->",
            "<script>111222</script>",
            "<style>111222</style>",
            "<span style=\"font-size:0\">111222</span>",
            "<span style=\"font-size:1px;color:#fff\">111222</span>",
            "<template>111222</template>",
            "<div style=\"opacity:0\"><p>111222</p></div>",
            "<div style=\"max-height:0;overflow:hidden\">111222</div>",
            "<noscript>111222</noscript>",
            "<font color=\"#ffffff\">111222</font>",
            "<div bgcolor=\"#000\"><span style=\"color:black\">111222</span></div>",
            "<title>111222</title>",
            "<div style=\"visibility:hidden\">111222</div>",
            "<div class=\"gmail_quote\">111222</div>",
            "<blockquote type=\"cite\">111222</blockquote>",
            "<style>.pre, td { display: none !important }</style><p class=\"big pre\">111222</p>",
            "<style>a, p.pre { display : none ; }</style><p class=pre>111222</p>",
            "<style>#pre{display:none}</style><b id=pre>111222</b>",
            "<style>@import url(x); /* a { */ #pre{display:none}</style><b id=pre>111222</b>",
            "<style>b#pre{display:none}</style><b id=pre>111222</b>",
            "<b style='display:none'>111222</b>",
            "<img alt=\"111222\">",
            "<input value=\"111222\">",
            "<select><option>111222</select>",
        ] {
            let text = visible(&format!("<p>code</p>{decoy}<p>482913</p>")).unwrap().text;
            assert!(!text.contains("111222") && text.contains("482913"), "{decoy}: {text:?}");
        }
    }

    #[test]
    fn what_is_shown_is_text() {
        for shown in [
            "<td style=\"font-size:0\"><div style=\"font-size:16px\">482913</div></td>",
            "<a style=\"background:#1a73e8;color:#fff\">482913</a>",
            "<table bgcolor=\"#000000\"><tr><td style=\"color:#ffffff\">482913</td></tr></table>",
            "<p class=\"button\" style=\"color:#fff\">482913</p>",
            "<div style=\"max-height:0\">482913</div>",
            "<style>@media print { .x { display:none } }</style><p class=x>482913</p>",
            "<style>td.x, .x p { display:none }</style><p class=x>482913</p>",
            "<style>#x{display:none}</style><p id=x style='display:block'>482913</p>",
            "482<sup></sup>913",
            "&#52;&#56;&#50;&#57;&#49;&#x33;",
            "<span>4</span><span>8</span><span>2</span><b>9</b><i>1</i>3",
            "<p>482913",
            "<table><tr><td>4</td> <td>8</td><td><p>2</p></td><td>9</td><td>1</td><td>3</td></tr></table>",
            "<div style='display:inline-block'>4</div><div style='display:inline-block'>8</div><div style='display:inline-block'>2</div><div style='display:inline-block'>9</div><div style='display:inline-block'>1</div><div style='display:inline-block'>3</div>",
        ] {
            let text = visible(shown).unwrap().text;
            assert!(text.contains("482913"), "{shown}: {text:?}");
        }
    }

    #[test]
    fn blocks_are_lines_and_cells_stand_side_by_side() {
        for (html, text) in [
            ("<p>Your code</p><p>482913</p>", "Your code\n482913\n"),
            ("a<br>b", "a\nb\n"),
            (
                "<table><tr><td>Order</td><td>771234</td></tr><tr><td>Code</td><td><p>482913</p></td></tr></table>",
                "Order 771234\nCode 482913\n",
            ),
            ("  a\n  b <b>c</b>d ", "a b cd\n"),
            ("<p>code <b>482913</b><sup>1</sup></p>", "code 482913 [1]\n"),
            ("<p>It says:</p><blockquote><p>Enter 482913.</p></blockquote>", "It says:\n“Enter 482913.”\n"),
        ] {
            assert_eq!(*visible(html).unwrap().text, text, "{html}");
        }
    }

    #[test]
    fn a_link_is_kept_with_what_it_shows() {
        let visible = visible("<p>or <a href=\"https://acme.example/magic?t=1&amp;u=2\">Sign <b>in</b></a></p><a href=x style=\"display:none\">no</a>").unwrap();
        let links: Vec<_> =
            visible.links.iter().map(|(_, link)| (link.href.as_str(), link.shown.as_str())).collect();
        assert_eq!(links, [("https://acme.example/magic?t=1&u=2", "Sign in")]);
    }

    #[test]
    fn html_that_nests_without_end_costs_no_stack() {
        for html in
            ["<div>", "<b a1><p>", "<table><tr><td>", "<ul><li>", "<span>", "<select>", "<svg>", "<!--"]
        {
            let tags = html.matches('<').count();
            let text = visible(&html.repeat(TAGS_MAX / tags)).unwrap().text;
            assert_eq!(text.trim(), "", "{html}");
            assert!(visible(&html.repeat(TAGS_MAX / tags + 1)).is_none(), "{html}");
        }
    }
}
