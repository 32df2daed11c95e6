//! Entry points and activators as text. Pure.
