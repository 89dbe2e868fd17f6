//! Whether an element's style hides what is in it.

use std::collections::{BTreeMap, BTreeSet};

/// A colour as red, green, blue.
pub(super) type Colour = [u8; 3];

/// What is behind an element's text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Background {
    /// What is behind the element that it is in.
    #[default]
    Clear,
    /// One colour.
    Plain(Colour),
    /// A picture, or a colour that cannot be read.
    Unknown,
}

/// What one element's attributes say about the visibility of its text.
#[derive(Clone, Copy, Default)]
pub(super) struct Style {
    /// The element and all that is in it are not shown.
    pub(super) hidden: bool,
    /// The text is too small to be seen, or is again large enough.
    pub(super) tiny: Option<bool>,
    /// The text's colour.
    pub(super) colour: Option<Colour>,
    /// What is behind the text.
    pub(super) background: Background,
    /// The element is shown, whatever a style sheet says.
    pub(super) shown: bool,
    /// The element is laid out beside its neighbours, whatever its name says.
    pub(super) beside: bool,
}

/// Reads the declarations of a `style` attribute.
pub(super) fn of(declarations: &str) -> Style {
    let mut style = Style::default();
    let (mut clipped, mut flat) = (false, false);
    for declaration in declarations.split(';') {
        let Some((name, value)) = declaration.split_once(':') else { continue };
        let value = value.to_ascii_lowercase();
        let value = value.split("!important").next().unwrap_or_default().trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "display" => {
                style.hidden |= value == "none";
                style.shown = value != "none";
                style.beside = matches!(
                    value,
                    "inline" | "inline-block" | "table-cell" | "inline-table" | "inline-flex"
                );
            }
            "float" => style.beside = matches!(value, "left" | "right"),
            "visibility" => style.hidden |= matches!(value, "hidden" | "collapse"),
            "opacity" => style.hidden |= number(value).is_some_and(|opacity| opacity < 0.1),
            "overflow" | "overflow-x" | "overflow-y" => clipped |= matches!(value, "hidden" | "clip"),
            "height" | "max-height" | "width" | "max-width" => {
                flat |= pixels(value).is_some_and(|size| size <= 1.0);
            }
            "font-size" => style.tiny = pixels(value).map(|size| size <= 2.0).or(Some(false)),
            "font" => {
                style.tiny = value.split_whitespace().find_map(pixels).map(|size| size <= 2.0).or(style.tiny);
            }
            "text-indent" | "left" | "right" | "top" | "margin-left" => {
                style.hidden |= number(value).is_some_and(|size| size <= -500.0);
            }
            "transform" => style.hidden |= value.contains("scale(0)"),
            "clip" => style.hidden |= value.starts_with("rect(0"),
            "color" if value == "transparent" => style.hidden = true,
            "color" => style.colour = colour(value),
            "background" | "background-color" => style.background = background(value),
            "background-image" => style.background = Background::Unknown,
            _ => {}
        }
    }
    style.hidden |= clipped && flat;
    style
}

/// What a style sheet hides, by the simplest of selectors: `.preheader`, `#trk`, `td.legacy`.
#[derive(Default)]
pub(super) struct Sheet {
    classes: BTreeMap<String, Elements>,
    ids: BTreeMap<String, Elements>,
}

/// The names of the elements that a class or an id hides; without a name, all.
type Elements = BTreeSet<Option<String>>;

impl Sheet {
    /// Takes in a style sheet, rules for some media only left out.
    pub(super) fn extend(&mut self, sheet: &str) {
        let sheet = without_comments(sheet);
        let mut rest = sheet.as_str();
        while let Some((selectors, after)) = rest.split_once('{') {
            // `@import …;` and the like end before the next rule.
            let selectors = selectors.rsplit(';').next().unwrap_or_default();
            if selectors.trim_start().starts_with('@') {
                rest = after_block(after);
                continue;
            }
            let (declarations, after) = after.split_once('}').unwrap_or((after, ""));
            if of(declarations).hidden {
                selectors.split(',').for_each(|selector| self.hide(selector.trim()));
            }
            rest = after;
        }
    }

    /// Takes in a selector that is nothing but a class or an id, with or without an element's name before it.
    fn hide(&mut self, selector: &str) {
        let plain = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let (known, parts) = match (selector.split_once('.'), selector.split_once('#')) {
            (Some(parts), None) => (&mut self.classes, parts),
            (None, Some(parts)) => (&mut self.ids, parts),
            _ => return,
        };
        let (element, called) = (parts.0.trim_start_matches('*'), parts.1);
        if plain(element) && plain(called) {
            let element = (!element.is_empty()).then(|| element.to_ascii_lowercase());
            known.entry(called.to_owned()).or_default().insert(element);
        }
    }

    /// Whether it hides an element of this name with these classes and this id.
    pub(super) fn hides<'a>(
        &self,
        name: &str,
        mut classes: impl Iterator<Item = &'a str>,
        id: Option<&str>,
    ) -> bool {
        let holds = |elements: &Elements| {
            elements.iter().any(|element| element.as_deref().is_none_or(|element| element == name))
        };
        (!self.classes.is_empty() && classes.any(|class| self.classes.get(class).is_some_and(holds)))
            || id.and_then(|id| self.ids.get(id)).is_some_and(holds)
    }
}

/// A style sheet without what it says to its readers.
fn without_comments(sheet: &str) -> String {
    let mut parts = sheet.split("/*");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    plain.extend(parts.filter_map(|part| part.split_once("*/")).map(|(_, after)| after));
    plain
}

/// What follows the block that `sheet` is in.
fn after_block(sheet: &str) -> &str {
    let mut depth = 1_usize;
    for (at, byte) in sheet.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return sheet.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

/// A colour in one of the ways in which mails write it.
pub(super) fn colour(value: &str) -> Option<Colour> {
    let value = value.trim().to_ascii_lowercase();
    match value.as_str() {
        "white" => return Some([255; 3]),
        "black" => return Some([0; 3]),
        _ => {}
    }
    if let Some(channels) = value.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) {
        let mut channels = channels
            .split([',', ' '])
            .filter(|channel| !channel.is_empty())
            .map(|channel| channel.trim().parse().ok());
        return Some([channels.next()??, channels.next()??, channels.next()??]);
    }
    let hex = value.strip_prefix('#').unwrap_or(&value);
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    match digits.as_slice() {
        [r, g, b] => Some([r * 17, g * 17, b * 17]),
        [r, rr, g, gg, b, bb] => Some([r * 16 + rr, g * 16 + gg, b * 16 + bb]),
        _ => None,
    }
}

/// A background as a style or the attribute `bgcolor` gives it.
pub(super) fn background(value: &str) -> Background {
    match value.trim() {
        "transparent" | "none" | "inherit" => Background::Clear,
        value => colour(value).map_or(Background::Unknown, Background::Plain),
    }
}

/// A length in pixels; relative lengths are taken at their usual size. A number without a unit counts as pixels.
fn pixels(value: &str) -> Option<f32> {
    let scale = match value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "" | "px" | "pt" => 1.0,
        "em" | "rem" => 16.0,
        "%" => 0.16,
        _ => return None,
    };
    number(value).map(|number| number * scale)
}

fn number(value: &str) -> Option<f32> {
    let end = value.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_hide_an_element_is_known() {
        for declarations in [
            "display:none",
            "DISPLAY : none !important",
            "visibility:hidden",
            "opacity:0",
            "opacity: 0.0",
            "max-height:0;overflow:hidden",
            "overflow:hidden;height:0px",
            "color:transparent",
            "text-indent:-9999px",
            "position:absolute;left:-9999px",
            "transform:scale(0)",
        ] {
            assert!(of(declarations).hidden, "{declarations}");
        }
        for declarations in [
            "display:block",
            "opacity:1",
            "opacity:0.9",
            "max-height:0",
            "overflow:hidden;width:600px",
            "left:-1px",
            "",
        ] {
            assert!(!of(declarations).hidden, "{declarations}");
        }
    }

    #[test]
    fn small_print_is_text_and_no_print_is_not() {
        for (declarations, tiny) in [
            ("font-size:0", Some(true)),
            ("font-size:1px", Some(true)),
            ("font-size:0px !important", Some(true)),
            ("font-size:11px", Some(false)),
            ("font-size:2em", Some(false)),
            ("font-size:large", Some(false)),
            ("font:1px/1px Arial", None),
            ("font: 0px Arial", Some(true)),
            ("", None),
        ] {
            assert_eq!(of(declarations).tiny, tiny, "{declarations}");
        }
    }

    #[test]
    fn a_colour_is_read_however_it_is_written() {
        for text in ["#fff", "#FFFFFF", "white", "rgb(255, 255, 255)", "ffffff"] {
            assert_eq!(colour(text), Some([255; 3]), "{text}");
        }
        for text in ["", "url(x)", "#ff", "inherit"] {
            assert_eq!(colour(text), None, "{text}");
        }
    }
}
