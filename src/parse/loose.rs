//! JSON values of a type that cannot be relied on: numbers as strings, lists as objects, nulls anywhere.
//!
//! Each type takes any value in one pass; a value of the wrong type is absent, never an error.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{
    Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
};

/// A string; numbers are written out.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub Option<Cow<'a, str>>);

/// A number, or a string that holds one.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Number(pub Option<f64>);

/// An object of known fields.
#[derive(Debug)]
pub(super) struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// The entries of an object with their keys, or of a list; one string alone is a list of one.
#[derive(Debug)]
pub(super) struct Entries<'a, T>(pub Vec<(Option<Cow<'a, str>>, T)>);

impl<T> Default for Entries<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The strings of a list or an object, or one string alone, each handed on as it comes.
#[derive(Debug, Default)]
pub(super) struct Strings<T>(pub T);

/// What the visitors share: listed scalars have a meaning, every other value is the default.
macro_rules! any_value {
    ($($method:ident($argument:pat, $from:ty) => $result:expr;)*) => {
        $(fn $method<E>(self, $argument: $from) -> Result<Self::Value, E> {
            Ok($result)
        })*

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("any value")
        }
    };
}

/// Lists and objects where a scalar is wanted.
macro_rules! no_list {
    () => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}
macro_rules! no_object {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            any_value! {
                visit_borrowed_str(text, &'de str) => Text(Some(Cow::Borrowed(text)));
                visit_str(text, &str) => Text(Some(Cow::Owned(text.to_owned())));
                visit_i64(number, i64) => Text(Some(Cow::Owned(number.to_string())));
                visit_u64(number, u64) => Text(Some(Cow::Owned(number.to_string())));
                visit_f64(number, f64) => Text(Some(Cow::Owned(number.to_string())));
            }
            no_list!();
            no_object!();
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Number;
            any_value! {
                visit_str(text, &str) => Number(text.trim().parse().ok().filter(|number: &f64| number.is_finite()));
                visit_i64(number, i64) => Number(Some(number as f64));
                visit_u64(number, u64) => Number(Some(number as f64));
                visit_f64(number, f64) => Number(Some(number));
            }
            no_list!();
            no_object!();
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Object<T>;
            any_value! {
                visit_str(_, &str) => Object::default();
                visit_i64(_, i64) => Object::default();
                visit_u64(_, u64) => Object::default();
                visit_f64(_, f64) => Object::default();
            }
            no_list!();

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                Ok(Object(Some(T::deserialize(MapAccessDeserializer::new(map))?)))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Entries<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Entries<'de, T>;
            any_value! {
                visit_i64(_, i64) => Entries::default();
                visit_u64(_, u64) => Entries::default();
                visit_f64(_, f64) => Entries::default();
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let one = T::deserialize(serde::de::value::StrDeserializer::<E>::new(text))?;
                Ok(Entries(vec![(None, one)]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(value) = seq.next_element()? {
                    entries.push((None, value));
                }
                Ok(Entries(entries))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de, T: Default + for<'a> Extend<&'a str>> Deserialize<'de> for Strings<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Default + for<'a> Extend<&'a str>> Visitor<'de> for Any<T> {
            type Value = Strings<T>;
            any_value! {
                visit_i64(_, i64) => Strings::default();
                visit_u64(_, u64) => Strings::default();
                visit_f64(_, f64) => Strings::default();
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let mut strings = T::default();
                strings.extend([text]);
                Ok(Strings(strings))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut strings = T::default();
                while let Some(Text(text)) = seq.next_element()? {
                    strings.extend(text.as_deref());
                }
                Ok(Strings(strings))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut strings = T::default();
                while let Some((IgnoredAny, Text(text))) = map.next_entry()? {
                    strings.extend(text.as_deref());
                }
                Ok(Strings(strings))
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}
