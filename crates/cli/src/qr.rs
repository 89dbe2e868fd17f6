//! A QR code (ISO/IEC 18004) for a terminal: two rows of modules in each line, dark on bright whatever the colours.

use qrcodegen::{QrCode, QrCodeEcc};

/// How many bright modules stand around the code.
const QUIET: i32 = 2;
const DARK_ON_BRIGHT: &str = "\x1b[30;107m";
const PLAIN: &str = "\x1b[0m";

/// The lines of a code; none if the text is too long for one.
pub(crate) fn lines(text: &str) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let edge = code.size() + QUIET;
    let half = |upper, lower| match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let line = |y| -> String {
        (-QUIET..edge).map(|x| half(code.get_module(x, y), code.get_module(x, y + 1))).collect()
    };
    Some((-QUIET..edge).step_by(2).map(|y| format!("{DARK_ON_BRIGHT}{}{PLAIN}", line(y))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_as_wide_as_high_and_dark_on_bright() {
        let lines = lines("HELLO").unwrap();
        // Version 1 has 21 modules a side, and two bright ones around.
        assert_eq!(lines.len(), 13);
        for line in &lines {
            let modules = line.strip_prefix(DARK_ON_BRIGHT).unwrap().strip_suffix(PLAIN).unwrap();
            assert_eq!(modules.chars().count(), 25, "{line}");
        }
        assert!(lines[1].contains("  █▀▀▀▀▀█"), "{}", lines[1]);
        assert_eq!(super::lines(&"A".repeat(5_000)), None);
    }
}
