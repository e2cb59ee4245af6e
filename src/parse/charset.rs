//! Bytes to text, whatever they are said to be: UTF-8 with or without byte order mark, UTF-16, or what the XML
//! declaration names. What fits no encoding keeps its place as U+FFFD.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

/// How far into a document its XML declaration may reach.
const DECLARATION_MAX: usize = 200;

/// Decodes a document.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode(rest),
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        // Without a mark: the first character, `<` or `{`, tells.
        [b'<' | b'{', 0, ..] => Cow::Owned(utf16(bytes, u16::from_le_bytes)),
        [0, b'<' | b'{', ..] => Cow::Owned(utf16(bytes, u16::from_be_bytes)),
        // Many reports name an encoding that they do not use: UTF-8 is tried first.
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => declared(bytes),
        },
    }
}

/// The text in the encoding that the XML declaration names, or as much of it as is UTF-8.
fn declared(bytes: &[u8]) -> Cow<'_, str> {
    let name = encoding_name(bytes.get(..DECLARATION_MAX).unwrap_or(bytes));
    match name.and_then(|name| charset_decoder(name)) {
        Some(decoder) if !name.is_some_and(|name| name.eq_ignore_ascii_case(b"utf-8")) => {
            Cow::Owned(decoder(bytes))
        }
        _ => String::from_utf8_lossy(bytes),
    }
}

/// What stands in quotes behind `encoding=`.
fn encoding_name(head: &[u8]) -> Option<&[u8]> {
    const WORD: &[u8] = b"encoding";
    let head = head.get(..memchr::memchr(b'>', head)?)?;
    let rest = head.get(memchr::memmem::find(head, WORD)? + WORD.len()..)?;
    let open = rest.iter().position(|byte| matches!(byte, b'"' | b'\''))?;
    let quote = *rest.get(open)?;
    let rest = rest.get(open + 1..)?;
    rest.get(..memchr::memchr(quote, rest)?)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.skip_while(|c| *c == '\u{FEFF}').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>Grüße</a>";
        let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes(),
            &latin,
            &little,
            &big,
            &[b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            &[b"\xFF\xFE", &little[..]].concat(),
            &[b"\xFE\xFF", &big[..]].concat(),
        ] {
            assert_eq!(decode(bytes), text);
        }
    }

    #[test]
    fn broken_bytes_keep_their_place() {
        assert_eq!(
            decode(b"<?xml encoding=\"utf-8\"?><a>Gr\xFC\xDFe</a>"),
            "<?xml encoding=\"utf-8\"?><a>Gr\u{FFFD}\u{FFFD}e</a>"
        );
        assert_eq!(decode(b"<?xml encoding=\"klingon\"?>\xFF"), "<?xml encoding=\"klingon\"?>\u{FFFD}");
        assert_eq!(decode(b"<\0a\0\x00\xD8>\0x"), "<a\u{FFFD}>");
    }
}
