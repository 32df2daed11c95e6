//! Launchers and activators in real shells.

mod activators;
mod launchers;
