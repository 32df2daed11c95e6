//! An environment as one artifact, straight from wheels: a tar, or an image.
//!
//! `pieces` has the bytes of every file as deflate streams, `archive` puts them into tars, `layers` and `split` say
//! which distributions share one, `store` keeps layers in the cache, `image` and `layout` make an image of them; `saved` reads what engines save.

pub mod archive;
pub mod copied;
pub mod gzip;
pub mod image;
pub mod layers;
pub mod layout;
pub mod making;
pub mod pieces;
pub mod saved;
pub mod split;
pub mod spool;
pub mod store;
pub mod tar;
