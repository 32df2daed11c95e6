//! The words of the field as types: text is parsed here once, and rooms pass these on.

mod archive_format;
mod concealed;
mod credentials;
mod digest;
mod figures;
mod marker;
mod marker_env;
mod name;
mod rel_path;
mod show;
mod source_url;
mod specifier;
mod timestamp;
mod userinfo;
mod wheel_name;

pub(crate) use archive_format::ArchiveFormat;
pub use concealed::Concealed;
pub use credentials::{Credentials, Realm, Secret};
pub use digest::Sha256;
pub use figures::size;
pub(crate) use figures::{count, parse_age, parse_size};
pub(crate) use marker::Marker;
pub(crate) use marker_env::MarkerEnv;
pub(crate) use name::{Extra, PackageName};
pub(crate) use pep440_rs::Version;
pub(crate) use rel_path::RelPath;
pub(crate) use show::{NOT_SHOWN, fit_to_show, fit_to_show_json, place, shown_scheme, shown_text, shown_url};
pub use source_url::SourceUrl;
pub(crate) use specifier::Specifiers;
pub(crate) use timestamp::{Civil, civil, timestamp};
pub(crate) use wheel_name::{BuildTag, WheelName};
