//! Which fields a stored type has, asked of its own reader: serde's derive says the name of each field of a struct before it
//! reads one, so what a row leaves out is known without a list that somebody keeps.
//!
//! Within an enum that is tagged inside itself serde reads from a copy, and says nothing of structs there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::Deserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// The fields of a type by their paths, as far as a row shows structs.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// All.
    pub(super) known: BTreeSet<String>,
    /// Those that the row says nothing of, or null.
    pub(super) left_out: BTreeSet<String>,
}

/// Reads a row as this type.
pub(super) fn fields<T: DeserializeOwned>(value: &Value) -> (T, Fields) {
    let seen = RefCell::default();
    let traced = Traced {
        value,
        path: String::new(),
        seen: &seen,
    };
    let read = T::deserialize(traced).unwrap_or_else(|error| panic!("{error}: {value}"));
    (read, seen.into_inner())
}

#[derive(Clone)]
struct Traced<'a> {
    value: &'a Value,
    path: String,
    seen: &'a RefCell<Fields>,
}

impl<'a> Traced<'a> {
    fn at(&self, part: &str, value: &'a Value) -> Self {
        let path = format!("{}/{part}", self.path);
        Self {
            value,
            path,
            ..self.clone()
        }
    }

    fn note(&self, names: &[&str]) {
        let Value::Object(found) = self.value else { return };
        let mut seen = self.seen.borrow_mut();
        for name in names {
            let path = format!("{}/{name}", self.path);
            if found.get(*name).is_none_or(Value::is_null) {
                seen.left_out.insert(path.clone());
            }
            seen.known.insert(path);
        }
    }
}

impl<'de> Deserializer<'de> for Traced<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(fact) => visitor.visit_bool(*fact),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, number) => visitor.visit_f64(number.unwrap()),
            },
            Value::String(text) => visitor.visit_str(text),
            // What is repeated is one place.
            Value::Array(values) => visitor.visit_seq(Elements {
                of: self.at("*", self.value),
                values: values.iter(),
            }),
            Value::Object(fields) => visitor.visit_map(Entries {
                of: self.clone(),
                entries: fields.iter(),
                value: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(names);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::String(word) => {
                let word: StrDeserializer<'_, Error> = word.as_str().into_deserializer();
                visitor.visit_enum(word)
            }
            Value::Object(fields) => {
                let (word, value) = fields.iter().next().expect("a variant has its word");
                visitor.visit_enum(Variant {
                    word,
                    held: self.at(word, value),
                })
            }
            other => panic!("{other} is no variant"),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Elements<'a> {
    of: Traced<'a>,
    values: std::slice::Iter<'a, Value>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        let element = Traced {
            value,
            ..self.of.clone()
        };
        seed.deserialize(element).map(Some)
    }
}

struct Entries<'a> {
    of: Traced<'a>,
    entries: serde_json::map::Iter<'a>,
    value: Option<Traced<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(self.of.at(name, value));
        let name: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.value.take().expect("its key was read"))
    }
}

struct Variant<'a> {
    word: &'a str,
    held: Traced<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Traced<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Traced<'a>), Error> {
        let word: StrDeserializer<'_, Error> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self.held))
    }
}

impl<'de> VariantAccess<'de> for Traced<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(names);
        self.deserialize_any(visitor)
    }
}
