//! Ids that are digests: written as 64 hexadecimal digits, one segment of a key.

/// Makes such an id of a newtype, with the error of a text that is none.
macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident, $(#[$error_doc:meta])* $error:ident $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(dormouse_filesystem::Digest);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        $(#[$error_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error($text)]
        pub struct $error;

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let value = serde_json::Value::from(text);
                serde_json::from_value(value).map(Self).map_err(|_| $error)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                dormouse_filesystem::Digest::deserialize(deserializer).map(Self)
            }
        }

        impl dormouse_filesystem::RecordId for $name {
            fn segments(&self) -> Vec<dormouse_filesystem::Segment> {
                vec![crate::id::segment(&self.to_string())]
            }

            fn from_segments(segments: &[&str]) -> Option<Self> {
                match segments {
                    [one] => one.parse().ok(),
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use digest_id;
