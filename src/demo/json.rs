//! JSON as PHP writes it: keys in order of insertion, `\/` for slashes, UTF-8 as it is, four blanks of
//! indentation, floats without `.0`.

use std::{borrow::Cow, fmt::Write};

/// A JSON value whose objects keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object, in order.
    Object(Vec<(Cow<'static, str>, Json)>),
}

/// The pairs of a [`Json::Object`], from `"key": value`.
macro_rules! pairs {
    ($($key:literal: $value:expr),* $(,)?) => {
        vec![$((std::borrow::Cow::Borrowed($key), $crate::demo::json::Json::from($value))),*]
    };
}

/// Builds a [`Json::Object`] from `"key": value` pairs.
macro_rules! object {
    ($($pairs:tt)*) => {
        $crate::demo::json::Json::Object($crate::demo::json::pairs!($($pairs)*))
    };
}
pub(crate) use {object, pairs};

impl Json {
    /// On one line, as PHP's `json_encode` without flags but with readable UTF-8.
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// Over several lines, nested below `depth` levels; the first line is not indented.
    pub fn pretty(&self, depth: usize) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(depth));
        out
    }

    fn write(&self, out: &mut String, depth: Option<usize>) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => _ = write!(out, "{value}"),
            Self::Int(value) => _ = write!(out, "{value}"),
            Self::Float(value) => _ = write!(out, "{value}"),
            Self::Text(value) => quote(out, value),
            Self::List(items) => enclose(out, depth, ('[', ']'), items, |out, item, depth| {
                item.write(out, depth);
            }),
            Self::Object(pairs) => enclose(out, depth, ('{', '}'), pairs, |out, (key, value), depth| {
                quote(out, key);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                value.write(out, depth);
            }),
        }
    }
}

fn enclose<T>(
    out: &mut String,
    depth: Option<usize>,
    (open, close): (char, char),
    items: &[T],
    mut each: impl FnMut(&mut String, &T, Option<usize>),
) {
    out.push(open);
    let inner = depth.map(|depth| depth + 1);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        break_line(out, inner);
        each(out, item, inner);
    }
    if !items.is_empty() {
        break_line(out, depth);
    }
    out.push(close);
}

fn break_line(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // PHP escapes the two line separators even when it leaves other UTF-8 alone.
            control if control < ' ' || matches!(control, '\u{2028}' | '\u{2029}') => {
                _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(value: Vec<T>) -> Self {
        Self::List(value.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn writes_like_php() {
        let value = object! { "a/b": "Grüße \"du\"/\n", "n": 15.0, "f": -20.1, "e": Vec::<Json>::new(), "z": Json::Null };
        assert_eq!(value.compact(), r#"{"a\/b":"Grüße \"du\"\/\n","n":15,"f":-20.1,"e":[],"z":null}"#);
        let list = Json::from(vec![object! { "x": 1 }]);
        assert_eq!(list.pretty(0), "[\n    {\n        \"x\": 1\n    }\n]");
    }
}
