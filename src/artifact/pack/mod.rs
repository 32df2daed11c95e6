//! An environment as one artifact, straight from wheels: a tar, or an image.
//!
//! `pieces` has the bytes of every file as deflate streams, `archive` puts them into tars, `estargz` into layers that can be read file by file, `layers` and `split` say
//! which distributions share one, `store` keeps layers in the cache, `image` and `layout` make an image of them; `saved` reads what engines save.

pub(crate) mod archive;
pub(crate) mod copied;
pub(crate) mod estargz;
pub(crate) mod gzip;
pub(crate) mod image;
pub(crate) mod layers;
pub(crate) mod layout;
pub(crate) mod making;
pub(crate) mod pieces;
pub(crate) mod saved;
pub(crate) mod split;
pub(crate) mod spool;
pub(crate) mod store;
pub(crate) mod tar;
