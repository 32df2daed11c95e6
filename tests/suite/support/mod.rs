//! What the tests share: one way each to make a wheel, a lock, a project, an index, a server, a certificate.

pub mod archive;
pub mod backend;
pub mod bill;
pub mod browser;
pub mod build;
pub mod ca;
pub mod client;
pub mod executable;
pub mod files;
pub mod git;
pub mod index;
pub mod index_servers;
pub mod interpreters;
pub mod lock;
pub mod mount;
pub mod nginx;
pub mod package;
pub mod prefix;
pub mod process;
pub mod program;
pub mod project;
pub mod run;
pub mod server;
pub mod tinyproxy;
pub mod wheel;
